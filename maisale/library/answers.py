"""What an answer keeps of something that is deleted, and the answer without it. Pure.

An answer whose words rest on what is gone says so instead; one that only had it among its sources, or considered it, keeps its words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from maisale.records import Candidate, Citation, Trace
from maisale.store.answers import Held
from maisale.text import words

RUN = 8  # words in a row: shorter ones stand in many texts
GONE = {
    "en": "What this answer rested on was deleted, and the answer with it. Ask again for one without it.",
    "vi": "Nguồn của câu trả lời này đã bị xoá, và câu trả lời cũng bị xoá theo. Hãy hỏi lại để có câu trả lời không dùng nguồn ấy.",
}


def without(answer: Held, ids: Collection[str], titles: Mapping[str, str]) -> tuple[Held, bool]:
    """The answer without these documents and messages, and whether its words had to go.

    titles: names that go, each with what stands in its place; with nothing, it leaves the lists of names.
    """
    gone = [one for one in answer["citations"] if _is_of(one, ids)]
    rests = any(rests_on(answer["text"], one) for one in gone)
    kept = [replace(one, title=titles.get(one.title, one.title)) for one in answer["citations"] if not _is_of(one, ids)]
    trace = _trace(answer["trace"], ids, titles) if answer["trace"] else None
    named = answer["trace"] and any(not titles[one] and one in answer["text"] for one in answer["trace"].closest if one in titles)
    text = GONE[trace.language if trace else "en"] if rests or named else answer["text"]
    went = rests or bool(named)
    sources = () if went else tuple(kept)
    # A verdict keeps which sources there were, so that it is known for one about something deleted.
    judged = tuple(_emptied(one) if one in gone else one for one in answer["citations"])
    return {**answer, "text": text, "thinking": "" if gone else answer["thinking"], "citations": sources, "trace": trace, "judged": judged}, went


def _emptied(one: Citation) -> Citation:
    return replace(one, title="", place="", heading="", text="", highlights=(), unsupported=())


def rests_on(text: str, source: Citation) -> bool:
    """Whether an answer names this source, or repeats a run of its words."""
    if f"[{source.number}]" in text:
        return True
    said, held = words(text), words(source.text)
    runs = {tuple(held[start : start + RUN]) for start in range(len(held) - RUN + 1)}
    return any(tuple(said[start : start + RUN]) in runs for start in range(len(said) - RUN + 1))


def _is_of(one: Citation | Candidate, ids: Collection[str]) -> bool:
    about = one.chunk if isinstance(one, Candidate) else one
    return about.document_id in ids or about.message_id in ids


def _trace(trace: Trace, ids: Collection[str], titles: Mapping[str, str]) -> Trace:
    candidates = tuple(_titled(one, titles) for one in trace.candidates if not _is_of(one, ids))
    lists = {name: tuple(new for one in getattr(trace, name) if (new := titles.get(one, one))) for name in ("closest", "only_in")}
    return replace(trace, candidates=candidates, **lists)


def _titled(one: Candidate, titles: Mapping[str, str]) -> Candidate:
    return replace(one, chunk=replace(one.chunk, title=titles[one.chunk.title])) if one.chunk.title in titles else one
