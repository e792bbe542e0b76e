"""What the panels show to one person, read from the store. Blocking reads: handlers call these in a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass

import gradio as gr

from maisale.access import audit, keys, people
from maisale.access.gate import caller, limits
from maisale.access.limits import Limits
from maisale.access.pages import LANGUAGE_COOKIE
from maisale.chat.explain import explain
from maisale.chat.mentions import file_name
from maisale.errors import IndexUnavailable, NotAllowed, NotFound
from maisale.library import dead_letters, progress
from maisale.library.documents import changeable
from maisale.ops import acks, receipts
from maisale.records import Caller, Named, Reply, Scope
from maisale.services import Services
from maisale.store import accounts, conversations, documents, jobs, ledger, quota
from maisale.text import fold
from maisale.ui import documents as documents_html
from maisale.ui import panels, people_page, rail
from maisale.ui.account import account_page
from maisale.ui.audit_log import SHOWN
from maisale.ui.choice import Choice
from maisale.ui.deletions import LISTED as RECEIPTS
from maisale.ui.explained import in_words
from maisale.ui.ledger import Opened
from maisale.ui.steps import Step
from maisale.ui.suggestions import Suggestions
from maisale.ui.texts import LANGUAGES, say
from maisale.ui.view import View, page_of

MINUTES_COOKIE = "maisale_minutes"  # how far the browser's clock is ahead of UTC; behaviour/ sets it
WORKER_MAY_MISS_S = 20.0
LETTERS = 50  # of what was given up, unfolded on the page


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at the page, in which language and time zone. Every read of a handler begins with one."""

    caller: Caller
    limits: Limits
    language: str
    offset_minutes: int  # of the browser's clock, ahead of UTC

    @property
    def scope(self) -> Scope:
        return self.caller.scope

    @property
    def manages(self) -> bool:
        """Whether this person may manage others, with this key."""
        return self.caller.user.role in ("tenant_admin", "instance_admin") and self.may("admin")

    def may(self, permission: str) -> bool:
        try:
            self.require(permission)
        except NotAllowed:
            return False
        return True

    def require(self, permission: str) -> None:
        """Raises NotAllowed."""
        keys.require(self.caller, permission)

    def start(self, permission: str) -> None:
        """For what counts as work. Raises NotAllowed or TooOften."""
        self.require(permission)
        self.limits.start_work(self.caller.user.id)


def reader(request: gr.Request) -> Reader:
    """Raises NotSignedIn; and for a key that may not read, since everything on the page shows something, gr.Error, which people see."""
    found = caller(request)
    try:
        keys.require(found, "read")
    except NotAllowed as problem:
        raise gr.Error(str(problem), print_exception=False) from problem
    cookies = request.cookies or {}
    language = cookies.get(LANGUAGE_COOKIE, "")
    offset = cookies.get(MINUTES_COOKIE, "0")
    minutes = int(offset) if offset.lstrip("-").isdigit() and abs(int(offset)) <= 15 * 60 else 0
    return Reader(found, limits(request), language if language in LANGUAGES else found.user.language, minutes)


class WorkerWatch:
    """Whether the worker has been away for so long that people should know. A start takes it some seconds."""

    def __init__(self) -> None:
        self._missed_since: float | None = None

    def away(self, services: Services) -> bool:
        if not self._missed(services):
            self._missed_since = None
            return False
        self._missed_since = self._missed_since or time.monotonic()
        return time.monotonic() - self._missed_since > WORKER_MAY_MISS_S

    def _missed(self, services: Services) -> bool:
        if services.vectors is None or services.settings.index == "pgvector":
            return jobs.left_alone(services.db)  # nothing else is asked of it, and it may be on another machine
        try:
            services.vectors.health()
        except IndexUnavailable:
            return True
        return False


def rail_for(services: Services, who: Reader, open_id: str) -> str:
    listed = conversations.list_conversations(services.db, who.scope)
    return rail.rail(who.caller.user, listed, open_id, who.language, who.offset_minutes, manages=who.manages)


def header_for(services: Services, who: Reader, title: str, choice: str, conversation_id: str) -> str:
    collections = documents.list_collections(services.db, who.scope)
    only = chosen_documents(services, who, choice, conversation_id)
    return panels.header(title, searched(services, who, choice), collections, services.models.status, who.language, only)


def chosen_for(services: Services, who: Reader, choice: str, conversation_id: str) -> str:
    return panels.chosen(chosen_documents(services, who, choice, conversation_id), who.language)


def chosen_documents(services: Services, who: Reader, choice: str, conversation_id: str) -> list[Named]:
    """The documents chosen in this tab, as far as they can be asked here: another conversation's files and deleted ones are passed over."""
    ids = Choice.read(choice).documents
    return documents.document_names(services.db, who.scope, conversation_id, documents=ids) if ids else []


def explained(services: Services, who: Reader, reply: Reply, name: str) -> str:
    """What became of the document of this name in an answer, in words; that there is none of that name is words, too."""
    names = documents.document_names(services.db, who.scope, reply.conversation_id)
    wanted = fold(name)
    found = [one for one in names if wanted in (fold(file_name(one)), fold(one.title), fold(one.source))]
    if not found:
        return say(who.language, "why_no_such", title=name)
    return in_words(explain(services, who.scope, reply.id, found[0].id), who.language)


