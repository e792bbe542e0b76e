"""gpt-oss's own format, where it leaks: Ollama parses it, and now and then lets control markers through. Pure."""

from __future__ import annotations

import re

from maisale.contracts import Delta

_MARKER = re.compile(r"<\|(start|channel|message|end|return|call|constrain)\|>")
_LONGEST = len("<|constrain|>")
_HEADER = 80  # characters; a longer one is text
_QUOTED = re.compile(r"<\|(\w{1,32})\|>")


def harmless(text: str) -> str:
    """`text` without control tokens, which a document may hold and a model would obey."""
    return _QUOTED.sub(r"< |\1| >", text)


class Harmony:
    """Takes an answer in pieces of any size and gives it back without markers; what was said in the analysis channel is thinking."""

    def __init__(self) -> None:
        self._held = ""  # what may be the beginning of a marker
        self._header: str | None = None  # between <|start|> or <|channel|> and <|message|>
        self._thinking = False

    def read(self, piece: str) -> Delta:
        text = self._held + piece
        cut = _marker_begins(text)
        self._held = text[cut:]
        return self._parse(text[:cut])

    def end(self) -> Delta:
        """What was still held back. An unfinished header of a few words is dropped, a sentence is not."""
        rest, self._held = self._held, ""
        last = self._parse(rest)
        header, self._header = self._header or "", None
        return Delta(last.text + (header if len(header.split()) > 3 else ""), last.thinking)

    def _parse(self, text: str) -> Delta:
        said: dict[bool, list[str]] = {False: [], True: []}
        at = 0
        for found in [*_MARKER.finditer(text), None]:
            self._take(text[at : found.start() if found else len(text)], said)
            if found:
                at = found.end()
                self._enter(found[1])
        return Delta(text="".join(said[False]), thinking="".join(said[True]))

    def _enter(self, marker: str) -> None:
        if marker in ("start", "channel", "constrain"):
            self._header = self._header or ""
        elif marker == "message":
            self._thinking = "analysis" in (self._header or "")
            self._header = None
        else:
            self._thinking, self._header = False, None

    def _take(self, text: str, said: dict[bool, list[str]]) -> None:
        if self._header is None:
            said[self._thinking].append(text)
            return
        self._header += text
        if len(self._header) > _HEADER or "\n" in self._header:  # no <|message|> will come: it was the answer
            said[False].append(self._header)
            self._header = None


def _marker_begins(text: str) -> int:
    """Where an unfinished marker at the end of `text` begins; its length when there is none."""
    at = text.rfind("<", max(0, len(text) - _LONGEST + 1))
    unfinished = at >= 0 and re.fullmatch(r"<(\|([a-z]{0,9}\|?)?)?", text[at:])
    return at if unfinished else len(text)
