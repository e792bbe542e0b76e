"""Chunks: size, headings, places, tables, code."""

from maisale.library.chunking import CHUNK_TOKENS, LONGEST, Part, chunk_text

SENTENCE = "The purifier removes salt and iron from the water of a household with four people. "


def test_a_short_text_is_one_chunk():
    (only,) = chunk_text([Part("Hello.", "page 1")])
    assert (only.text, only.place, only.position) == ("Hello.", "page 1", 0)


def test_nothing_makes_no_chunk():
    assert chunk_text([Part(" \n\n ")]) == []


def test_chunks_stay_near_their_size_and_lose_no_word():
    text = SENTENCE * 120
    made = chunk_text([Part(text)])
    assert all(piece.tokens <= CHUNK_TOKENS["en"] * LONGEST for piece in made)
    assert " ".join(piece.text for piece in made).split() == text.split()


def test_a_chunk_never_reaches_over_a_heading():
    made = chunk_text([Part("# Policy\n\nIntro.\n\n## Returns\n\nWithin 14 days.\n\n## Warranty\n\n24 months.")])
    assert [(piece.heading, piece.place, piece.text) for piece in made] == [
        ("Policy", "section Policy", "Intro."),
        ("Policy > Returns", "section Returns", "Within 14 days."),
        ("Policy > Warranty", "section Warranty", "24 months."),
    ]


def test_a_heading_lasts_over_pages_and_the_page_is_the_place():
    made = chunk_text([Part("# Policy\n\nOne.", "page 1"), Part("Two.", "page 2")])
    assert [(piece.heading, piece.place) for piece in made] == [("Policy", "page 1"), ("Policy", "page 2")]


def test_a_table_that_fits_is_not_cut():
    rows = "\n".join(f"| RO-{n} | {n} million |" for n in range(20))
    table = f"| Model | Price |\n|---|---|\n{rows}"
    made = chunk_text([Part(SENTENCE * 12 + "\n\n" + table)])
    assert any(table in piece.text for piece in made)


def test_a_long_table_repeats_its_head():
    rows = "\n".join(f"| RO-{n} | {n} million dong |" for n in range(200))
    made = chunk_text([Part(f"| Model | Price |\n|---|---|\n{rows}")])
    assert len(made) > 3
    assert all(piece.text.startswith("| Model | Price |\n|---|---|\n| RO-") for piece in made)


def test_a_hash_inside_code_is_no_heading():
    (only,) = chunk_text([Part("# Set-up\n\n```sh\n# install\npip install x\n```")])
    assert (only.heading, only.text) == ("Set-up", "```sh\n# install\npip install x\n```")


def test_an_endless_word_is_cut():
    made = chunk_text([Part("Đường" * 4000)])
    assert len(made) > 1
    assert "".join(piece.text for piece in made) == "Đường" * 4000


def test_positions_count_through_the_document():
    made = chunk_text([Part(SENTENCE * 60, "page 1"), Part(SENTENCE * 60, "page 2")])
    assert [piece.position for piece in made] == list(range(len(made)))
