"""What of a model's answer reaches the reader, and what its citations are worth."""

import random

import pytest

from maisale.chat.citations import CitationFilter, check
from maisale.records import Citation

CASES = [
    ("It is 24 months [1].", "It is 24 months [1]."),
    ("A [7]. B [1, 2], C [1][9] and 【2†L1-L3】.", "A. B [1][2], C [1] and [2]."),
    ("All of them [1-3] and ( [ 2 ] )", "All of them [1][2][3] and ( [2] )"),
    ("See [the page](http://a.b/c) and ![pixel](http://evil/x.png).", "See [the page](http://a.b/c) and pixel."),
    ("`a[7]` and\n```py\nx[9] = '<b>'\n```\ndone [2]", "`a[7]` and\n```py\nx[9] = '<b>'\n```\ndone [2]"),
    ("a < b, <b>bold</b>, <script>x</script>one<br>two", "a < b, bold, xone two"),
    ("- [ ] open\n- [x] done [1]", "- [ ] open\n- [x] done [1]"),
    ("<https://a.b> <|channel|>final", "https://a.b final"),
    ("tick ` only [9] more\n\nnext `x[9]`", "tick ` only more\n\nnext `x[9]`"),
    ("never finished [12", "never finished"),
    ("<img src=x onerror=y", "‹img src=x onerror=y"),
    ("wow! [3]", "wow! [3]"),
    ("![a][1] year [2024]", "[a][1] year"),
    ("before ![a\nb](http://evil/nl) after", "before a\nb after"),
    ("![y][ref] and ![[x]](http://evil/) and ![z](http://evil/(paren)x) end", "y and [x] and z end"),
    ("![x](\nhttp://evil/y) end", "x end"),
    ("![alone] stays text", "alone stays text"),
    ("An Arabic digit [٣] is no citation", "An Arabic digit [٣] is no citation"),
    ("", ""),
]


@pytest.mark.parametrize(("written", "shown"), CASES)
def test_only_known_numbers_and_harmless_text_reach_the_reader(written, shown):
    known = CitationFilter(3)
    assert known.feed(written) + known.end() == shown


@pytest.mark.parametrize(("written", "shown"), CASES)
def test_it_does_not_matter_how_the_stream_is_cut(written, shown):
    dice = random.Random(7)
    for _ in range(50):
        known, said, rest = CitationFilter(3), "", written
        while rest:
            size = dice.randint(1, 5)
            said, rest = said + known.feed(rest[:size]), rest[size:]
        assert said + known.end() == shown


def test_an_unknown_number_is_never_visible_on_the_way():
    known, said = CitationFilter(3), ""
    for char in "Fact [14] and [2].":
        said += known.feed(char)
        assert "[1" not in said
    assert said + known.end() == "Fact and [2]."


def test_ordinary_text_is_not_held_back():
    assert CitationFilter(3).feed("Hello there") == "Hello there"


WARRANTY = Citation(1, "a", "Warranty", "", "The RO-9 has a warranty of 24 months from the day of purchase.", 1.0, "strong")
PRICE = Citation(2, "b", "Bảng giá", "", "Máy lọc nước RO-9 giá 8.490.000 đồng.", 1.0, "good")


def checked(text):
    return check(text, (WARRANTY, PRICE))


def test_a_named_source_is_marked_and_the_other_is_not():
    assert [one.cited for one in checked("The RO-9 warranty is 24 months [1].")] == [True, False]


def test_a_sentence_that_its_source_bears_out_is_left_alone():
    assert checked("The RO-9 comes with a warranty of 24 months. [1] It costs 8,490,000 dong [2].")[0].unsupported == ()


def test_a_wrong_figure_is_marked():
    assert checked("The RO-9 has a warranty of 36 months [1].")[0].unsupported == ("The RO-9 has a warranty of 36 months.",)


def test_words_that_stand_nowhere_are_marked():
    assert checked("Aliens deliver the purifier overnight from Saturn [1].")[0].unsupported != ()


def test_an_answer_in_another_language_is_judged_by_its_figures():
    good, bad = checked("Bảo hành trong 24 tháng [1]."), checked("Bảo hành trong 48 tháng [1].")
    assert good[0].unsupported == () and bad[0].unsupported != ()


def test_quotations_check_out():
    said = check("One passage answers this:\n\n> The RO-9 has a warranty of 24 months from the day of purchase. [1]", (WARRANTY,))
    assert said[0].cited and not said[0].unsupported


def test_an_escaped_number_is_no_citation():
    assert not checked("Notes \\[1] of the source.")[0].cited


def test_a_placeholder_that_a_model_was_shown_is_no_wrong_word():
    passage = Citation(1, "d#chunk_0", "Suppliers", "", "Anna of the depot answers at 0912 345 678.", 1.0, "strong")
    (checked,) = check("Anna of the depot answers at ‹phone› [1].", [passage])
    assert checked.cited and checked.unsupported == ()
