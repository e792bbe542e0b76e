"""What a person does with keys, and an admin with people and teams, on the page.

Each act is decided in access/ with the caller that the gate found, never with what the page says about itself. What cannot be undone is asked
first; without a fresh key the page asks for the key there. A secret is in one answer only: the next one draws the page without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import gradio as gr

from maisale.access import audit, keys, people, sessions
from maisale.chat import erasure
from maisale.chat.replies import Replies
from maisale.contracts import Database
from maisale.errors import BadInput, MaiSaleError, NotAllowed, NotFound
from maisale.records import Key, User
from maisale.store import accounts
from maisale.store.audit import ACTIONS
from maisale.ui import scene
from maisale.ui.account import MOST_DAYS, signed_out
from maisale.ui.markup import moment
from maisale.ui.people_page import about_invitation, refused_page
from maisale.ui.scene import Reader
from maisale.ui.screen import Screen, acted, told
from maisale.ui.steps import Step
from maisale.ui.texts import say

DAY_S = 86_400
KEPT = ("name", "role", "tenant", "permissions", "days")  # of a form that was refused; never a key
ONCE_FRESH = ("invite", "delete", "delete_team")
# What the audit log calls them when they are refused: action and kind of its subject.
NOTED = {
    "make_key": ("key_issue", "key"),
    "rotate": ("key_rotate", "key"),
    "revoke": ("key_revoke", "key"),
    "fresh": ("key_retype", "key"),
    "new": ("user_add", "user"),
    "role": ("user_role", "user"),
    "invite": ("invitation_make", "user"),
    "delete": ("user_delete", "user"),
    "add_team": ("tenant_add", "tenant"),
    "delete_team": ("tenant_delete", "tenant"),
}

Asked = dict[str, str]


class People:
    """The handlers of the account page and of the people page."""

    def __init__(self, running: Callable[[], Replies]):
        self.running = running
        self._with_own_keys = {"make_key": self._make_key, "rotate": self._rotate, "revoke": self._revoke_own}
        self._with_people = {
            "new": self._add_colleague,
            "role": self._set_role,
            "revoke": self._revoke,
            "invite": self._invite_again,
            "delete": self._delete_person,
            "add_team": self._add_team,
            "delete_team": self._delete_team,
            "audit": self._show_audit,
            "privacy": self._choose_privacy,
        }

    async def account_acts(self, request: gr.Request, event: gr.EventData) -> Screen:
        who, step = await self._act(scene.reader(request), request, acted(event), self._with_own_keys)
        if who.caller.session_id and step.done and step.id == who.caller.key_id:
            return Screen(account=signed_out(who.language, step.done))
        return Screen(account=await asyncio.to_thread(scene.account_for, self.running().services, who, step))

    async def people_acts(self, request: gr.Request, event: gr.EventData) -> Screen:
        who, services = scene.reader(request), self.running().services
        if not who.manages:
            words = say(who.language, "people_refused")
            await asyncio.to_thread(audit.refused, services.db, who.scope, NotAllowed(words), "users_read")
            return Screen(people=refused_page(who.language, words))
        who, step = await self._act(who, request, acted(event), self._with_people)
        try:
            return Screen(people=await asyncio.to_thread(scene.people_for, services, who, step))
        except (NotAllowed, NotFound) as problem:  # somebody whom only another admin manages
            return Screen(people=await asyncio.to_thread(scene.people_for, services, who, Step(problem=told(problem, who.language))))

    async def _act(
        self, who: Reader, request: gr.Request, asked: Asked, verbs: dict[str, Callable[[Reader, gr.Request, Asked], Awaitable[Step]]]
    ) -> tuple[Reader, Step]:
        """Does what was asked, or opens what is to be filled in or confirmed first; then who asks, and what the page shows next."""
        do, here = asked.get("do", ""), Step(asked.get("step", ""), asked.get("id", ""), asked.get("key_id", ""))
        if do == "step":
            return who, here
        if do == "back":
            return who, Step("person", here.id)
        if do not in verbs and do != "fresh":
            return who, Step()  # it only looks
        try:
            who.limits.start_work(who.caller.user.id)
            if do != "fresh":
                return who, await verbs[do](who, request, asked)
            await asyncio.to_thread(self._type_again, who, asked.get("key", ""))
            return replace(who, caller=replace(who.caller, fresh=True)), here
        except MaiSaleError as problem:
            action, kind = NOTED.get(do, ("audit_read", ""))
            subject_id = asked.get("key_id") or asked.get("id", "")
            await asyncio.to_thread(audit.refused, self._db, who.scope, problem, action, kind, "" if do in ("new", "add_team", "fresh") else subject_id)
            here = here if do == "fresh" else replace(here, name=do)
            if isinstance(problem, NotAllowed) and do in ONCE_FRESH and not who.caller.fresh:
                return who, here  # which asks for the key
            words = await asyncio.to_thread(self._taken, who, asked) if isinstance(problem, BadInput) else ""
            return who, replace(here, problem=words or told(problem, who.language), typed={name: asked[name] for name in KEPT if name in asked})

    @property
    def _db(self) -> Database:
        return self.running().services.db

    def _type_again(self, who: Reader, key: str) -> None:
        try:
            sessions.type_key_again(self._db, who.caller, key)
        except NotAllowed as problem:
            raise NotAllowed(say(who.language, "not_your_key")) from problem

    def _taken(self, who: Reader, asked: Asked) -> str:
        """That a name is taken, in the page's language; empty when that is not why it was refused."""
        name, team = _name(asked), asked.get("tenant") or who.caller.user.tenant
        if asked["do"] == "new" and any((user.tenant, user.name) == (team, name) for user in people.list_users(self._db, who.caller)):
            return say(who.language, "name_taken", team=team, name=name)
        if asked["do"] == "add_team" and any(one.name == name for one in people.list_tenants(self._db, who.caller)):
            return say(who.language, "team_taken", name=name)
        return ""

    # One's own keys

    async def _make_key(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        chosen = tuple(filter(None, asked.get("permissions", "").split("\n")))
        if not chosen:
            raise BadInput(say(who.language, "choose_permission"))
        lasts_s = _days(asked.get("days", ""), who.language)
        key, text = await asyncio.to_thread(keys.issue_own, self._db, who.caller, _name(asked), chosen, lasts_s)
        return _shown(say(who.language, "key_made", name=key.name), text, who.language)

    async def _rotate(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        old = await asyncio.to_thread(self._own_key, who, asked)
        key, text = await asyncio.to_thread(keys.rotate_key, self._db, who.caller, old)
        ends = (await asyncio.to_thread(accounts.get_key, self._db, old.id)).expires_at or 0.0
        return _shown(say(who.language, "key_rotated", name=key.name, when=moment(ends, who.language, who.offset_minutes)), text, who.language)

    async def _revoke_own(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        key = await asyncio.to_thread(self._own_key, who, asked)
        await asyncio.to_thread(keys.revoke_for, self._db, who.caller, key)
        return Step(id=key.id, done=say(who.language, "key_revoked", name=key.name))

    def _own_key(self, who: Reader, asked: Asked) -> Key:
        key = people.key_of(self._db, who.caller, asked.get("id", ""))
        if key.user_id != who.caller.user.id:
            raise NotFound("There is no such key of yours.")
        return key

    # People and teams

    async def _add_colleague(self, who: Reader, request: gr.Request, asked: Asked) -> Step:
        team = asked.get("tenant") or None
        user = await asyncio.to_thread(people.add_colleague, self._db, who.caller, _name(asked), asked.get("role", ""), team)
        return await self._invitation(who, request, user)

    async def _invite_again(self, who: Reader, request: gr.Request, asked: Asked) -> Step:
        user = await asyncio.to_thread(people.managed, self._db, who.caller, asked.get("id", ""))
        keys.require_fresh(who.caller)  # whoever opens the link is that person
        return await self._invitation(who, request, user)

    async def _invitation(self, who: Reader, request: gr.Request, user: User) -> Step:
        token = await asyncio.to_thread(sessions.make_invitation, self._db, user, who.scope)
        url = request.request.url
        address = self.running().services.settings.public_url.rstrip("/") or f"{url.scheme}://{url.netloc}"
        words = say(who.language, "invitation_for", name=user.name)
        return Step(done=words, secret=f"{address}/link/{token}", about_secret=about_invitation(user, who.language))

    async def _set_role(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        user = await asyncio.to_thread(people.set_role, self._db, who.caller, asked.get("id", ""), asked.get("role", ""))
        return Step("person", user.id, done=say(who.language, "role_changed", name=user.name, role=say(who.language, user.role)))

    async def _revoke(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        key = await asyncio.to_thread(people.key_of, self._db, who.caller, asked.get("key_id", ""))
        await asyncio.to_thread(keys.revoke_for, self._db, who.caller, key)
        return Step("person", key.user_id, done=say(who.language, "key_revoked", name=key.name))

    async def _delete_person(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        user = await asyncio.to_thread(people.removable, self._db, who.caller, asked.get("id", ""))
        await erasure.delete_user(self.running(), user, who.caller)
        return Step(done=say(who.language, "person_deleted", name=user.name))

    async def _add_team(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        team = await asyncio.to_thread(people.add_tenant, self._db, who.caller, _name(asked))
        return Step("new", done=say(who.language, "team_added", name=team.name), typed={"tenant": team.name, "role": "tenant_admin"})

    async def _choose_privacy(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        chosen = [asked[name] == "on" if name in asked else None for name in ("redact", "model_sees_originals")]
        team, job_id = await asyncio.to_thread(people.choose_privacy, self._db, who.caller, asked.get("id", ""), *chosen)
        if job_id:
            self.running().services.wake(job_id)
        words = say(who.language, "privacy_chosen", name=team.name)
        return Step("privacy", team.id, done=f"{words} {say(who.language, 'privacy_anew')}" if job_id else words)

    async def _delete_team(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        team = await asyncio.to_thread(people.removable_tenant, self._db, who.caller, asked.get("id", ""))
        await erasure.delete_tenant(self.running(), team, who.caller)
        return Step(done=say(who.language, "team_deleted", name=team.name))

    async def _show_audit(self, who: Reader, _request: gr.Request, asked: Asked) -> Step:
        action = asked.get("action", "")
        return Step("audit", typed={"action": action if action in ACTIONS else ""})


def _shown(words: str, key: str, language: str) -> Step:
    return Step(done=words, secret=key, about_secret=say(language, "shown_once"))


def _name(asked: Asked) -> str:
    return " ".join(asked.get("name", "").split())


def _days(typed: str, language: str) -> float | None:
    """In seconds; None: until it is revoked. Raises BadInput."""
    typed = typed.strip()
    if not typed:
        return None
    if not (typed.isascii() and typed.isdigit() and 1 <= int(typed[:9]) <= MOST_DAYS):
        raise BadInput(say(language, "days_wrong", most=MOST_DAYS))
    return float(int(typed) * DAY_S)
