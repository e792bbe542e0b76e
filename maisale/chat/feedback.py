"""A person's verdict on an answer: thumbs up or down, and in words what was missing."""

from __future__ import annotations

from maisale.chat.ask import readable
from maisale.errors import BadInput
from maisale.records import Scope
from maisale.services import Services
from maisale.store.feedback import clear_feedback, set_feedback

VERDICTS = ("up", "down")
COMMENT_CHARACTERS = 2_000


async def judge_reply(services: Services, scope: Scope, reply_id: str, verdict: str, comment: str = "") -> None:
    """Keeps the verdict in place of an earlier one; an empty verdict takes it back. Raises BadInput or NotFound; then nothing was stored."""
    if not verdict:
        return await services.db.awrite(lambda tx: clear_feedback(tx, scope, reply_id))
    if verdict not in VERDICTS:
        raise BadInput(f"A verdict is one of {', '.join(VERDICTS)}; this is {verdict!r}.")
    words = readable(comment, "comment", COMMENT_CHARACTERS, "Say it in fewer, plain words.")
    await services.db.awrite(lambda tx: set_feedback(tx, scope, reply_id, verdict, words))
