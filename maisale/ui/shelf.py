"""What a person does with documents on the page, and the slow clock that keeps states, progress and banners true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from maisale.access import audit
from maisale.chat.replies import Replies
from maisale.errors import MaiSaleError, StorageFailed
from maisale.library import dead_letters
from maisale.library.deletion import remove_document
from maisale.library.documents import add_document, check_count
from maisale.library.readings import cancel_document, retry_document
from maisale.store import accounts, conversations
from maisale.ui import scene
from maisale.ui.markup import digest
from maisale.ui.panels import under_composer
from maisale.ui.scene import Reader, WorkerWatch
from maisale.ui.screen import Screen, acted, told
from maisale.ui.texts import LANGUAGES, say
from maisale.ui.view import View

CLOCK_S = 4.0
ON_DOCUMENTS = {"remove": remove_document, "cancel": cancel_document, "retry": retry_document}
ON_JOBS = {"retry-job": dead_letters.retry, "skip-job": dead_letters.skip}
# What the audit log calls them when they are refused.
NOTED = {"remove": "document_delete", "cancel": "document_cancel", "retry": "document_retry", "retry-job": "job_retry", "skip-job": "job_skip"}
NOTED |= {"retry-all": "job_retry", "skip-all": "job_skip"}
ON_ALL_JOBS = {"retry-all": dead_letters.retry, "skip-all": dead_letters.skip}


class Shelf:
    """The handlers of the documents page and of a conversation's files, and the choice of the language."""

    def __init__(self, running: Callable[[], Replies], worker: WorkerWatch):
        self.running = running
        self._worker = worker

    async def add(self, paths: list[str] | None, request: gr.Request) -> Screen:
        """Files dropped on the documents page. Each is durable, or named with the reason."""
        who, services = scene.reader(request), self.running().services
        try:
            who.start("write")
            check_count(paths or [])
        except MaiSaleError as problem:
            await self._note(who, problem, "document_add", "document")
            return await self._page(who, View(), told(problem, who.language))
        refused = []
        for path in map(Path, paths or []):
            try:
                await asyncio.to_thread(add_document, services, who.scope, path, path.name)
            except MaiSaleError as problem:
                await self._note(who, problem, "document_add", "document")
                refused.append(str(problem))
        return await self._page(who, View(), " ".join(refused))

    async def page_acts(self, request: gr.Request, event: gr.EventData) -> Screen:
        """Retry, cancel, skip and delete on the documents page; to search, filter, turn pages and open something only looks."""
        who, asked = scene.reader(request), acted(event)
        view = View.read(asked)
        if view.letters and who.manages:  # what was given up of others stands there too
            await asyncio.to_thread(audit.read, self.running().services.db, who.caller, "jobs_read")
        notice = await self._change(who, asked)
        return await self._page(who, view, notice, self._done(who, asked, notice))

    async def attached_acts(self, conversation_id: str, request: gr.Request, event: gr.EventData) -> Screen:
        who = scene.reader(request)
        asked = acted(event)
        notice = await self._change(who, asked)
        try:
            await asyncio.to_thread(conversations.get_conversation, self.running().services.db, who.scope, conversation_id)
        except MaiSaleError as problem:
            return Screen(under=under_composer(who.language, told(problem, who.language)))
        attached = await asyncio.to_thread(scene.attached_for, self.running().services, who, conversation_id)
        return Screen(attached=attached, under=under_composer(who.language, notice, self._done(who, asked, notice)))

    async def set_language(self, request: gr.Request, event: gr.EventData) -> None:
        who, language = scene.reader(request), acted(event).get("language", "")
        if language in LANGUAGES:
            with suppress(StorageFailed):  # the page's own cookie holds it as well
                await self.running().services.db.awrite(lambda tx: accounts.set_language(tx, who.caller.user.id, language))

    async def tick(self, conversation_id: str, choice: str, seen: str, page: str, request: gr.Request) -> tuple[Any, ...]:
        """What changed since this page last looked: (banners, header, attached, documents, seen). seen: what it showed, digested.

        page: its name and, behind a blank, what it shows of the documents (View.of_text).
        """
        who = scene.reader(request)
        made = await asyncio.to_thread(self._now, who, conversation_id, choice, page)
        before = seen.split(" ") if seen else [""] * len(made)
        digests = [digest(html) if html is not None else old for html, old in zip(made, before, strict=False)]
        if digests == before or len(digests) != len(made):
            return (*(gr.skip() for _ in made), gr.skip())
        return (*(gr.skip() if new == old else html for html, new, old in zip(made, digests, before, strict=True)), " ".join(digests))

    def _now(self, who: Reader, conversation_id: str, choice: str, page: str) -> list[str | None]:
        services, (name, _, view) = self.running().services, page.partition(" ")
        try:
            title = conversations.get_conversation(services.db, who.scope, conversation_id).title if conversation_id else ""
            attached = scene.attached_for(services, who, conversation_id)
        except MaiSaleError:  # deleted in another tab: this one keeps what it shows until it does something
            title, attached = "", ""
        return [
            scene.banners_for(services, who, self._worker),
            scene.header_for(services, who, title, choice, conversation_id),
            attached,
            self._documents_now(who, View.of_text(view)) if name == "documents" else None,
        ]

    def _documents_now(self, who: Reader, view: View) -> str | None:
        """None when the page shows just that: an event drew it, of which the clock knows nothing."""
        html = scene.documents_for(self.running().services, who, view)
        return None if view.drawn and f'data-drawn="{view.drawn}"' in html else html

    async def _page(self, who: Reader, view: View, notice: str = "", done: str = "") -> Screen:
        return Screen(documents=await asyncio.to_thread(scene.documents_for, self.running().services, who, view, notice, done))

    def _done(self, who: Reader, asked: dict[str, str], notice: str) -> str:
        """What becomes of something that was deleted just now."""
        deleted = asked.get("do") == "remove" and not notice
        return say(who.language, "deleted_now", hours=self.running().services.settings.erase_hours) if deleted else ""

    async def _note(self, who: Reader, problem: MaiSaleError, action: str, kind: str, subject_id: str = "") -> None:
        await asyncio.to_thread(audit.refused, self.running().services.db, who.scope, problem, action, kind, subject_id)

    async def _change(self, who: Reader, asked: dict[str, str]) -> str:
        """Does what was asked with one document, or with jobs that were given up; returns what went wrong, in words."""
        services, do, one = self.running().services, asked.get("do", ""), asked.get("id", "")
        verb, of_job, of_all = ON_DOCUMENTS.get(do), ON_JOBS.get(do), ON_ALL_JOBS.get(do)
        if not (verb or of_job or of_all):
            return ""  # it only looks
        try:
            who.start("write")
            if verb:
                await asyncio.to_thread(verb, services, who.scope, one)
            elif of_all:
                await asyncio.to_thread(dead_letters.on_all, services, who.scope, scene.managed(who), of_all)
            else:
                await asyncio.to_thread(dead_letters.check_visible, services, who.scope, scene.managed(who), one)
                await asyncio.to_thread(of_job, services, one, who.scope)
        except MaiSaleError as problem:
            await self._note(who, problem, NOTED[do], "document" if verb else "job", one)
            return told(problem, who.language)
        return ""
