"""An export as Markdown stays text in whatever shows it."""

import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from maisale.chat.transcript import as_markdown
from maisale.records import Citation, Conversation, Message, Reply

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<IMG\nSRC=x>",
    "<svg/onload=alert(1)>",
    "<!-- hidden --><!doctype x><?php x ?>",
    "</textarea><iframe src='https://evil.example'>",
    "[x](javascript:alert(1))",
    "[x]( <javascript:alert(1)>)",
    "[x](&#106;avascript:alert(1))",
    "[x](//evil.example/x)",
    "[x](data:text/html,<script>alert(1)</script>)",
    "![x](https://evil.example/pixel.png)",
    "![x][1]\n\n[1]: https://evil.example/pixel.png",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "[![x](https://evil.example/pixel.png)](https://evil.example)",
    r"\![x](https://evil.example/pixel.png)",
    r"\\![x](https://evil.example/pixel.png)",
    r"[x\\](javascript:alert(1))",
    "<javascript:alert(1)>",
    "`<b>` ``` <script>alert(1)</script>",
]


def exported(text):
    citation = Citation(1, "d#chunk_0", text, text, text, 1.0, "strong", cited=True)
    reply = Reply("r", "q", "c", "failed", text, cause=text, citations=(citation,))
    said = [Message("q", "c", "user", text, 1, {}, 0.0), Message("r", "c", "assistant", text, 1, {}, 0.0, reply)]
    return as_markdown(Conversation("c", text, 0.0, 0.0), said)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_viewer_finds_anything_to_run_or_to_fetch(text):
    shown = BeautifulSoup(MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(exported(text)), "html.parser")
    assert {tag.name for tag in shown.find_all()} <= {"h1", "h2", "p", "em", "strong", "ul", "li", "code", "pre", "a", "br"}
    links = [tag.get("href", "") for tag in shown.find_all("a")]
    assert all(link.startswith(("https://", "http://", "mailto:", "#")) for link in links)
    assert not [tag for tag in shown.find_all() if set(tag.attrs) - {"href"}]


def test_ordinary_markdown_stays_as_it_is():
    text = "It is **24 months** [1], see [the page](https://example.com/a).\n\n| a | b |\n| --- | --- |\n| 1 < 2 | 3 |\n\n```\ncode\n```"
    assert text in exported(text)
