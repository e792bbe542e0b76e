"""Documents that a question names: `@price-list.xlsx`, `@price-list` or `@"Shift handbook 2026"`. Pure: a text and names in, ids and words out.

An @ begins a name at the start of a word: never inside linh@example.com, nor in `code`. Typed in any case, with or without diacritics, it is
looked for among file names and titles, then among them without their endings, then as the beginning of one. Several documents of the same
file name are all meant; of different names, the question goes back with the choice.

A name that no document bears stays what it is, text, for people are written @linh as well. It goes back only when it can hardly be anything
but a document: in quotation marks, with a file's ending, or a slip of the pen away from a name that exists.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from maisale.errors import BadInput
from maisale.library.reading import ENDINGS
from maisale.records import Named
from maisale.text import fold, words

SHORTEST_BEGINNING = 2  # characters that may stand for a longer name
LOOKED_AT = 20  # of the names in one question; a pasted mail thread may hold thousands of @
SLIP = 0.8  # difflib's ratio: "price-lst" and "price-list" have .95
SLIP_CHARACTERS = 5  # shorter names are too alike: "minh" and "min" have .86
ALIKE = 0.6
LISTED = 5  # candidates in a complaint
CLOSEST = 2

_CODE = re.compile(r"```.*?(?:```|\Z)|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)", re.DOTALL)
_MENTION = re.compile(r"""(?<![^\s(\[{"'“‘«,;:–—])@(?:"([^"\n]{1,255})"|“([^”\n]{1,255})”|([^\s@"“”]{1,255}))""")
_AFTER_A_NAME = re.compile(r"""(?:['’]s)?[.,;:!?…)\]}'’»]*$""")
_LEFT_OVER = re.compile(r"^[\s,;:]+|[(\[]\s*[)\]]|[^\S\n]+(?=[.,;:!?…)\]}]|[^\S\n])")  # around a name that was taken out


@dataclass(frozen=True, slots=True)
class Mentions:
    """documents: ids, each once, in the order they are named. words: the question without their names, or of nothing but names their words."""

    documents: tuple[str, ...]
    words: str


class _Known:
    """A document with its names as they are compared."""

    def __init__(self, one: Named):
        self.one = one
        self.file = file_name(one)
        self.whole = {_plain(name) for name in (self.file, one.title, one.source)}
        self.stems = {_plain(_stem(name)) for name in (self.file, one.title)}


def read(text: str, names: Sequence[Named]) -> Mentions:
    """The documents that `text` names, of `names`. Raises BadInput for a name that could be several documents, or none and nothing else."""
    found: dict[str, Named] = {}
    kept, at = [], 0
    for start, end, meant in _mentions(text, [_Known(one) for one in names]):
        kept.append(text[at:start])
        at = end
        found.update({known.one.id: known.one for known in meant})
    rest = _tidy("".join([*kept, text[at:]])) if found else text
    if found and not words(rest):
        rest = " ".join(dict.fromkeys(" ".join(words(_stem(file_name(one)))) for one in found.values()))
    return Mentions(tuple(found), rest)


def file_name(one: Named) -> str:
    """What people call the document: the last part of where it came from."""
    return PurePosixPath(one.source).name or one.title


def _mentions(text: str, names: Sequence[_Known]) -> Iterator[tuple[int, int, list[_Known]]]:
    """(start, end, the documents meant) of each recognised name."""
    code = [found.span() for found in _CODE.finditer(text)]
    outside = (found for found in _MENTION.finditer(text) if not any(start <= found.start() < end for start, end in code))
    for found in islice(outside, LOOKED_AT):
        quoted = found[1] or found[2]
        typed = quoted or found[3]
        # "See @price-list.xlsx, please": the comma is the sentence's, unless a name ends in it.
        spelled = dict.fromkeys([typed] if quoted else [typed, _AFTER_A_NAME.sub("", typed)])
        for spelling in filter(None, spelled):
            if meant := _meant(spelling, names):
                end = found.end() if quoted else found.start() + 1 + len(spelling)
                yield found.start(), end + (2 if text[end : end + 2] in ("'s", "’s") else 0), meant
                break
        else:
            _refuse_unless_text(_AFTER_A_NAME.sub("", typed), bool(quoted), names)


def _meant(spelling: str, names: Sequence[_Known]) -> list[_Known]:
    """The documents of this name: exactly, without its ending, or by its beginning; empty when there is none. Raises BadInput for different ones."""
    wanted = _plain(spelling)
    meant = [known for known in names if wanted in known.whole] or [known for known in names if wanted in known.stems]
    if not meant and len(wanted) >= SHORTEST_BEGINNING:
        meant = [known for known in names if any(name.startswith(wanted) for name in known.whole)]
    different = {_plain(known.file): known.file for known in reversed(meant)}
    if len(different) > 1:
        raise BadInput(f"@{spelling} could be {_either([different[name] for name in sorted(different)])}: type more of the name.")
    return meant


def _refuse_unless_text(spelling: str, quoted: bool, names: Sequence[_Known]) -> None:
    """Raises BadInput when `spelling` is meant as a document's name."""
    wanted = _plain(_stem(spelling))
    files = {stem: known.file for known in reversed(names) for stem in known.stems}
    slip = len(wanted) >= SLIP_CHARACTERS and difflib.get_close_matches(wanted, files, 1, SLIP)
    if not (quoted or spelling.lower().endswith(ENDINGS) or slip):
        return
    close = dict.fromkeys(files[name] for name in difflib.get_close_matches(wanted, files, CLOSEST, ALIKE))
    raise BadInput(f"No document is named {spelling!r}." + (f" The closest: {_either(list(close))}." if close else " The Documents page lists them."))


def _tidy(text: str) -> str:
    while (tidied := _LEFT_OVER.sub("", text)) != text:
        text = tidied
    return text.strip()


def _stem(name: str) -> str:
    return PurePosixPath(name).stem if name.lower().endswith(ENDINGS) else name


def _plain(name: str) -> str:
    return " ".join(fold(name).split())


def _either(shown: Sequence[str]) -> str:
    """a, b or c; of more than LISTED, how many are left out."""
    *first, last = [*shown[:LISTED], f"{len(shown) - LISTED} more"] if len(shown) > LISTED else shown
    return f"{', '.join(first)} or {last}" if first else last
