"""The audit log on the people page, for admins: what was done in the teams they manage. Pure: records in, HTML out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maisale.store.audit import ACTIONS, DONE, Entry
from maisale.ui.markup import Clock, dot, esc
from maisale.ui.steps import Step, chooser
from maisale.ui.texts import say

SHOWN = 100  # rows; the others are read at GET /v1/audit and by the command line


def audit_log(entries: Sequence[Entry], names: Mapping[str, str], step: Step, clock: Clock) -> str:
    """A button until it is opened. names: of the people and teams that the reader manages, by id."""
    language = clock.language
    title = say(language, "audit")
    if step.name != "audit":
        button = f'<button type="button" class="button" data-do="step" data-step="audit">{say(language, "audit_open")}</button>'
        return f'<h2>{title}</h2><p class="hint">{say(language, "audit_why")}</p><p class="acts">{button}</p>'
    actions = [("", say(language, "all")), *((one, say(language, f"act_{one}")) for one in ACTIONS)]
    chosen = chooser("action", say(language, "audit_action"), actions, step.typed.get("action", ""))
    form = f'<form class="fields" data-act="audit">{chosen}<button class="button">{say(language, "audit_show")}</button></form>'
    rows = "".join(_row(one, names, clock) for one in entries)
    listed = f'<ul class="listed" aria-label="{title}">{rows}</ul>' if rows else f'<p class="hint">{say(language, "audit_none")}</p>'
    more = f'<p class="hint">{say(language, "audit_more", n=SHOWN)}</p>' if len(entries) >= SHOWN else ""
    return f'<h2 tabindex="-1" data-focus>{title}</h2><p class="hint">{say(language, "audit_why")}</p>{form}{listed}{more}'


def _row(one: Entry, names: Mapping[str, str], clock: Clock) -> str:
    language = clock.language
    subject = names.get(one.subject_id) or one.subject_id
    place = say(language, f"door_{one.door}") + (f", {one.address}" if one.address else "")
    facts = " · ".join(filter(None, (names.get(one.user_id) or one.user_id, subject, one.detail, place)))
    refused = "" if one.result == DONE else f'<small class="line err">{dot("bad")}{say(language, "audit_refused")}</small>'
    return (
        f'<li><div class="line"><span class="name"><b>{say(language, f"act_{one.action}")}</b><small>{esc(facts)}</small>{refused}</span>'
        f'<span class="role">{clock.instant(one.at)}</span></div></li>'
    )
