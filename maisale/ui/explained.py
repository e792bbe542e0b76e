"""An explanation in one or two sentences. Pure."""

from __future__ import annotations

from maisale.chat.explain import Explanation
from maisale.ui.markup import decimal
from maisale.ui.texts import say


def in_words(found: Explanation, language: str) -> str:
    """What became of the document, with the scores it was decided by; "today" where it was found out anew."""
    figures = {
        "title": found.document.title,
        "rank": found.rank or 0,
        "all": found.candidates,
        "number": (found.best.number if found.best else None) or 0,
        "score": decimal(found.best.score if found.best else None, language),
        "last": decimal(found.last_used, language),
        "have": decimal(found.gate, language),
        "need": decimal(found.gate_needed, language),
        "cause": found.cause,
    }
    parts = [say(language, "why_today")] if found.today and found.verdict != "later" else []
    if found.verdict == "behind":  # nothing more is to be said than where it stands
        return " ".join([*parts, f"{found.document.title}:", say(language, "why_behind_all", **figures)])
    parts.append(say(language, f"why_{found.verdict}", **figures))
    if found.verdict == "later" and found.best:
        parts.append(say(language, "why_rank" if found.rank else "why_behind_all", **figures))
    if found.best is not None and found.best.vector_score is not None:
        scores = {"meaning": found.best.meaning_score or found.best.vector_score, "words": max(found.best.word_score, found.best.stem_score)}
        parts.append(say(language, "why_scores", **{name: decimal(score, language) for name, score in scores.items()}))
    return " ".join(parts)
