"""Which conversation each tab shows. Events of a tab overlap: what comes late must not hide what was chosen after it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

WATCHED_TABS = 2000


@dataclass(eq=False, slots=True)
class Shown:
    """conversation_id: empty for a new one. drawn: its screen was sent. follower: whose turn it is to write its running answers there."""

    conversation_id: str
    drawn: bool = False
    follower: object = None


class Tabs:
    def __init__(self) -> None:
        self._shown: OrderedDict[str, Shown] = OrderedDict()

    def now(self, request: gr.Request) -> Shown | None:
        return self._shown.get(str(request.session_hash))

    @contextmanager
    def choosing(self, request: gr.Request, conversation_id: str) -> Iterator[Shown]:
        """This tab shows this conversation from now on, and its screen is sent within; whoever followed for it before ends."""
        tab, chosen = str(request.session_hash), Shown(conversation_id)
        self._shown[tab] = chosen
        self._shown.move_to_end(tab)
        while len(self._shown) > WATCHED_TABS:
            self._shown.popitem(last=False)
        try:
            yield chosen
        finally:
            chosen.drawn = True

    def follow(self, request: gr.Request, conversation_id: str) -> Shown | None:
        """Of the conversation that the page shows; None while another one is about to be drawn.

        Two screens may reach the page in another order than they were made: the page is right then.
        """
        shown = self.now(request)
        if shown is None or shown.drawn and shown.conversation_id != conversation_id:
            with self.choosing(request, conversation_id) as shown:
                pass
        return shown if shown.conversation_id == conversation_id else None
