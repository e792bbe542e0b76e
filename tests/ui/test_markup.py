"""The small pieces of HTML: nothing from outside enters the page as markup."""

import pytest

from maisale.ui.markup import decimal, esc, highlighted, percent, place_in, size_in_words, when

NOON = 1_790_000_000 // 86400 * 86400 + 12 * 3600.0


def test_text_from_outside_stays_text():
    assert esc("""<b onclick='x' title="y">&""") == "&lt;b onclick=&#x27;x&#x27; title=&quot;y&quot;&gt;&amp;"


def test_highlights_are_marked_inside_escaped_text():
    assert highlighted("<i>RO-9</i> lasts", ["RO-9"]) == "&lt;i&gt;<mark>RO-9</mark>&lt;/i&gt; lasts"


def test_a_highlight_is_a_whole_word():
    assert highlighted("9 of 8.490", ["9"]) == "<mark>9</mark> of 8.490"


def test_the_longest_highlight_wins():
    assert highlighted("bảo hành 24 tháng", ["hành", "bảo hành 24 tháng"]) == "<mark>bảo hành 24 tháng</mark>"


def test_a_span_with_signs_of_patterns_is_only_text():
    assert highlighted("a (b) c", ["(b", "b) c"]) == "a <mark>(b</mark>) c"


def test_a_number_and_its_percent_sign_never_part():
    assert percent(0.384) == "38\u00a0%"


def test_figures_follow_the_language():
    assert (decimal(0.5, "en"), decimal(0.5, "vi"), decimal(None, "en")) == ("0.50", "0,50", "–")


@pytest.mark.parametrize(
    ("age", "en", "vi"),
    [
        (5, "just now", "vừa xong"),
        (180, "3 min ago", "3 phút trước"),
        (7200, "2 h ago", "2 giờ trước"),
        (86400, "yesterday", "hôm qua"),
        (10 * 86400, "11 Sep", "11/09/2026"),
    ],
)
def test_how_long_ago_is_said_in_words(age, en, vi):
    assert (when(NOON - age, "en", 0, NOON), when(NOON - age, "vi", 0, NOON)) == (en, vi)


def test_yesterday_is_by_the_reader_s_own_calendar():
    before_midnight_in_hanoi = NOON - 20 * 3600  # 16:00 UTC the day before, 23:00 in Hanoi
    assert when(before_midnight_in_hanoi, "en", 420, NOON - 18 * 3600) == "yesterday"


def test_places_are_named_in_the_page_s_language():
    assert place_in("sheet Retail page, row 41", "vi") == "trang tính Retail page, dòng 41"


def test_sizes_have_units():
    assert [size_in_words(size, "en") for size in (12, 2048, 3 << 20)] == ["12\u00a0B", "2.0\u00a0KB", "3.0\u00a0MB"]
