"""Running replies: each is a task of the app's event loop that outlives the request which asked.

Any number of readers tail one reply; any tab of its owner stops it; what was written is stored every second and at every end.
One reply a conversation runs at a time, in the order of the questions. All of that holds over several apps on one database as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

from maisale import metrics, spans
from maisale.chat import quota
from maisale.chat.ask import Turn, checked_question, mentioned, title_of
from maisale.chat.citations import CitationFilter, check
from maisale.chat.deciding import Deciding, Elsewhere, Pace
from maisale.chat.leases import Leases
from maisale.chat.line import Line
from maisale.chat.running import Running
from maisale.chat.siblings import Siblings
from maisale.contracts import ChatModel, Transaction
from maisale.errors import MaiSaleError, ModelFailed, ModelUnavailable, NotFound, ReplyLost, StorageFailed, incident
from maisale.flow.state import Decision
from maisale.library.deletion import delete_conversation, delete_turn
from maisale.records import Ack, Reply, Scope, Writer
from maisale.services import Services
from maisale.store import conversations, open_replies, turns
from maisale.store.quota import spend
from maisale.text import estimate_tokens
from maisale.tracebacks import where

log = logging.getLogger(__name__)

SHOWN_EVERY_S = 0.06  # a reader needs no more than 15 snapshots a second; each costs the page a diff
SAVED_EVERY_S = 1.0  # how much of an answer a crash may cost
STORED_AGAIN_S = 5.0
STOPPED_S = 5.0  # that another process may take to stop a reply; without messages it looks once a second
CLOSING_S = 5.0


class Replies:
    """The replies that run in this process. Made and used inside the event loop."""

    def __init__(self, services: Services, pace: Pace | None = None, elsewhere: Elsewhere | None = None):
        self.services = services
        self._open: dict[str, Running] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._deciding = Deciding(services, elsewhere)
        self._pace = pace or Pace()
        self._line = Line(lambda: services.models.chat_models(), services.settings.generate_concurrency)
        self.runner = uuid4().hex  # this process, as the rows of its replies name it
        self._leases = Leases(services.db, self.runner, self._open)
        self._siblings = Siblings(services.shared.events(), self.runner, self._open, self._leases.look)

    async def ask(
        self, scope: Scope, text: object, conversation_id: str | None = None, collections: tuple[str, ...] = (), documents: tuple[str, ...] = ()
    ) -> Ack:
        """Accepts a question: durable when this returns; the answer follows by itself.

        collections, documents: only these are searched. An @name in the question narrows that to the documents it names, never widens it.
        Raises BadInput, NotFound, Busy, QuotaSpent, Overloaded or StorageFailed; then nothing was stored.
        """
        began = scope.way.began or time.perf_counter()
        question = checked_question(text)
        self.check_quota(scope)
        self._pace.check(len(self._open))
        choice: dict[str, Any] = {name: list(value) for name, value in (("collections", collections), ("documents", documents)) if value}
        if "@" in question:
            choice |= await asyncio.to_thread(self._named, scope, question, conversation_id, collections, documents)
        with self._deciding.accepting():
            ack, job_id = await self.services.db.awrite(
                lambda tx: conversations.accept_question(tx, scope, conversation_id, question, title_of(question), choice, self.runner)
            )
        self._start(scope, Reply(ack.reply_id, ack.message_id, ack.conversation_id, "waiting", ""))
        self.services.wake(job_id)
        metrics.acknowledged(scope.way.door, time.perf_counter() - began)
        return ack

    async def answer(self, scope: Scope, turn: Turn) -> AsyncIterator[Reply]:
        """The answer to a turn of a conversation that its client keeps, as it changes; the last one has ended. Nothing of it is stored.

        Closing the iterator closes the model's request. Raises QuotaSpent or Overloaded before anything was begun.
        """
        self.check_quota(scope)
        self._pace.check(len(self._open))
        reply_id = str(uuid4())
        running = self._start(scope, Reply(reply_id, "", reply_id, "waiting", ""), turn)
        await asyncio.sleep(0)  # as in `stop`
        try:
            async for reply in running.snapshots():
                yield reply
        finally:
            running.stop()

    def check_quota(self, scope: Scope) -> None:
        """For what stores something before it asks. Raises QuotaSpent."""
        quota.check(self.services.db, scope, self.services.settings.tokens_per_day)

    async def ask_again(self, scope: Scope, reply_id: str) -> Ack:
        """Asks the question behind this reply anew, as the conversation's next turn."""
        reply = await asyncio.to_thread(conversations.get_reply, self.services.db, scope, reply_id)
        question = await asyncio.to_thread(conversations.get_message, self.services.db, scope, reply.question_id)
        choice = {name: tuple(question.metadata.get(name, ())) for name in ("collections", "documents")}
        return await self.ask(scope, question.text, reply.conversation_id, **choice)

    async def tail(self, scope: Scope, reply_id: str) -> AsyncIterator[Reply]:
        """The reply as it is, then as it changes; the last one has ended. Leaving does not stop the reply."""
        seen = ""
        while True:
            running = self._open.get(reply_id)
            if running and running.scope == scope:
                async for reply in running.snapshots():
                    yield reply
                if not running.left:
                    return
            reply = await asyncio.to_thread(conversations.get_reply, self.services.db, scope, reply_id)
            if reply.ended or len(reply.text) >= len(seen):  # it is stored each second, and its own app showed more
                yield reply
            if reply.ended:
                return
            async with contextlib.aclosing(self._siblings.follow(reply)) as shown:
                async for reply in shown:
                    seen = reply.text
                    yield reply

    async def current(self, scope: Scope, reply_id: str) -> Reply:
        """The reply as it is now; of one that runs here what was shown last, newer than what is stored. Raises NotFound."""
        running = self._open.get(reply_id)
        if running and running.scope == scope:
            return running.shown()
        return await asyncio.to_thread(conversations.get_reply, self.services.db, scope, reply_id)

    async def stop(self, scope: Scope, reply_id: str) -> Reply:
        """Ends the reply now, keeping what was written; the model's request is closed. Harmless when it has ended."""
        running = self._open.get(reply_id)
        if running and running.scope == scope:
            await asyncio.sleep(0)  # it has begun from here on: a task that is cancelled before would never end
            running.stop()
            await running.ended()
        reply = await asyncio.to_thread(conversations.get_reply, self.services.db, scope, reply_id)
        return reply if reply.ended else await self._stop_elsewhere(scope, reply)

    async def delete_conversation(self, scope: Scope, conversation_id: str, by: Scope | None = None, erasure_id: str = "") -> str:
        """Stops what runs in it, then does what deletion.delete_conversation does. Returns the receipt's id. Raises NotFound."""
        await asyncio.to_thread(conversations.get_conversation, self.services.db, scope, conversation_id)
        for reply_id in await asyncio.to_thread(open_replies.of_conversation, self.services.db, scope, conversation_id):
            await self.stop(scope, reply_id)
        return await asyncio.to_thread(delete_conversation, self.services, scope, conversation_id, by, erasure_id)

    async def delete_message(self, scope: Scope, message_id: str) -> str:
        """Removes a question with its answer, stopped when it is being written. Returns the receipt's id. Raises NotFound."""
        turn = await asyncio.to_thread(turns.turn_of, self.services.db, scope, message_id)
        await self.stop(scope, turn["reply_id"])
        return await asyncio.to_thread(delete_turn, self.services, scope, message_id, title_of)

    async def recover(self) -> None:
        """Gives every reply of a process that died an end, now and from now on: begun ones are interrupted, waiting ones are answered."""
        self._siblings.begin()
        await self._leases.take_over(self._taken, self.services.alone)

    async def close(self) -> None:
        """Interrupts what runs; what waits stays waiting and is answered by another app, or after the next start."""
        tasks = [running.task for running in self._open.values()]
        for running in self._open.values():
            running.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_S)
        await self._siblings.close()
        await self._leases.close()
        await self._deciding.close(CLOSING_S)

    async def _taken(self, scope: Scope, reply: Reply, stop_asked: bool) -> None:
        """A reply that lost its process is this one's now."""
        if reply.state == "waiting" and not stop_asked:
            self._start(scope, reply)
            return
        try:
            await self._store(scope, replace(reply, state="stopped" if stop_asked else "interrupted", step=""))
        except MaiSaleError as problem:  # it lapses again, and is taken again
            log.warning("reply %s has no end yet: %s", reply.id, problem)
        self._siblings.tell_end(reply.id)

    async def _stop_elsewhere(self, scope: Scope, reply: Reply) -> Reply:
        """Told by the database and, so that it is at once, by a message."""
        await self.services.db.awrite(lambda tx: open_replies.ask_to_stop(tx, scope, reply.id))
        self._siblings.ask_to_stop()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._await_end(scope, reply.id), STOPPED_S)
        return await asyncio.to_thread(conversations.get_reply, self.services.db, scope, reply.id)

    async def _await_end(self, scope: Scope, reply_id: str) -> None:
        with contextlib.suppress(NotFound):
            async with contextlib.aclosing(self.tail(scope, reply_id)) as snapshots:
                async for _ in snapshots:
                    pass

    def _named(self, scope: Scope, question: str, conversation_id: str | None, *within: tuple[str, ...]) -> dict[str, Any]:
        """What a question's mentions add to its choice."""
        named = mentioned(self.services, scope, question, conversation_id, *within)
        return {"documents": list(named.documents), "words": named.words} if named.documents else {}

    def _start(self, scope: Scope, reply: Reply, turn: Turn | None = None) -> Running:
        if not self._open:
            self._pace.begin()
        self._leases.begin()
        self._siblings.begin()
        running = self._open[reply.id] = Running(scope, reply, turn)
        running.task = asyncio.create_task(self._run(running), name=f"reply {reply.id}")
        return running

    async def _run(self, running: Running) -> None:
        """One reply from its turn to its end. Every way out of it is an end that is stored."""
        end: dict[str, Any] = {}
        try:
            while True:
                try:
                    async with self._turns.setdefault(running.reply.conversation_id, asyncio.Lock()):
                        with spans.span("reply", **{"maisale.request_id": spans.origin.get().request_id}):
                            await self._answer(running)
                    break
                except _Behind as earlier:  # another app answers that one, and what it says may matter here
                    running.show(state="waiting", step="", place_in_line=0)
                    await self._await_end(running.scope, earlier.reply_id)
        except asyncio.CancelledError:
            if running.left or (not running.stop_asked and running.reply.state == "waiting"):
                return self._leave(running)  # or the app closes; nothing was begun
            end = {"state": "stopped" if running.stop_asked else "waiting" if running.may_wait_again else "interrupted"}
        except ReplyLost:
            return self._leave(running)
        except MaiSaleError as problem:
            end = {"state": "failed", "cause": str(problem)}
        except Exception as problem:  # the last resort of a task nobody awaits: an end with words, and the cause in the log
            name = incident()
            log.error("incident %s: reply %s failed:\n%s", name, running.reply.id, where(problem))
            end = {"state": "failed", "cause": f"The answer broke off inside Mai-Sale (incident {name}, which the log explains). Ask again."}
        await self._end(running, **end)

    async def _answer(self, running: Running) -> None:
        """Decides, then writes: the model's stream, a quotation, or that nothing was found."""
        models = self.services.models.chat_models()
        writer = Writer(models[0].name, min(model.context_tokens for model in models)) if models else None
        decision = await self._decide(running, writer)
        if decision.prompt is not None:
            running.show(citations=decision.citations, trace=decision.trace)
            problems = await self._write_somewhere(running, decision)
            if problems is None:
                return
            quoted = await self._decide(running)
            decision = replace(quoted, trace=replace(quoted.trace, notes=(*quoted.trace.notes, *problems)))
        self._quote(running, decision)

    async def _write_somewhere(self, running: Running, decision: Decision) -> list[str] | None:
        """Writes the answer when its turn has come; on another server when one fails before a word. Returns, when no server is left, what failed, in words."""
        failed: dict[str, str] = {}
        while True:
            async with self._line.turn(running.scope, running.queued, failed) as model:
                if model is None:
                    return list(failed.values())
                if running.reply.place_in_line:
                    self.check_quota(running.scope)  # answers that were before it in the line may have spent it
                running.show(step="reading", place_in_line=0, model=model.name, thinking="")
                try:
                    return await self._write(running, model, decision)
                except (ModelUnavailable, ModelFailed) as problem:
                    if running.written.get("text", "").strip():
                        raise
                    running.written, running.prompt_tokens = {}, 0
                    failed[model.url] = str(problem)
                    log.warning("reply %s: %s; another server or a quotation instead", running.reply.id, problem)

    async def _decide(self, running: Running, writer: Writer | None = None) -> Decision:
        stored: list[asyncio.Task] = []

        def begin() -> None:
            running.show(state="running", step="searching", place_in_line=0)
            stored.append(asyncio.create_task(self._begin(running)))  # beside the deciding, which need not wait for it
            stored[0].add_done_callback(lambda task: task.cancelled() or task.exception())  # also of one that nobody awaits: cancelled while deciding

        with spans.span("decide"):
            decision = await self._deciding.decide(begin, running.scope, running.turn or running.reply, writer)
            spans.past_steps(decision.trace.milliseconds)
        metrics.decided(decision.trace.milliseconds)
        await stored[0]
        return decision

    async def _begin(self, running: Running) -> None:
        """Stores that it runs. Raises _Behind or ReplyLost."""
        if not running.stored:
            return
        earlier = await self.services.db.awrite(lambda tx: open_replies.begin(tx, running.reply, self.runner))
        if earlier:
            raise _Behind(earlier)

    def _quote(self, running: Running, decision: Decision) -> None:
        running.show(state="done", step="", text=decision.text, model=decision.trace.model, citations=decision.citations, trace=decision.trace)

    async def _write(self, running: Running, model: ChatModel, decision: Decision) -> None:
        """Streams the model's answer into the reply. Cancelling closes the upstream request."""
        if self.services.settings.tokens_per_day:
            running.prompt_tokens = quota.read_by_model(decision.prompt)
        known = CitationFilter(len(decision.citations))
        with spans.span("model", **{"maisale.model": model.name}):
            text, thinking = await self._stream(running, model, decision, known)
        text += known.end()
        if not text.strip():
            raise ModelFailed(f"{model.name} ended without a word.")
        citations = await asyncio.to_thread(check, text, decision.citations)
        trace = replace(decision.trace, notes=(*decision.trace.notes, *_cuts(model)))
        running.show(state="done", step="", text=text, thinking=thinking, citations=citations, trace=trace)

    async def _stream(self, running: Running, model: ChatModel, decision: Decision, known: CitationFilter) -> tuple[str, str]:
        """Text and thinking as they came whole; shown and stored meanwhile."""
        asked_at = shown_at = saved_at = time.monotonic()
        text = thinking = ""
        silent = True
        async with contextlib.aclosing(model.stream(decision.prompt)) as deltas:
            async for delta in deltas:
                thinking += delta.thinking
                text += known.feed(delta.text)
                running.written = {"text": text, "thinking": thinking}
                now = time.monotonic()
                if silent and (delta.thinking or delta.text):
                    silent = False
                    metrics.first_token(now - asked_at)
                if now - shown_at >= SHOWN_EVERY_S:
                    shown_at = now
                    running.show(step="writing" if text else "reading", text=text, thinking=thinking)
                if now - saved_at >= SAVED_EVERY_S:
                    saved_at = now
                    await self._store(running.scope, running.reply)
        return text, thinking

    async def _end(self, running: Running, **end: Any) -> None:
        """Stores the end first and shows it then: who saw an answer's end finds it after a crash."""
        running.ending = True
        final = replace(running.reply, step="", place_in_line=0, **{**running.written_if_open(), **end})
        while True:
            try:
                await self._store(running.scope, final, _spent(running, final))
                break
            except StorageFailed as problem:  # a full disk, say: people are told at once, and the end is stored when it can be
                log.error("reply %s could not be stored: %s", final.id, problem)
                running.end(replace(final, state="failed", cause=str(problem)))
                await asyncio.sleep(STORED_AGAIN_S)
            except ReplyLost:
                return self._leave(running)
        self._forget(final)
        self._pace.end()
        if final.ended:  # else the next start answers it
            metrics.ended(final.state)
        running.end(final)

    def _leave(self, running: Running) -> None:
        """It is another process's now, or nobody's: its readers look there."""
        self._forget(running.reply)
        running.gone()

    def _forget(self, reply: Reply) -> None:
        self._open.pop(reply.id, None)
        if reply.question_id:
            self._siblings.tell_end(reply.id)
        turn = self._turns.get(reply.conversation_id)
        if turn and not turn.locked():
            self._turns.pop(reply.conversation_id, None)

    async def _store(self, scope: Scope, reply: Reply, tokens: int = 0) -> None:
        """tokens: that the model spent for it, where they are counted."""
        if not reply.question_id and not tokens:
            return  # its client keeps the conversation

        def store(tx: Transaction) -> str | None:
            if tokens:
                spend(tx, scope, tokens, time.time())
            return conversations.save_reply(tx, scope, reply, self.runner) if reply.question_id else None

        if job_id := await self.services.db.awrite(store):
            self.services.wake(job_id)


class _Behind(Exception):
    """An earlier reply of the conversation has no end yet."""

    def __init__(self, reply_id: str):
        super().__init__(reply_id)
        self.reply_id = reply_id


def _spent(running: Running, final: Reply) -> int:
    return running.prompt_tokens + estimate_tokens(final.thinking + final.text) if running.prompt_tokens else 0


def _cuts(model: ChatModel) -> list[str]:
    """What a finished stream says of its limits, in words for the trace."""
    notes = []
    if model.prompt_was_cut:
        notes.append(f"{model.name} read only a part of the prompt. Raise NUM_CTX, or check the server's memory.")
    if model.answer_was_cut:
        notes.append(f"{model.name} reached its limit before the answer was complete.")
    return notes