def searched(services: Services, who: Reader, choice: str) -> tuple[str, ...]:
    """The names of the collections that a question would look in now. A chosen one that is gone is passed over."""
    try:
        return documents.searchable(services.db, who.scope, names=Choice.read(choice).collections)[1]
    except NotFound:
        return documents.searchable(services.db, who.scope)[1]


def banners_for(services: Services, who: Reader, worker: WorkerWatch) -> str:
    settings = services.settings
    indexed, listed = documents.progress(services.db, who.scope)
    now = panels.Condition(
        models=services.models.status,
        generation_model=settings.generation_model,
        embedding_model=settings.embedding_model,
        embedder_away=services.embedder is None,
        worker_away=worker.away(services),
        indexed=indexed,
        documents=listed,
    )
    return panels.banners(now, who.language)


def empty_for(services: Services, who: Reader, choice: str, suggestions: Suggestions) -> str:
    asked = suggestions.for_reader(services, who.scope, who.language, searched(services, who, choice))
    return panels.empty_page(asked, services.models.status, who.language, services.settings.upload_mb, who.may("write"))


def documents_for(services: Services, who: Reader, view: View | None = None, notice: str = "", done: str = "") -> str:
    view = view or View()
    shown = page_of(documents.outlines(services.db, who.scope), view)
    rows = progress.with_seconds_left(services.db, documents.list_documents(services.db, who.scope, ids=shown.ids)) if shown.ids else []
    opened = next((Opened(one.id, ledger.of_document(services.db, one.id)) for one in rows if one.id == view.opened), None)
    letters = dead_letters.visible(services, who.scope, managed(who), LETTERS) if view.letters else []
    return documents_html.documents_page(
        rows,
        who.language,
        view=view,
        shown=shown,
        upload_mb=services.settings.upload_mb,
        may_write=who.may("write"),
        read_only=set(shown.ids) - changeable(services.db, who.scope, shown.ids),
        notice=notice,
        done=done,
        letters=documents_html.Letters(dead_letters.counted(services, who.scope, managed(who)), letters),
        opened=opened,
        offset_minutes=who.offset_minutes,
    )


def managed(who: Reader) -> str:
    """What dead_letters calls so: the tenant that this person manages with this key."""
    if not who.manages:
        return ""
    return dead_letters.EVERY_TENANT if who.caller.user.role == "instance_admin" else who.scope.tenant_id


def attached_for(services: Services, who: Reader, conversation_id: str) -> str:
    if not conversation_id:
        return ""
    listed = progress.with_seconds_left(services.db, documents.list_documents(services.db, who.scope, conversation_id))
    return documents_html.attached(listed, who.language)


def account_for(services: Services, who: Reader, step: Step | None = None) -> str:
    """step: None before the page is opened; then others' receipts, which only admins see and whose reading is noted, do not stand there."""
    own = keys.list_keys(services.db, who.caller.user)
    settings, tokens = services.settings, (0, 0)
    if most := settings.tokens_per_day:
        tokens = quota.spent_today(services.db, who.scope, time.time()), most
    of = managed(who) if step else ""
    if of and step and not step.done:
        audit.read(services.db, who.caller, "erasures_read")
    return account_page(
        who.caller,
        own,
        who.language,
        manages=who.manages,
        fresh_until=fresh_until(services, who),
        receipts=receipts.visible(services, who.scope, of, RECEIPTS) if who.may("read") else (),
        erase_hours=settings.erase_hours,
        step=step,
        elsewhere=settings.elsewhere,
        tokens=tokens,
        offset_minutes=who.offset_minutes,
    )


def fresh_until(services: Services, who: Reader) -> float:
    """Until when the caller may do what cannot be undone; 0: not now."""
    if not who.caller.fresh:
        return 0.0
    if who.caller.session_id is None:
        return who.caller.expires_at or 0.0
    found = accounts.valid_session(services.db, who.caller.session_id, time.time())
    return found[2] if found else 0.0


def people_for(services: Services, who: Reader, step: Step) -> str:
    """What is shown is noted in the audit log, unless an act of its own tells who saw the page.

    Raises NotAllowed, also when `step` is about somebody whom the caller does not manage.
    """
    db, caller = services.db, who.caller
    users, tenants, listed, entries = people.list_users(db, caller), people.list_tenants(db, caller), [], []
    if step.name == "audit":
        entries = audit.entries(db, caller, limit=SHOWN, action=step.typed.get("action") or None)
    elif step.name in people_page.OF_A_PERSON and step.id in {user.id for user in users}:
        listed = keys.list_keys(db, people.managed(db, caller, step.id))
        if not step.done:
            audit.read(db, caller, "keys_read", "user", step.id)
    elif not step.done:
        audit.read(db, caller, "users_read")
    found = acks.last_hour(db) if caller.user.role == "instance_admin" else None
    shown = {"keys": listed, "acks": found, "entries": entries, "fresh": caller.fresh, "step": step, "offset_minutes": who.offset_minutes}
    return people_page.people_page(caller, users, tenants, who.language, **shown)
