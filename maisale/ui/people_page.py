"""The people page: invitations, everybody that an admin manages, and the teams of the instance. Pure: records in, HTML out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from maisale.access.people import FIRST_ADMIN, FIRST_TENANT, ROLES
from maisale.access.sessions import INVITATION_S
from maisale.ops.acks import Acks
from maisale.records import Caller, Key, Tenant, User
from maisale.store.audit import Entry
from maisale.text import fold
from maisale.ui.account import has_ended, key_row, listed_keys, step_button
from maisale.ui.audit_log import audit_log
from maisale.ui.documents import menu_button
from maisale.ui.markup import Clock, esc, find_box
from maisale.ui.steps import Step, back, chooser, confirmation, once_fresh, outcome, refusal, text_field
from maisale.ui.texts import say

OF_A_PERSON = ("person", "role", "revoke", "invite", "delete")  # the steps that open somebody's row


def people_page(
    caller: Caller,
    users: Sequence[User],
    tenants: Sequence[Tenant],
    language: str,
    *,
    keys: Sequence[Key] = (),
    entries: Sequence[Entry] = (),
    acks: Acks | None = None,
    fresh: bool = False,
    step: Step | None = None,
    offset_minutes: int = 0,
    now: float | None = None,
) -> str:
    """keys: of the person whose row is open. entries: of the audit log, when it is open. fresh: whether the caller's key was typed again.

    acks: for the instance's admin.
    """
    step, clock = step or Step(), Clock(language, offset_minutes, now or time.time())
    opened = step.id if step.name in OF_A_PERSON and step.id in {user.id for user in users} else ""
    rows = "".join(_row(caller, user, step if user.id == opened else None, keys, fresh, clock) for user in users)
    teams = _teams(tenants, fresh, step, language) if caller.user.role == "instance_admin" else ""
    in_teams = teams and (step.name == "add_team" or (step.name == "delete_team" and step.id in {one.id for one in tenants}))
    names = {one.id: one.name for one in (*tenants, *users)}
    in_privacy = step.name == "privacy" and step.id in {one.id for one in tenants}
    placed = opened or step.name == "new" or in_teams or in_privacy
    invitation = _invitation(caller, tenants, step, language) if step.name == "new" else ""
    words = say(language, "invite_colleague")
    invite = "" if invitation else f'<button type="button" class="button accent" data-do="step" data-step="new">{words}</button>'
    counts = {"people": say(language, "n_people", n=len(users)), "teams": say(language, "n_teams", n=len(tenants))}
    return _frame(
        f"<span>{say(language, 'people_summary', **counts)}</span>",
        f'{"" if placed else refusal(step)}{outcome(step, language)}{invitation}<div class="filters">{invite}{find_box(say(language, "find_person"))}</div>'
        f'<ul class="listed" aria-label="{say(language, "people")}">{rows}</ul>'
        f'<p class="hint" data-none hidden>{say(language, "no_match")}</p>{teams}{_instance(acks, language)}'
        f"{_privacy(tenants, step, language)}{audit_log(entries, names, step, clock)}",
        clock,
    )


def refused_page(language: str, words: str) -> str:
    """For somebody who manages nobody."""
    return _frame("", f'<p class="error" role="alert">{esc(words)}</p>', Clock(language, 0, time.time()))


def about_invitation(user: User, language: str) -> str:
    return say(language, "invitation_why", name=user.name, n=INVITATION_S // 3600)


def _frame(summary: str, body: str, clock: Clock) -> str:
    language = clock.language
    return (
        f'<section class="people-page" lang="{language}" data-drawn="{clock.now}"><header class="pane-head">{menu_button(language)}'
        f'<h1>{say(language, "people")}</h1>{summary}</header><div class="pane-body">{body}</div></section>'
    )


def _invitation(caller: Caller, tenants: Sequence[Tenant], step: Step, language: str) -> str:
    """The form that adds a person and makes the link for them."""
    words = say(language, "invite_colleague")
    name = text_field("name", say(language, "name"), step.typed.get("name", ""), 'required maxlength="80" data-focus')
    role = chooser("role", say(language, "role"), _roles(caller, language), step.typed.get("role", "member"))
    names = [(one.name, one.name) for one in tenants]
    team = chooser("tenant", say(language, "team"), names, step.typed.get("tenant", caller.user.tenant)) if caller.user.role == "instance_admin" else ""
    return (
        f'<form class="confirm" data-act="new" aria-label="{words}"><b>{words}</b><div class="fields">{name}{role}{team}</div>{refusal(step)}'
        f'<p class="acts"><button class="button accent">{say(language, "make_invitation")}</button>{back(language)}</p></form>'
    )


def _roles(caller: Caller, language: str) -> list[tuple[str, str]]:
    """Those that the caller may give."""
    return [(role, say(language, role)) for role in ROLES if role != "instance_admin" or caller.user.role == "instance_admin"]


def _row(caller: Caller, user: User, step: Step | None, keys: Sequence[Key], fresh: bool, clock: Clock) -> str:
    """One person. step: None while the row is closed."""
    language, button = clock.language, ""
    if user.id == caller.user.id:
        button = f'<small>{say(language, "you")}</small>'
    elif user.role != "instance_admin" or caller.user.role == "instance_admin":
        words, focus = say(language, "manage" if step is None else "close"), " data-focus" if step and step.name == "person" else ""
        acts = 'data-do="step" data-step="person" aria-expanded="false"' if step is None else f'data-do="back" aria-expanded="true"{focus}'
        button = f'<button type="button" class="button" {acts} aria-label="{esc(f"{words}: {user.name}")}">{words}</button>'
    below = _opened(caller, user, step, keys, fresh, clock) if step else ""
    return (
        f'<li data-id="{esc(user.id)}" data-folded="{esc(fold(f"{user.name} {user.tenant}"))}"><div class="line"><span class="name"><b>{esc(user.name)}</b>'
        f'<small>{esc(user.tenant)}</small></span><span class="role">{say(language, user.role)}</span><span class="acts">{button}</span></div>{below}</li>'
    )


def _opened(caller: Caller, user: User, step: Step, keys: Sequence[Key], fresh: bool, clock: Clock) -> str:
    """Role, keys, a new invitation and deletion of one person, with what is asked before each."""
    language = clock.language
    first = (user.tenant, user.name) == (FIRST_TENANT, FIRST_ADMIN)
    change = f'<button class="button">{say(language, "change_role")}</button>'
    role = f'<form class="fields" data-act="role">{chooser("role", say(language, "role"), _roles(caller, language), user.role)}{change}</form>'
    valid = [key for key in listed_keys(keys, clock.now) if not has_ended(key, clock.now)]
    rows = "".join(_key(key, step, clock) for key in valid)
    lost = step.name == "revoke" and step.key_id not in {key.id for key in valid}
    listed = f'<ul class="keys">{rows}</ul>' if rows else f'<p class="hint">{say(language, "no_valid_key")}</p>'
    acts = step_button("invite", say(language, "new_invitation"), user.name)
    if not first:
        acts += step_button("delete", say(language, "delete"), user.name, " danger")
    asked = _asked(user, step, fresh, language) if step.name in ("invite", "delete") else ""
    return (
        f'<div class="opened">{f"""<p class="hint">{say(language, "first_admin_stays")}</p>""" if first else role}'
        f'{refusal(step) if step.name in ("person", "role") or lost else ""}<h3>{say(language, "their_keys")}</h3>'
        f'{listed}{asked or f"""<p class="acts">{acts}</p>"""}</div>'
    )


def _key(key: Key, step: Step, clock: Clock) -> str:
    language, below = clock.language, ""
    if step.name == "revoke" and step.key_id == key.id:
        below = confirmation("revoke", say(language, "revoke"), [say(language, "revoke_why")], language, refusal(step))
    return key_row(key, clock, step_button("revoke", say(language, "revoke"), key.name), below, attribute="data-key-id")


def _asked(user: User, step: Step, fresh: bool, language: str) -> str:
    """What becomes of the person, or of the lost key; without a fresh key first the form to type it."""
    if step.name == "delete":
        reasons = [say(language, "delete_person_goes", name=user.name), say(language, "delete_person_stays")]
        verb = say(language, "delete_name", name=user.name)
    else:
        reasons, verb = [say(language, "new_invitation_why", name=user.name)], say(language, "make_invitation")
    return once_fresh(step, verb, reasons, fresh, language)


def _privacy(tenants: Sequence[Tenant], step: Step, language: str) -> str:
    """What becomes of personal data, for each team that the caller manages."""
    rows = "".join(_choices(one, step, language) for one in tenants)
    return (
        f'<h2>{say(language, "personal_data")}</h2><p class="hint">{say(language, "redact_why")}</p><p class="hint">{say(language, "sees_why")}</p>'
        f'<ul class="listed" aria-label="{say(language, "personal_data")}">{rows}</ul>'
    )


def _choices(tenant: Tenant, step: Step, language: str) -> str:
    redact = chooser("redact", say(language, "redact"), _answers("redact", language), _on_off(tenant.redact))
    sees = chooser("model_sees_originals", say(language, "sees"), _answers("sees", language), _on_off(tenant.model_sees_originals))
    problem = refusal(step) if step.name == "privacy" and step.id == tenant.id else ""
    return (
        f'<li data-id="{esc(tenant.id)}"><div class="line"><span class="name"><b>{esc(tenant.name)}</b></span></div>'
        f'<form class="fields" data-act="privacy" aria-label="{esc(say(language, "personal_data") + ": " + tenant.name)}">{redact}{sees}'
        f'<button class="button">{say(language, "save")}</button></form>{problem}</li>'
    )


def _answers(setting: str, language: str) -> list[tuple[str, str]]:
    return [(answer, say(language, f"{setting}_{answer}")) for answer in ("on", "off")]


def _on_off(chosen: bool) -> str:
    return "on" if chosen else "off"


def _instance(acks: Acks | None, language: str) -> str:
    """How the whole server does."""
    if acks is None:
        return ""
    goal = f"{acks.goal_s * 1000:.0f}"
    if acks.p95_s is None:
        words = say(language, "acks_none", goal=goal)
    else:
        words = say(language, "acks_kept" if acks.kept else "acks_late", p95=f"{acks.p95_s * 1000:.0f}", n=acks.questions, goal=goal)
    return f'<h2>{say(language, "this_server")}</h2><p class="{"hint" if acks.kept else "error"}" data-acks>{words}</p>'


def _teams(tenants: Sequence[Tenant], fresh: bool, step: Step, language: str) -> str:
    rows = "".join(_team(one, fresh, step if step.name == "delete_team" and step.id == one.id else None, language) for one in tenants)
    add = say(language, "add_team")
    if step.name == "add_team":
        name = text_field("name", say(language, "name"), step.typed.get("name", ""), 'required maxlength="80" data-focus')
        buttons = f'<p class="acts"><button class="button accent">{add}</button>{back(language)}</p>'
        form = f'<form class="confirm" data-act="add_team" aria-label="{add}">{name}{refusal(step)}{buttons}</form>'
    else:
        form = f'<p class="acts"><button type="button" class="button" data-do="step" data-step="add_team">{add}</button></p>'
    return f'<h2>{say(language, "teams")}</h2><ul class="listed" aria-label="{say(language, "teams")}">{rows}</ul>{form}'


def _team(tenant: Tenant, fresh: bool, step: Step | None, language: str) -> str:
    """step: when the team's deletion is asked for."""
    people = say(language, "n_people", n=tenant.users)
    button = "" if tenant.name == FIRST_TENANT else step_button("delete_team", say(language, "delete"), tenant.name)
    verb, reasons = say(language, "delete_name", name=tenant.name), [say(language, "delete_team_goes", name=tenant.name, people=people)]
    below = once_fresh(step, verb, reasons, fresh, language) if step else ""
    return (
        f'<li data-id="{esc(tenant.id)}"><div class="line"><span class="name"><b>{esc(tenant.name)}</b></span><span class="role">{people}</span>'
        f'<span class="acts">{button}</span></div>{below}</li>'
    )
