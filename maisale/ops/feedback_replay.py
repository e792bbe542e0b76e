"""What people judged, asked again of the flow as it is now: a change is tried on one's own cases before it is kept. Reads only.

An answer with thumbs up should rest on the same passages, one with thumbs down on others. What was said in the conversation since then
takes part, as it does when somebody presses "Ask again".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maisale.chat.ask import decide_answer
from maisale.errors import NotFound
from maisale.flow.state import Decision
from maisale.records import Citation, Feedback, Scope
from maisale.services import Services
from maisale.store import conversations, documents

STATES = ("same", "changed", "gone")


@dataclass(frozen=True, slots=True)
class Replayed:
    """A judged question, then and now."""

    reply_id: str
    question: str
    verdict: str  # up or down
    comment: str
    state: str  # same, changed, or gone: its conversation or a document of its answer was deleted
    ranks: tuple[tuple[int, int | None], ...] = ()  # of each passage that was judged: then, now; None: it would not be chosen
    still_chosen: bool = False  # all of them are among as many passages as the answer had
    still_first: bool = False  # the first of them stands no lower


def replay(services: Services, tenant_id: str, judged: Feedback) -> Replayed:
    """up: same when the judged passages are chosen again and the first stands no lower. down: same when each stands where it stood."""
    told = (judged.reply_id, judged.question, judged.verdict, judged.comment)
    scope = Scope(tenant_id, judged.user_id)
    passages = rested_on(judged.citations)
    try:
        for document_id in {one.document_id for one in passages if one.document_id}:
            documents.get_document(services.db, scope, document_id)
        reply = conversations.get_reply(services.db, scope, judged.reply_id)
        now = ranking(decide_answer(services, scope, reply))
    except NotFound:
        return Replayed(*told, "gone")
    places = {key: place for place, key in enumerate(now, start=1)}
    # A model is given more passages than quotations are: what was its seventh is compared with the seventh now.
    depth = max((one.number for one in judged.citations), default=0)
    ranks = tuple((one.number, place if (place := places.get(one.key)) and place <= depth else None) for one in passages)
    chosen = all(place is not None for _, place in ranks)
    first = not ranks or (ranks[0][1] is not None and ranks[0][1] <= ranks[0][0])
    if not ranks:
        same = not now  # nothing was found then
    elif judged.verdict == "up":
        same = chosen and first
    else:
        same = all(before == after for before, after in ranks)
    return Replayed(*told, "same" if same else "changed", ranks, chosen, first)


def rested_on(citations: Sequence[Citation]) -> list[Citation]:
    """The passages that an answer named; when it named none, the first that it had."""
    return [one for one in citations if one.cited] or list(citations[:1])


def ranking(decision: Decision) -> list[str]:
    """The keys of the passages in the order in which the answer takes them, and of those that only found no room; none when it abstains."""
    if decision.outcome == "abstain":
        return []
    return [one.chunk.key for one in decision.trace.candidates if one.number or one.reason in ("over_k", "budget")]


def totals(replayed: Iterable[Replayed]) -> dict[str, dict[str, int]]:
    """How many of each verdict are same, changed and gone."""
    listed = list(replayed)
    return {verdict: {state: sum(one.verdict == verdict and one.state == state for one in listed) for state in STATES} for verdict in ("up", "down")}
