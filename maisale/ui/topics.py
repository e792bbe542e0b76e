"""What a document can be asked about, from its headings: those that say something, of passages that are prose. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from maisale.records import Chunk, Document
from maisale.text import fold, language, sentences, words

HEADING_CHARACTERS = 60
PROSE_WORDS = 20  # of a passage, in sentences that end
TABLES = (".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".ndjson", ".log")

# Headings that every handbook and manual page has, folded: asked about them, any document answers.
GENERIC = frozenset(
    " ".join(one.split())
    for one in """
    about, abstract, acknowledgements, acknowledgments, appendix, arguments, author, authors, background, basics, bugs, caveats, changelog, conclusion,
    conclusions, configuration, contact, content, contents, copyright, credits, definition, definitions, description, details, diagnostics, environment,
    example, examples, exit codes, exit status, faq, files, foreword, further reading, general, getting started, glossary, guide, help, history, home,
    implementation, index, information, installation, intro, introduction, licence, license, limitations, links, list, more, more information, name, note,
    notes, notice, options, other, output, overview, parameters, preface, prerequisites, purpose, questions, readme, reference, references, related,
    remarks, requirements, resources, return value, return values, scope, section, see also, setup, standards, summary, support, syntax, synopsis, table
    of contents, terminology, terms, tips, title, toc, todo, troubleshooting, usage, version, versions, warning, warnings, welcome,
    ban quyen, cac tuy chon, cach dung, cai dat, cau hinh, chi tiet, chu y, cu phap, dinh nghia, doi so, ghi chu, giay phep, gioi thieu, gioi thieu chung,
    huong dan, ket luan, khai quat, lich su, lien he, loi cam on, loi gioi thieu, loi mo dau, loi noi dau, luu y, mo dau, mo ta, muc dich, muc luc, noi
    dung, phien ban, phu luc, tac gia, tai lieu lien quan, tai lieu tham khao, tham khao, tham so, ten, thong tin, thong tin them, tom tat, tong quan,
    trang chu, tro giup, tuy chon, vi du, xem them, yeu cau,
    """.split(",")
)
_CODE = re.compile(r"[_/\\(){}\[\]<>=`$@#*|~^]|--|::|^[-.]|\w\.\w|[a-z][A-Z]")  # lease_until, fs.readFile, --force, package.json
_NUMBER = re.compile(r"^(?:(?:chapter|appendix|section|part|chương|phần|mục|phụ lục)\s+)?(?:\d+|[A-Z])(?:\.\d+)*[.:)]?\s+", re.IGNORECASE)


class Topic(NamedTuple):
    title: str  # of the document, as its passages bear it
    heading: str
    language: str


def topics(passages: Sequence[Chunk]) -> Iterator[Topic]:
    """In the order of the document, each heading once."""
    seen = set()
    for passage in passages:
        heading = " ".join(passage.heading.split(" > ")[-1].rstrip("¶ ").split())
        if heading in seen or not says_something(heading) or fold(heading) == fold(passage.title) or not is_prose(passage.text):
            continue
        seen.add(heading)
        yield Topic(passage.title, _bare(heading), language(heading, otherwise=language(passage.text)))


def _bare(heading: str) -> str:
    """Without its number and the sign at its end."""
    return _NUMBER.sub("", heading).strip(" .:?")


def says_something(heading: str) -> bool:
    """Not what stands in every document, nor the name of a file, an option or a function."""
    bare = _bare(heading)
    plain = " ".join(words(bare))
    return bool(re.search(r"[^\W\d_]{2}", bare)) and len(heading) <= HEADING_CHARACTERS and plain not in GENERIC and not _CODE.search(bare)


def is_prose(text: str) -> bool:
    """Whether a passage says something in sentences: no front matter, table, data or code."""
    if "```" in text or "~~~" in text:
        return False
    told = [one for one in sentences(text) if one.rstrip("\"'”’)*").endswith((".", "?", "!", "…")) and not re.search(r"[{}|=;]|::|^[\w-]+: ", one)]
    return sum(len(words(one)) for one in told) >= PROSE_WORDS


def spread(listed: Sequence[Document]) -> list[Document]:
    """Prose before tables, and of each folder one before a second of any, from all over it: an import's newest files are its last."""
    folders: dict[tuple[str, str], list[Document]] = {}
    for one in listed:
        folders.setdefault((one.collection_id, str(PurePosixPath(one.source).parent)), []).append(one)
    ranked = [(one.source.lower().endswith(TABLES), turn, one) for folder in folders.values() for turn, one in enumerate(_all_over(folder))]
    return [one for *_, one in sorted(ranked, key=lambda each: each[:2])]


def _all_over(folder: Sequence[Document]) -> list[Document]:
    """The first, the one in the middle, those between them, and so on: places in the order of their reversed bits (van der Corput)."""
    bits = max(1, (len(folder) - 1).bit_length())
    return [folder[place] for place in sorted(range(len(folder)), key=lambda place: f"{place:0{bits}b}"[::-1])]
