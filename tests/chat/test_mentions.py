"""Which documents a question names, by a table of what people type."""

import pytest
from desk import Desk

from maisale.chat.mentions import read
from maisale.errors import BadInput
from maisale.records import Named

NAMES = [
    Named("prices", "price-list.xlsx", "shop/price-list.xlsx", "Shop"),
    Named("prize", "prizes.md", "shop/prizes.md", "Shop"),
    Named("shifts", "Shift handbook 2026.docx", "Shift handbook 2026.docx", "Shop"),
    Named("warranty", "Bảo hành.pdf", "policies/Bảo hành.pdf", "Policies"),
    Named("menu1", "menu.md", "hanoi/menu.md", "Hanoi"),
    Named("menu2", "menu.md", "hue/menu.md", "Hue"),
    Named("plan1", "plan.md", "plan.md", "Shop"),
    Named("plan2", "plan.pdf", "plan.pdf", "Shop"),
]


@pytest.mark.parametrize(
    ("typed", "documents", "words"),
    [
        ("What does RO-9 cost in @price-list.xlsx?", ["prices"], "What does RO-9 cost in?"),
        ("@price-list what does RO-9 cost", ["prices"], "what does RO-9 cost"),
        ("@PRICE-LIST.XLSX, what does it cost?", ["prices"], "what does it cost?"),
        ("@pric what does it cost", ["prices"], "what does it cost"),
        ('Who works on Sunday (@"Shift handbook 2026")?', ["shifts"], "Who works on Sunday?"),
        ("Who works on Sunday? @“shift handbook 2026.docx”", ["shifts"], "Who works on Sunday?"),
        ("@shift who works", ["shifts"], "who works"),
        ('@"bao hanh" máy lọc nước?', ["warranty"], "máy lọc nước?"),
        ('@"BẢO HÀNH.pdf" máy lọc nước?', ["warranty"], "máy lọc nước?"),
        ("@policies/Bảo", ["warranty"], "bao hanh"),
        ("Line one\n\n@price-list.xlsx\n\n- and  a  list", ["prices"], "Line one\n\n\n\n- and a list"),
        ("What is on @menu today", ["menu1", "menu2"], "What is on today"),
        ("What is on @hue/menu.md today", ["menu2"], "What is on today"),
        ("Compare @price-list and @prizes.md.", ["prices", "prize"], "Compare and."),
        ("What is @price-list's first line", ["prices"], "What is first line"),
        ("@price-list.xlsx", ["prices"], "price list"),
        ("@plan.md when", ["plan1"], "when"),
    ],
)
def test_a_name_chooses_its_document_and_leaves_the_words(typed, documents, words):
    found = read(typed, NAMES)
    assert (list(found.documents), found.words) == (documents, words)


@pytest.mark.parametrize(
    "typed",
    [
        "Who is @linh?",
        "Write to linh@example.com and price@price-list.xlsx",
        "Write to @example.com",
        "What does `@price-list.xlsx` do?",
        "```\n@price-list.xlsx\n``` what is this",
        "```\n@price-list.xlsx is an open fence",
        "@property def f(self): what is it",
        "Meet @ 5 or @5pm?",
        "@p means what",
        "@",
        "@@@ !@# @!",
        'an empty @"" name',
    ],
)
def test_what_is_no_name_of_a_document_stays_text(typed):
    assert (read(typed, NAMES).documents, read(typed, NAMES).words) == ((), typed)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("@pri how much", "@pri could be price-list.xlsx or prizes.md: type more of the name."),
        ("@plan when", "@plan could be plan.md or plan.pdf: type more of the name."),
        ("@price-lst how much", "No document is named 'price-lst'. The closest: price-list.xlsx or prizes.md."),
        ("@price-tags.xlsx how much", "No document is named 'price-tags.xlsx'. The closest: price-list.xlsx or prizes.md."),
        ('@"night shift" who', "No document is named 'night shift'."),
        ("@zzzz.pdf, what", "No document is named 'zzzz.pdf'. The Documents page lists them."),
    ],
)
def test_a_name_of_several_documents_or_of_none_goes_back_with_what_to_do(typed, words):
    with pytest.raises(BadInput) as problem:
        read(typed, NAMES)
    assert str(problem.value).startswith(words)


def test_a_text_of_nothing_but_names_is_read_in_time():
    many = [Named(str(n), f"report-{n}.md", f"report-{n}.md", "") for n in range(3000)]
    assert read("@unknown-person " * 2000, many).documents == () and read("@“" * 16_000, many).documents == ()


def test_of_many_candidates_five_are_named():
    many = [Named(str(n), f"report-{n}.md", f"report-{n}.md", "") for n in range(1, 8)]
    with pytest.raises(BadInput, match=r"report-1.md, report-2.md, report-3.md, report-4.md, report-5.md or 2 more: type more"):
        read("@report what", many)


def test_a_document_bears_the_title_that_people_see(services, tmp_path):
    services.vectors = None  # exact search: no worker runs here
    desk = Desk(services, tmp_path)
    wanted = desk.add("w-2026.md", "# Warranty terms\n\nThe kettle is under warranty for 24 months.")
    desk.add("other.md", "# Other\n\nThe kettle is under warranty for 36 months, another paper says.")
    ack = desk.ask('How long is the warranty of the kettle? @"Warranty terms"')
    assert desk.sources(ack) == [wanted]
