"""reStructuredText to what the chunker reads: its headings as Markdown's. All else stays as it is written.

docutils is not used: it follows includes, and stops or complains at the directives and roles of Sphinx that most such files are full of.
"""

from __future__ import annotations

_BARS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_SHORTEST = 3  # of a bar: docutils takes shorter ones below a title as short


def with_headings(text: str) -> str:
    """A title is a line with a bar below it that is as long, and often one above; its level is when its kind of bar came first."""
    lines, kinds, made = text.splitlines(), [], []
    number = 0
    while number < len(lines):
        over = _bar(lines[number])
        title = lines[number + 1 if over else number : number + (2 if over else 1)]
        under = lines[number + 2 if over else number + 1 : number + (3 if over else 2)]
        if not (title and under and _is_title(title[0], under[0], over) and not (made and made[-1].strip() and not over)):
            made.append(lines[number])
            number += 1
            continue
        kind = (_bar(under[0]), bool(over))
        if kind not in kinds:
            kinds.append(kind)
        made += ["", f"{'#' * min(6, kinds.index(kind) + 1)} {title[0].strip()}", ""]
        number += 3 if over else 2
    return "\n".join(made)


def _bar(line: str) -> str:
    """The character of which a line consists; empty for other lines."""
    bar = line.rstrip()
    return bar[0] if len(bar) >= _SHORTEST and bar[0] in _BARS and bar == bar[0] * len(bar) else ""


def _is_title(title: str, under: str, over: str) -> bool:
    bar = _bar(under)
    written = title.strip()
    if not written or not bar or _bar(title) or (over and over != bar) or (title[0].isspace() and not over):
        return False
    return len(under.rstrip()) >= min(len(written), 4)
