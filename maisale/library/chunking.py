"""Text to chunks of about 256 tokens, each with its heading path and its place. Which text a file holds is reading.py's to say.

Markdown aware: a chunk ends at a heading where it can, a table or a block of code is cut only when it alone is too long, and then between
lines, a table with its head repeated. No overlap: it changes nothing measurable, and every sentence is found once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from maisale.text import main_language, sentences, token_cost

CHUNK_TOKENS = {"en": 256, "vi": 384}  # as many words in both; English 256 finds most in 1000 tokens of context (384 .885, 512 .865), Vietnamese 384 (R@1 +.04)
LONGEST = 1.5  # times a chunk that a table or a block of code may take before it is cut
SMALL = 0.25  # of a chunk: a rest shorter than this joins the chunk before it

_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.+?)\s*#*\s*$")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_MARKUP = re.compile(r"`+([^`]+)`+|!?\[([^\]]*)\]\([^)]*\)|[*`]+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")  # pg_hba.conf keeps its line


@dataclass(frozen=True, slots=True)
class Part:
    """A page, a sheet, a slide or a whole file. place: "page 3", or empty. plain: a line with # is a heading only where it stands alone."""

    text: str
    place: str = ""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk before it belongs to a document."""

    text: str
    heading: str  # path, " > " between
    place: str  # for people: "page 3", "section Returns"
    position: int
    tokens: int  # estimate


@dataclass
class _Heading:
    level: int
    name: str
    said: bool = False  # something stands below it, and bears its name


@dataclass
class _Block:
    """What should stay together: a paragraph, a list, a table, a block of code."""

    text: str
    heading: str
    kind: str  # prose, table or code
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = token_cost(self.text)


def chunk_text(parts: Sequence[Part]) -> list[Piece]:
    """The chunks of a document in reading order. A chunk never reaches over two parts or two headings."""
    found: list[Piece] = []
    path: list[_Heading] = []  # headings last over pages
    most = CHUNK_TOKENS[main_language(part.text for part in parts)]
    for part in parts:
        for blocks in _sections(_blocks(part, path, last=part is parts[-1])):
            heading = blocks[0].heading
            place = part.place or (f"section {heading.rsplit(' > ', 1)[-1]}" if heading else "")
            for text, tokens in _pack(blocks, most):
                found.append(Piece(text, heading, place, len(found), round(tokens)))
    return found


def _blocks(part: Part, path: list[_Heading], last: bool) -> Iterator[_Block]:
    """The blocks of a part in order; `path` is kept up to date. A heading with nothing below it is text. last: no part follows."""
    lines: list[str] = []
    kind, fence = "prose", ""

    def flush() -> Iterator[_Block]:
        body = "\n".join(lines).strip("\n").rstrip()
        lines.clear()
        if body.strip():
            for one in path:
                one.said = True
            yield _Block(body, _path(path), kind)

    def leave(level: int) -> Iterator[_Block]:
        """Ends what stands below headings of this level and deeper ones."""
        while path and path[-1].level >= level:
            ended = path.pop()
            if not ended.said:
                for one in path:
                    one.said = True
                yield _Block(ended.name, _path(path), "prose")

    text = part.text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(text):
        mark = _FENCE.match(line)
        if fence:
            lines.append(line)
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                yield from flush()
                kind, fence = "prose", ""
        elif mark:
            yield from flush()
            kind, fence = "code", mark[1]
            lines.append(line)
        elif (heading := _HEADING.match(line)) and not (part.plain and _in_a_row(text, number)):
            yield from flush()
            kind = "prose"
            yield from leave(len(heading[1]))
            path.append(_Heading(len(heading[1]), _plain(heading[2])))
        else:
            row = line.lstrip().startswith("|")
            if not line.strip() or row != (kind == "table"):
                yield from flush()
                kind = "table" if row else "prose"
            if line.strip():
                lines.append(line)
    yield from flush()
    if last:
        yield from leave(0)


def _path(headings: Sequence[_Heading]) -> str:
    return " > ".join(one.name for one in headings)


def _in_a_row(lines: Sequence[str], number: int) -> bool:
    """Whether another line stands directly above or below: so begin comments in a configuration."""
    return any(0 <= one < len(lines) and lines[one].strip() for one in (number - 1, number + 1))


def _plain(heading: str) -> str:
    return _MARKUP.sub(lambda found: found[1] or found[2] or "", heading).strip()


def _sections(blocks: Iterator[_Block]) -> Iterator[list[_Block]]:
    """Runs of blocks below one heading."""
    run: list[_Block] = []
    for block in blocks:
        if run and run[0].heading != block.heading:
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _pack(blocks: list[_Block], most: int) -> list[tuple[str, float]]:
    """Texts of up to `most` tokens, each with its tokens; a small rest at the end joins the text before it."""
    texts: list[tuple[str, float]] = []
    for text, tokens, joint in _pieces(blocks, most):
        before, size = texts[-1] if texts else ("", 0)
        if texts and size + tokens <= most:
            texts[-1] = (before + joint + text, size + tokens)
        else:
            texts.append((text, tokens))
    if len(texts) > 1 and texts[-1][1] < SMALL * most:
        (before, size), (rest, tokens) = texts[-2:]
        texts[-2:] = [(f"{before}\n\n{rest}", size + tokens)]
    return texts


def _pieces(blocks: list[_Block], most: int) -> Iterator[tuple[str, float, str]]:
    """(text, tokens, what joins it to the text before): whole blocks, or the pieces of one that is too long."""
    for block in blocks:
        room = most if block.kind == "prose" else most * LONGEST
        if block.tokens <= room:
            yield block.text, block.tokens, "\n\n"
        elif block.kind == "prose":
            for number, sentence in enumerate(_prose(block.text, most)):
                yield sentence, token_cost(sentence), " " if number else "\n\n"
        else:
            for text in _rows(block, most):
                yield text, token_cost(text), "\n\n"


def _prose(text: str, most: int) -> Iterator[str]:
    """The sentences or, in a list, the lines of a long paragraph; what is still too long is cut between words."""
    lines = text.split("\n")
    listed = sum(bool(re.match(r"\s*(?:[-*+•]|\d{1,3}[.)])\s", line)) for line in lines) > 1
    for piece in (line for line in lines) if listed else sentences(text):
        yield from _cut(piece + "\n" if listed else piece, most)


def _cut(text: str, most: int) -> Iterator[str]:
    tokens = token_cost(text)
    if tokens <= most:
        yield text
        return
    size = max(40, int(len(text) * most / tokens))  # characters
    start = 0
    while start < len(text):
        end = min(len(text), start + size)
        space = text.rfind(" ", start + size // 2, end) if end < len(text) else end
        end = space if space > start else end
        yield text[start:end].strip()
        start = end


def _rows(block: _Block, most: int) -> Iterator[str]:
    """A long table or block of code in pieces, cut between lines; each piece of a table begins with its head."""
    lines = [piece for line in block.text.split("\n") for piece in _cut(line, most)] if block.kind == "table" else block.text.split("\n")
    head = lines[:2] if block.kind == "table" and len(lines) > 2 and re.fullmatch(r"[\s|:-]+", lines[1]) else []
    head_tokens = token_cost("\n".join(head))
    kept, size = list(head), head_tokens
    for line in lines[len(head) :]:
        tokens = token_cost(line)
        if size + tokens > most and len(kept) > len(head):
            yield "\n".join(kept)
            kept, size = list(head), head_tokens
        kept.append(line)
        size += tokens
    if len(kept) > len(head):
        yield "\n".join(kept)
