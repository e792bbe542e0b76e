"""What a person does in the chat: ask, follow the answer, stop it, ask again; open, rename and delete conversations.

Every handler finds its caller in the request and reads within that scope; ids that a page sends are only ever looked up there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from maisale.access import audit
from maisale.chat.ask import checked_question, mentioned
from maisale.chat.feedback import judge_reply
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError, NotFound
from maisale.library.documents import add_document, check_count
from maisale.records import Message, Reply
from maisale.store import conversations, documents, feedback
from maisale.ui import scene
from maisale.ui.choice import Choice
from maisale.ui.panels import under_composer
from maisale.ui.scene import Reader, WorkerWatch
from maisale.ui.screen import Screen, acted, busy, idle, told
from maisale.ui.sources import short, sources_panel
from maisale.ui.suggestions import Suggestions
from maisale.ui.tabs import Shown, Tabs
from maisale.ui.texts import say
from maisale.ui.turns import question, turns
from maisale.ui.verdicts import verdicts

SHOWN_MESSAGES = 80  # of a conversation; every snapshot of a running answer carries them all through Gradio
FILE_WAIT_S = 12.0  # for dropped files to become searchable; then the question is asked anyway
FILE_POLL_S = 0.3
TITLE_CHARACTERS = 120


class Chat:
    """The handlers of the chat. running: the replies of the app's life; raises MaiSaleError before it has begun."""

    def __init__(self, running: Callable[[], Replies], worker: WorkerWatch):
        self.running = running
        self._worker = worker
        self._suggestions = Suggestions()
        self._tabs = Tabs()

    async def load(self, conversation_id: str, choice: str, request: gr.Request) -> Screen:
        """The whole page, with the conversation that its address names. What was typed or asked before it was drawn stays."""
        who, services = scene.reader(request), self.running().services
        account = await asyncio.to_thread(scene.account_for, services, who)
        banners = await asyncio.to_thread(scene.banners_for, services, who, self._worker)
        if self._tabs.now(request):  # a question was faster, and shows its own conversation
            return Screen(account=account, banners=banners)
        return (await self._open(who, conversation_id, choice, request)).but(account=account, banners=banners)

    async def rail_acts(self, conversation_id: str, choice: str, request: gr.Request, event: gr.EventData) -> Screen:
        """Open, new, rename and delete, as the sidebar and the header ask for them."""
        who, services = scene.reader(request), self.running().services
        asked = acted(event)
        chosen_id = asked.get("id", "")
        try:
            match asked.get("do"):
                case "open" | "new":
                    return await self._open(who, chosen_id, choice, request)
                case "rename":
                    who.start("chat")
                    title = " ".join(asked.get("title", "").split())[:TITLE_CHARACTERS]
                    if title:
                        await services.db.awrite(lambda tx: conversations.rename_conversation(tx, who.scope, chosen_id, title))
                    return await asyncio.to_thread(self._titles, who, conversation_id, choice)
                case "delete":
                    who.start("chat")
                    await self.running().delete_conversation(who.scope, chosen_id)
                    if chosen_id == conversation_id:
                        return (await self._open(who, "", choice, request)).but(under=under_composer(who.language, done=self._deleted(who)))
                    titles = await asyncio.to_thread(self._titles, who, conversation_id, choice)
                    return titles.but(under=under_composer(who.language, done=self._deleted(who)))
        except MaiSaleError as problem:
            if asked.get("do") == "delete":
                await asyncio.to_thread(audit.refused, services.db, who.scope, problem, "conversation_delete", "conversation", chosen_id)
            return await asyncio.to_thread(self._refused, who, conversation_id, choice, problem)
        return Screen()

    async def ask(self, composed: dict[str, Any] | None, conversation_id: str, choice: str, request: gr.Request) -> AsyncIterator[Screen]:
        """Takes the files, then the question; both are durable before the page says so. `follow` shows the answer."""
        who = scene.reader(request)
        text, files = (composed or {}).get("text") or "", [Path(path) for path in (composed or {}).get("files") or []]
        if not text.strip() and not files:
            yield Screen()
            return
        back = "files"  # until the library has them
        try:
            who.start("chat")
            with self._tabs.choosing(request, conversation_id) as mine:
                self.running().check_quota(who.scope)
                check_count(files)
                if files:
                    conversation_id = mine.conversation_id = await self._conversation(who, conversation_id, text, files)
                    back = "text"
                    async for screen in self._attach(who, conversation_id, choice, text, files):
                        yield await self._unless_left(who, request, mine, screen)
                if text.strip():
                    within = await asyncio.to_thread(self._within, who, text, conversation_id, choice)
                    ack = await self.running().ask(who.scope, text, conversation_id or None, *within)
                    mine.conversation_id = ack.conversation_id
                    yield await self._unless_left(who, request, mine, await asyncio.to_thread(self._asked, who, ack.conversation_id, choice))
        except MaiSaleError as problem:
            yield Screen(composer=idle(who), under=under_composer(who.language, told(problem, who.language), back=back))

    async def suggested(self, conversation_id: str, choice: str, request: gr.Request, event: gr.EventData) -> AsyncIterator[Screen]:
        async for screen in self.ask({"text": acted(event).get("ask", "")}, conversation_id, choice, request):
            yield screen

    async def ask_again(self, conversation_id: str, choice: str, request: gr.Request, event: gr.EventData) -> Screen:
        who = scene.reader(request)
        try:
            who.start("chat")
            with self._tabs.choosing(request, conversation_id) as mine:
                ack = await self.running().ask_again(who.scope, acted(event).get("again", ""))
                mine.conversation_id = ack.conversation_id
                return await self._unless_left(who, request, mine, await asyncio.to_thread(self._asked, who, ack.conversation_id, choice))
        except MaiSaleError as problem:
            return Screen(under=under_composer(who.language, told(problem, who.language)))

    async def stop(self, conversation_id: str, request: gr.Request) -> None:
        """Stops what runs in the open conversation, from any tab; `follow` shows the end."""
        who, replies = scene.reader(request), self.running()
        with suppress(MaiSaleError):  # deleted in another tab, or a key that may only read: there is nothing to stop
            who.require("chat")
            said = await asyncio.to_thread(self._messages, who, conversation_id) if conversation_id else []
            for reply in reversed(_open_replies(said)):  # the waiting ones first, or the next would begin
                await replies.stop(who.scope, reply.id)

    async def follow(self, conversation_id: str, request: gr.Request) -> AsyncIterator[Screen]:
        """The open conversation's running answers as they are written, until none is open or the tab shows something else."""
        yield Screen()  # Gradio 6.31 empties the outputs of a generator that yields nothing
        shown = self._tabs.follow(request, conversation_id) if conversation_id else None
        if shown is None:
            return
        who, replies = scene.reader(request), self.running()
        mine = shown.follower = object()

        def left() -> bool:
            return self._tabs.now(request) is not shown or shown.follower is not mine

        try:
            said = await asyncio.to_thread(self._messages, who, conversation_id)
            while open_replies := _open_replies(said):
                shown_sources = None
                async for reply in replies.tail(who.scope, open_replies[0].id):
                    if left():
                        break
                    sources = (reply.citations, reply.trace is None)
                    panel = sources_panel(reply, who.language) if reply.trace and sources != shown_sources else gr.skip()
                    shown_sources = sources if reply.trace else shown_sources
                    yield Screen(chat=turns(said, who.language, reply), sources=panel)
                if left():
                    # Gradio 6.31 shows a generator's last value once more when it ends: that must not be this conversation's.
                    yield Screen()
                    return
                said = await asyncio.to_thread(self._messages, who, conversation_id)
        except MaiSaleError as problem:
            yield Screen(under=under_composer(who.language, told(problem, who.language)), composer=idle(who))
            return
        # Also when none was open any more: an answer may end before it is followed.
        judged = await asyncio.to_thread(self._verdicts, who, conversation_id, said)
        yield Screen(chat=turns(said, who.language), verdicts=judged, sources=sources_panel(_last_found(said), who.language), composer=idle(who))

    async def show_sources(self, conversation_id: str, request: gr.Request, event: gr.EventData) -> Screen:
        """The panel of the answer whose [n] was clicked, or that is asked what became of a document."""
        who, asked = scene.reader(request), acted(event)
        number, name = asked.get("number", ""), asked.get("why", "").strip()
        try:
            said = await asyncio.to_thread(self._messages, who, conversation_id) if conversation_id else []
            reply = next((message.reply for message in said if message.reply and short(message.id) == asked.get("reply")), None)
            if reply is None:
                return Screen()
            explained = (name, await asyncio.to_thread(scene.explained, self.running().services, who, reply, name)) if name else None
        except MaiSaleError as problem:
            return Screen(under=under_composer(who.language, told(problem, who.language)))
        return Screen(sources=sources_panel(reply, who.language, int(number) if number.isdigit() else None, explained))

    async def judge(self, conversation_id: str, request: gr.Request, event: gr.EventData) -> Screen:
        """Keeps a verdict on an answer with its comment, or takes it back."""
        who, asked = scene.reader(request), acted(event)
        try:
            who.require("chat")
            await judge_reply(self.running().services, who.scope, asked.get("reply", ""), asked.get("verdict", ""), asked.get("comment", ""))
            said = await asyncio.to_thread(self._messages, who, conversation_id)
            return Screen(verdicts=await asyncio.to_thread(self._verdicts, who, conversation_id, said), under=under_composer(who.language))
        except MaiSaleError as problem:
            return Screen(under=under_composer(who.language, told(problem, who.language)))

    async def choose(self, conversation_id: str, choice: str, request: gr.Request, event: gr.EventData) -> Screen:
        """Other collections, or single documents, are searched from now on in this tab."""
        who, services = scene.reader(request), self.running().services
        asked = acted(event)
        if asked.get("do") == "unchoose":
            choice = str(Choice.read(choice).without(asked.get("id", "")))
        else:
            choice = str(Choice(*(tuple(filter(None, asked.get(name, "").split("\n"))) for name in ("names", "documents"))))
        try:
            title = await asyncio.to_thread(self._title, who, conversation_id)
        except MaiSaleError as problem:
            return Screen(under=under_composer(who.language, told(problem, who.language)))
        header = await asyncio.to_thread(scene.header_for, services, who, title, choice, conversation_id)
        only = await asyncio.to_thread(scene.chosen_for, services, who, choice, conversation_id)
        empty = gr.skip() if conversation_id else await asyncio.to_thread(scene.empty_for, services, who, choice, self._suggestions)
        return Screen(header=header, empty=empty, chosen=only, choice=choice)

    async def _open(self, who: Reader, conversation_id: str, choice: str, request: gr.Request) -> Screen:
        """Nothing when the tab shows something else by then."""
        with self._tabs.choosing(request, conversation_id) as mine:
            try:
                screen = await asyncio.to_thread(self._whole, who, conversation_id, choice)
            except NotFound as problem:
                mine.conversation_id = ""
                screen = await asyncio.to_thread(self._whole, who, "", choice, told(problem, who.language))
            return screen if self._tabs.now(request) is mine else Screen()

    def _whole(self, who: Reader, conversation_id: str, choice: str, notice: str = "") -> Screen:
        """Everything that depends on which conversation is open. What is being typed stays. Raises NotFound."""
        services = self.running().services
        title = self._title(who, conversation_id)
        said = self._messages(who, conversation_id) if conversation_id else []
        return Screen(
            rail=scene.rail_for(services, who, conversation_id),
            header=scene.header_for(services, who, title, choice, conversation_id),
            empty="" if said else scene.empty_for(services, who, choice, self._suggestions),
            chat=turns(said, who.language),
            verdicts=self._verdicts(who, conversation_id, said),
            sources=sources_panel(_last_found(said), who.language),
            chosen=scene.chosen_for(services, who, choice, conversation_id),
            attached=scene.attached_for(services, who, conversation_id),
            composer=busy(who) if _open_replies(said) else idle(who),
            under=under_composer(who.language, notice),
            conversation=conversation_id,
        )

    def _asked(self, who: Reader, conversation_id: str, choice: str) -> Screen:
        services = self.running().services
        said = self._messages(who, conversation_id)
        return Screen(
            rail=scene.rail_for(services, who, conversation_id),
            header=scene.header_for(services, who, self._title(who, conversation_id), choice, conversation_id),
            empty="",
            chat=turns(said, who.language),
            verdicts=self._verdicts(who, conversation_id, said),
            attached=scene.attached_for(services, who, conversation_id),
            composer=busy(who),
            under=under_composer(who.language, took=conversation_id),
            conversation=conversation_id,
        )

    def _deleted(self, who: Reader) -> str:
        return say(who.language, "deleted_now", hours=self.running().services.settings.erase_hours)

    def _titles(self, who: Reader, conversation_id: str, choice: str) -> Screen:
        services = self.running().services
        header = scene.header_for(services, who, self._title(who, conversation_id), choice, conversation_id)
        return Screen(rail=scene.rail_for(services, who, conversation_id), header=header)

    def _within(self, who: Reader, text: str, conversation_id: str, choice: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(collections, documents) to search. What the question names itself goes before what the tab has chosen. Raises BadInput."""
        services = self.running().services
        if "@" in text and mentioned(services, who.scope, checked_question(text), conversation_id or None).documents:
            return (), ()
        only = scene.chosen_documents(services, who, choice, conversation_id)
        return ((), tuple(one.id for one in only)) if only else (Choice.read(choice).collections, ())

    def _refused(self, who: Reader, conversation_id: str, choice: str, problem: MaiSaleError) -> Screen:
        rail = scene.rail_for(self.running().services, who, conversation_id)
        return Screen(rail=rail, under=under_composer(who.language, told(problem, who.language)))

    async def _conversation(self, who: Reader, conversation_id: str, text: str, files: list[Path]) -> str:
        """The open conversation, or a new one for these files; only a question gives it its title."""
        if conversation_id:
            return conversation_id
        title = "" if text.strip() else files[0].name[:TITLE_CHARACTERS]
        made = await self.running().services.db.awrite(lambda tx: conversations.new_conversation(tx, who.scope, title))
        return made.id

    async def _attach(self, who: Reader, conversation_id: str, choice: str, text: str, files: list[Path]) -> AsyncIterator[Screen]:
        """Adds the files to the conversation and waits, for a while and in sight, until they can be searched."""
        services = self.running().services
        try:
            who.require("write")
        except MaiSaleError as problem:
            await asyncio.to_thread(audit.refused, services.db, who.scope, problem, "document_add", "document")
            raise
        added, refused = [], []
        for path in files:
            try:
                added.append(await asyncio.to_thread(add_document, services, who.scope, path, path.name, conversation_id=conversation_id))
            except MaiSaleError as problem:
                await asyncio.to_thread(audit.refused, services.db, who.scope, problem, "document_add", "document")
                refused.append(told(problem, who.language))
        said = await asyncio.to_thread(self._messages, who, conversation_id)
        first = await asyncio.to_thread(self._asked, who, conversation_id, choice)
        step = say(who.language, "reading_file", name=", ".join(one.title for one in added)) if added and text.strip() else ""
        shown = [*turns(said, who.language), *([question(text)] if text.strip() else []), *turns([], who.language, step=step)]
        composer = busy(who) if text.strip() else idle(who)
        yield first.but(chat=shown, composer=composer, under=under_composer(who.language, " ".join(refused), took=conversation_id))
        until = time.monotonic() + (FILE_WAIT_S if text.strip() else 0)
        while added and time.monotonic() < until:
            states = [await asyncio.to_thread(documents.get_document, services.db, who.scope, one.id) for one in added]
            if all(one.searchable or one.ended for one in states):
                break
            await asyncio.sleep(FILE_POLL_S)
        if refused and not added and text.strip():
            raise BadInput(" ".join(refused))  # the question was about a file that was not taken

    def _messages(self, who: Reader, conversation_id: str) -> list[Message]:
        return conversations.messages(self.running().services.db, who.scope, conversation_id, SHOWN_MESSAGES)

    def _verdicts(self, who: Reader, conversation_id: str, said: list[Message]) -> str:
        """The thumbs of the shown answers, for who may judge."""
        return verdicts(said, feedback.verdicts(self.running().services.db, who.scope, conversation_id), who.language) if who.may("chat") else ""

    def _title(self, who: Reader, conversation_id: str) -> str:
        return conversations.get_conversation(self.running().services.db, who.scope, conversation_id).title if conversation_id else ""

    async def _unless_left(self, who: Reader, request: gr.Request, mine: Shown, screen: Screen) -> Screen:
        """Of a question accepted while the person went elsewhere only the list shows its conversation."""
        now = self._tabs.now(request)
        if now is None or now is mine:
            return screen
        rail = await asyncio.to_thread(scene.rail_for, self.running().services, who, now.conversation_id)
        return Screen(rail=rail, under=under_composer(who.language, took=mine.conversation_id))


def _open_replies(said: list[Message]) -> list[Reply]:
    return [message.reply for message in said if message.reply and not message.reply.ended]


def _last_found(said: list[Message]) -> Reply | None:
    """The latest reply that says how it was found: whose sources stand beside the conversation."""
    return next((message.reply for message in reversed(said) if message.reply and message.reply.trace), None)
