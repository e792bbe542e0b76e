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


def test_a_heading_with_nothing_below_it_is_text_and_not_lost():
    made = chunk_text([Part("# Opening hours\n\n# Closed on Tet\n\n## Lockers\n\nOn floor two.\n\n## Showers\n\n# Call 115")])
    assert [(piece.heading, piece.text) for piece in made] == [
        ("", "Opening hours"),
        ("Closed on Tet > Lockers", "On floor two."),
        ("Closed on Tet", "Showers"),
        ("", "Call 115"),
    ]


def test_a_heading_at_the_end_of_a_page_belongs_to_the_next_one():
    made = chunk_text([Part("# Policy\n\nOne.\n\n## Returns", "page 1"), Part("Within 14 days.", "page 2"), Part("## Annex", "page 3")])
    assert [(piece.heading, piece.text) for piece in made] == [("Policy", "One."), ("Policy > Returns", "Within 14 days."), ("Policy", "Annex")]


def test_comments_of_a_configuration_are_no_headings():
    (only,) = chunk_text([Part("# Three items must be defined:\n# MAIL_DIR, ENV_SUPATH\nMAIL_DIR /var/mail\n# the rest is optional", plain=True)])
    assert only.heading == "" and only.text.splitlines()[0] == "# Three items must be defined:" and "# the rest is optional" in only.text
    (below,) = chunk_text([Part("# Notes\n\nCall Linh.", plain=True)])
    assert (below.heading, below.text) == ("Notes", "Call Linh.")


def test_names_in_headings_keep_their_underscores():
    text = "# The `pg_hba.conf` file\n\nA.\n\n# 2.1. SQLITE_BUSY and __init__\n\nB.\n\n# *Very* _important_ [notes](x.md)\n\nC."
    assert [piece.heading for piece in chunk_text([Part(text)])] == ["The pg_hba.conf file", "2.1. SQLITE_BUSY and init", "Very important notes"]


def test_no_line_of_any_text_is_lost():
    lines = [f"{mark}word{number}" for number, mark in enumerate(["# ", "## ", "", "# ", "", "### ", "", "# ", "# "] * 20)]
    for plain in (False, True):
        made = chunk_text([Part("\n".join(lines[:90]), "page 1", plain), Part("\n\n".join(lines[90:]), "page 2", plain)])
        held = " ".join(f"{piece.heading} {piece.text}" for piece in made).split()
        assert [line for line in lines if line.split()[-1] not in held] == []
