"""What handlers and the page say to each other: the parts of the screen that an event changes, and what a panel's script sent."""

from __future__ import annotations

import math
from typing import Any

import gradio as gr

from maisale.errors import MaiSaleError, QuotaSpent, TooOften
from maisale.ui.markup import whole
from maisale.ui.scene import Reader
from maisale.ui.texts import say


class Screen(tuple):
    """What an event changes on the page, by name; what is not named stays as it is. Gradio reads it as one value for each of PARTS."""

    PARTS = (
        *("rail", "header", "banners", "empty", "chat", "verdicts", "sources", "chosen", "attached", "composer", "under"),
        *("conversation", "documents", "account", "people", "choice"),
    )

    def __new__(cls, **changes: Any) -> Screen:
        if unknown := changes.keys() - set(cls.PARTS):
            raise TypeError(f"The page has no part named {sorted(unknown)[0]!r}.")
        # Gradio 6.31 empties the dict that gr.skip() returns: each needs its own.
        return super().__new__(cls, (changes[part] if part in changes else gr.skip() for part in cls.PARTS))

    def but(self, **changes: Any) -> Screen:
        return Screen(**{**dict(zip(self.PARTS, self, strict=True)), **changes})


def acted(event: gr.EventData) -> dict[str, str]:
    """What a panel's script sent: texts by name, whatever a hostile page put there."""
    sent = event._data if isinstance(event._data, dict) else {}
    return {str(name): value for name, value in sent.items() if isinstance(value, str)}


def told(problem: MaiSaleError, language: str) -> str:
    """Why something was not done, for a person."""
    if isinstance(problem, TooOften):
        return say(language, "too_often", n=max(1, math.ceil(problem.retry_after_s or 0)))
    if isinstance(problem, QuotaSpent):
        hours, minutes = divmod(math.ceil((problem.retry_after_s or 0) / 60), 60)
        return say(language, "quota_spent", most=whole(problem.per_day, language), hours=hours, minutes=minutes)
    return str(problem)


def busy(who: Reader) -> Any:
    """While an answer is written. What is typed stays: people write their next question meanwhile."""
    return _composer(who, submit_btn=False, stop_btn=True)


def idle(who: Reader) -> Any:
    """Ready for a question."""
    return _composer(who, submit_btn=True, stop_btn=False)


def _composer(who: Reader, **buttons: bool) -> Any:
    return gr.MultimodalTextbox(placeholder=say(who.language, "ask_placeholder"), **buttons)
