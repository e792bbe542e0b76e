"""Citations in an answer: only known numbers reach the reader, and each cited sentence is laid beside its passage.

The check compares words and numbers. It finds a sentence that its source does not carry; it cannot tell whether a sentence is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from maisale.records import Citation
from maisale.stemming import stem
from maisale.text import PLACEHOLDER, content_words, indexed_text, language, sentences

LONGEST_HELD = 2000  # characters: what is not complete by then is ordinary text
SUPPORTED = 0.5  # share of a sentence's words that its passages must hold
FEW_WORDS = 3  # below it, only numbers are compared

# [0-9]: \\d takes the digits of every script.
_NUMBERS = re.compile(r"\[\s*\^?([0-9]{1,4}(?:\s*[,;–-]\s*[0-9]{1,4})*)\s*\]")
_MAYBE_NUMBERS = re.compile(r"\[\s*\^?[0-9\s,;–-]*$")
_FOREIGN = re.compile(r"【\s*([0-9]{1,4})[^】\n]*】")  # gpt-oss: 【1†L3-L5】
_MAYBE_FOREIGN = re.compile(r"【[^】\n]*$")
_INSIDE = r"(?:[^\[\]]|\[[^\[\]]*\])*"  # of brackets, one pair deep
_WITHIN = r"(?:[^()]|\([^()]*\))*"
_IMAGE = re.compile(rf"!\[({_INSIDE})\](?:\({_WITHIN}\)|\[(?![0-9\s,;–-]*\])[^\[\]]*\]|(?=[^(\[]))")
_MAYBE_IMAGE = re.compile(rf"!(?:\[{_INSIDE}(?:\[[^\[\]]*|\](?:\({_WITHIN}(?:\([^()]*)?|\[[^\[\]]*)?)?)?$")
_TAG = re.compile(r"<(?:/?[A-Za-z][^<>]*|!--.*?--|\|[^|<>\n]*\|)>", re.DOTALL)
_MAYBE_TAG = re.compile(r"<(?:/?(?:[A-Za-z][^<>]*)?|!(?:-(?:-.*)?)?|\|[^|<>\n]*\|?)$", re.DOTALL)
_AUTOLINK = re.compile(r"<(?:https?://|mailto:)[^<>\s]*>")
_TICKS = re.compile(r"`+")
_SPECIAL = re.compile(r"[ \t]*[\[【<]|!(?=\[|$)|`+|[ \t]+$")
_MARK = re.compile(r"(?<!\\)\[(\d+)\]")
_AFTER_STOP = re.compile(r"([.!?…])\s*((?:\[\d+\])+)")
_BLANK_BEFORE_STOP = re.compile(r"\s+(?=[.,;:!?…])")
_FIGURE = re.compile(r"\d(?:[\d.,]*\d)?")


class CitationFilter:
    """A model's stream as a reader may see it: `feed` what comes, then `end`. However the text is cut into pieces, the result is the same.

    [n] passes for 1 <= n <= count, [1, 2] and 【1】 become [1][2] and [1], other numbers vanish; images become their text, HTML tags go;
    code and links stay as they are.
    """

    def __init__(self, count: int):
        self._count = count
        self._held = ""
        self._code = ""  # the run of backticks that ends the code we are in

    def feed(self, text: str) -> str:
        self._held += text
        return "".join(self._ready(last=False))

    def end(self) -> str:
        """What was still held back."""
        shown = "".join(self._ready(last=True))
        self._held = ""
        return shown

    def _ready(self, last: bool) -> Iterable[str]:
        while self._held:
            step = self._code_step(last) if self._code else self._text_step(last)
            if step is None:
                return
            shown, taken = step
            self._held = self._held[taken:]
            yield shown

    def _code_step(self, last: bool) -> tuple[str, int] | None:
        """(what to show, how much of the held text it took); None: more must come first."""
        for run in _TICKS.finditer(self._held):
            if run.end() == len(self._held) and not last:
                return (self._held[: run.start()], run.start()) if run.start() else None
            if len(run[0]) == len(self._code) or len(run[0]) > len(self._code) >= 3:
                self._code = ""
                return self._held[: run.end()], run.end()
        return self._held, len(self._held)

    def _text_step(self, last: bool) -> tuple[str, int] | None:
        found = _SPECIAL.search(self._held)
        if found is None:
            return self._held, len(self._held)
        if found.start():
            return self._held[: found.start()], found.start()
        step = self._special_step(found[0], last)
        if step is None and (last or len(self._held) > LONGEST_HELD):
            if _MAYBE_NUMBERS.fullmatch(self._held.lstrip()):
                return "", len(self._held)  # a citation that was never finished
            return ("‹" if self._held[0] == "<" else self._held[0]), 1
        return step

    def _special_step(self, opening: str, last: bool) -> tuple[str, int] | None:
        blank = len(opening) - len(opening.lstrip())
        rest = self._held[blank:]
        before = self._held[:blank]
        if not rest:
            return (before, blank) if last else None
        if rest[0] == "`":
            return self._open_code(rest, last)
        if rest[0] == "!":
            return self._image(rest, last)
        step = self._tag(rest) if rest[0] == "<" else self._number(rest)
        if step is None:
            return None
        shown, taken = step
        if shown == "" and rest[0] != "<":
            before = ""  # "fact [7]." without its unknown number is "fact."
        return before + shown, blank + taken

    def _open_code(self, rest: str, last: bool) -> tuple[str, int] | None:
        run = _TICKS.match(rest)[0]
        if len(run) == len(rest) and not last:
            return None
        if len(run) < 3:
            # A lone backtick opens nothing: inline code must close before its paragraph ends.
            close = re.compile(rf"(?<!`){run}(?!`)").search(rest, len(run))
            paragraph = rest.find("\n\n", len(run))
            if close is None or 0 <= paragraph < close.start():
                return (run, len(run)) if last or paragraph >= 0 or len(rest) > LONGEST_HELD else None
            if close.end() == len(rest) and not last:
                return None
            return rest[: close.end()], close.end()
        self._code = run
        return run, len(run)

    def _image(self, rest: str, last: bool) -> tuple[str, int] | None:
        if image := _IMAGE.match(rest):
            return image[1], image.end()
        if rest == "!" and last:
            return "!", 1
        return None if _MAYBE_IMAGE.match(rest) and not last else ("" if rest.startswith("![") else "!", 1)

    def _tag(self, rest: str) -> tuple[str, int] | None:
        if link := _AUTOLINK.match(rest):
            return link[0][1:-1], link.end()
        if tag := _TAG.match(rest):
            return (" " if tag[0].lower().startswith("<br") else ""), tag.end()
        return None if _MAYBE_TAG.match(rest) else ("<", 1)

    def _number(self, rest: str) -> tuple[str, int] | None:
        if found := _NUMBERS.match(rest) or _FOREIGN.match(rest):
            return "".join(f"[{number}]" for number in self._known(found[1])), found.end()
        return None if _MAYBE_NUMBERS.match(rest) or _MAYBE_FOREIGN.match(rest) else (rest[0], 1)

    def _known(self, listed: str) -> list[int]:
        """The known ones of "1, 3-5"."""
        numbers: list[int] = []
        for part in re.split(r"\s*[,;]\s*", listed.strip()):
            ends = [int(one) for one in re.split(r"\s*[–-]\s*", part) if one]
            numbers += range(min(ends), min(max(ends), self._count) + 1)
        return [number for number in dict.fromkeys(numbers) if 1 <= number <= self._count]


def check(text: str, citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """The citations with what the answer makes of them: named or not, and the sentences that their passages do not bear out."""
    by_number = {citation.number: citation for citation in citations}
    cited: set[int] = set()
    unsupported: dict[int, list[str]] = {}
    for sentence in sentences(_AFTER_STOP.sub(r" \2\1", text)):
        numbers = [number for mark in _MARK.findall(sentence) if (number := int(mark)) in by_number]
        cited.update(numbers)
        said = _BLANK_BEFORE_STOP.sub("", " ".join(_MARK.sub("", PLACEHOLDER.sub("", sentence)).replace("\\", "").split()))
        if numbers and not _borne_out(said, [by_number[number] for number in numbers]):
            for number in dict.fromkeys(numbers):
                unsupported.setdefault(number, []).append(said)
    return tuple(replace(one, cited=one.number in cited, unsupported=tuple(unsupported.get(one.number, ()))) for one in citations)


def _borne_out(said: str, passages: Sequence[Citation]) -> bool:
    """Whether the passages together hold a sentence's figures and enough of its words."""
    held = "\n".join(indexed_text(one.title, one.heading, one.text) for one in passages)
    if f" {said} " in f" {' '.join(held.split())} ":
        return True  # word for word, as quotations are
    if not _figures(said) <= _figures(held):
        return False
    spoken = language(said)
    found = {stem(word) for word in content_words(said, spoken)}
    if len(found) < FEW_WORDS or all(language(one.text) != spoken for one in passages):
        return True  # words of another language cannot be compared
    return len(found & {stem(word) for word in content_words(held, spoken)}) >= SUPPORTED * len(found)


def _figures(text: str) -> set[str]:
    return {re.sub(r"[.,]", "", figure) for figure in _FIGURE.findall(text)}
