"""The account page: who is signed in, language and theme, one's own keys, the key typed again. Pure: records in, HTML out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from maisale.access.keys import ADMIN_KEY_ID
from maisale.ops.receipts import Receipt
from maisale.records import Caller, Key
from maisale.store.quota import renews_at
from maisale.ui.deletions import deletions
from maisale.ui.documents import menu_button
from maisale.ui.markup import Clock, dot, esc, whole
from maisale.ui.steps import Step, back, confirmation, key_again, outcome, refusal, text_field
from maisale.ui.texts import LANGUAGES, say

MOST_DAYS = 3650
ENDED_SHOWN_S = 7 * 86_400  # how long an expired key is still listed


def account_page(
    caller: Caller,
    keys: Sequence[Key],
    language: str,
    *,
    manages: bool = False,
    fresh_until: float = 0.0,
    receipts: Sequence[Receipt] = (),
    erase_hours: int = 24,
    step: Step | None = None,
    elsewhere: Mapping[str, Sequence[str]] | None = None,
    tokens: tuple[int, int] = (0, 0),
    offset_minutes: int = 0,
    now: float | None = None,
) -> str:
    """manages: whether this person may manage others. fresh_until: 0 when the key was not typed again. receipts: of deletions, the latest first.

    elsewhere: of the settings. tokens: that the model spent today, and that it may spend; the latter 0: as many as one likes.
    """
    step, clock = step or Step(), Clock(language, offset_minutes, now or time.time())
    user, listed = caller.user, listed_keys(keys, clock.now)
    facts = (("signed_in_as", user.name), ("team", user.tenant), ("role", say(language, user.role)))
    about = "".join(f"<dt>{say(language, key)}</dt><dd>{esc(value)}</dd>" for key, value in facts)
    languages = _choice("language", say(language, "language"), list(LANGUAGES.items()), language)
    themes = _choice("theme", say(language, "theme"), [(name, say(language, f"theme_{name}")) for name in ("system", "light", "dark")], "")
    rows = "".join(own_key(key, key.id == caller.key_id, step if step.id == key.id else Step(), clock) for key in listed)
    placed = step.name in ("make_key", "fresh") or step.id in {key.id for key in listed}
    return (
        f'<section class="account-page" lang="{language}" data-drawn="{clock.now}"><header class="pane-head">{menu_button(language)}'
        f'<h1>{say(language, "account")}</h1></header>'
        f'<div class="pane-body"><dl>{about}</dl><h2>{say(language, "language")}</h2>{languages}<h2>{say(language, "theme")}</h2>{themes}'
        f'<h2>{say(language, "your_keys")}</h2><p class="hint">{say(language, "keys_note")}</p>{"" if placed else refusal(step)}{outcome(step, language)}'
        f'{f"""<ul class="keys">{rows}</ul>""" if rows else ""}{_new_key(caller, step, clock)}{_fresh(step, fresh_until, clock) if manages else ""}'
        f'{deletions(receipts, erase_hours, clock)}'
        f'{_tokens(*tokens, clock)}<h2>{say(language, "leaves_title")}</h2>{leaves(elsewhere or {}, language)}'
        f'<h2>{say(language, "shortcuts")}</h2><p class="hint">{say(language, "key_slash")}</p>'
        f'<form class="leaving" method="post" action="/logout"><button class="button">{say(language, "sign_out")}</button></form></div></section>'
    )


def leaves(elsewhere: Mapping[str, Sequence[str]], language: str) -> str:
    """What leaves this machine, and where it goes."""
    if not elsewhere:
        return f'<p class="hint">{say(language, "leaves_nothing")}</p>'
    told = [say(language, f"leaves_{kind}", hosts=", ".join(hosts)) for kind, hosts in elsewhere.items()]
    return "".join(f'<p class="hint">{esc(words)}</p>' for words in (*told, say(language, "leaves_no_more")))


def _tokens(used: int, most: int, clock: Clock) -> str:
    if not most:
        return ""
    counts = {"used": whole(used, clock.language), "most": whole(most, clock.language), "left": whole(max(0, most - used), clock.language)}
    words = say(clock.language, "tokens_today", when=clock.moment(renews_at(clock.now)), **counts)
    return f'<h2>{say(clock.language, "tokens_title")}</h2><p class="hint">{words}</p>'


def signed_out(language: str, words: str) -> str:
    """What stands there until the browser has left for the sign-in page."""
    return f'<section class="account-page" lang="{language}" data-gone><p class="pane-body" role="status">{esc(words)}</p></section>'


def listed_keys(keys: Sequence[Key], now: float) -> list[Key]:
    """Without revoked ones, fresh ones that ended by themselves, and those that expired long ago."""
    return [key for key in keys if not key.revoked_at and (not key.expires_at or key.expires_at > now - (0 if key.fresh else ENDED_SHOWN_S))]


def has_ended(key: Key, now: float) -> bool:
    return bool(key.revoked_at or (key.expires_at and key.expires_at <= now))


def own_key(key: Key, opened_this: bool, step: Step, clock: Clock) -> str:
    """One key with what can be done with it; the confirmation of `step` stands below it."""
    language, buttons, below = clock.language, [], refusal(step)
    if not has_ended(key, clock.now):
        if key.id != ADMIN_KEY_ID and not key.fresh:
            buttons.append(step_button("rotate", say(language, "rotate"), key.name))
        buttons.append(step_button("revoke", say(language, "revoke"), key.name))
        if step.name in ("rotate", "revoke"):
            reasons = [say(language, f"{step.name}_why")]
            reasons += [say(language, f"{step.name}_session")] if opened_this else []
            reasons += [say(language, "revoke_server")] if key.id == ADMIN_KEY_ID and step.name == "revoke" else []
            below = confirmation(step.name, say(language, step.name), reasons, language, refusal(step))
    return key_row(key, clock, "".join(buttons), below, say(language, "this_session") if opened_this else "")


def key_row(key: Key, clock: Clock, buttons: str, below: str, note: str = "", attribute: str = "data-id") -> str:
    """attribute: what bears the key's id; data-key-id within the row of a person."""
    language = clock.language
    used = say(language, "last_used", when=clock.when(key.last_used_at)) if key.last_used_at else say(language, "never_used")
    facts = " · ".join(filter(None, (", ".join(key.permissions), used, note)))
    return (
        f'<li {attribute}="{esc(key.id)}"><div class="line"><span class="name"><b>{esc(key.name)}</b><small>{esc(facts)}</small>{_state(key, clock)}</span>'
        f'<span class="acts">{buttons}</span></div>{below}</li>'
    )


def step_button(step: str, words: str, about: str, kind: str = "") -> str:
    """A button that opens a form or a confirmation."""
    return f'<button type="button" class="button{kind}" data-do="step" data-step="{step}" aria-label="{esc(f"{words}: {about}")}">{esc(words)}</button>'


def _state(key: Key, clock: Clock) -> str:
    if key.expires_at and key.expires_at <= clock.now:
        return f'<small class="line muted">{dot("hollow")}{say(clock.language, "key_ended", when=clock.when(key.expires_at))}</small>'
    words = say(clock.language, "key_until", when=clock.moment(key.expires_at)) if key.expires_at else say(clock.language, "key_stays")
    return f'<small class="line ok">{dot("ok")}{words}</small>'


def _new_key(caller: Caller, step: Step, clock: Clock) -> str:
    """Behind a button, the form for another key that may do no more than the one that asks."""
    language = clock.language
    if step.name != "make_key":
        return f'<p class="acts"><button type="button" class="button" data-do="step" data-step="make_key">{say(language, "make_key")}</button></p>'
    ticked = step.typed.get("permissions", "chat\nread\nwrite").split("\n")
    boxes = "".join(
        f'<label><input type="checkbox" name="permissions" value="{one}"{" checked" if one in ticked else ""}><span><b>{one}</b>: '
        f'{say(language, f"may_{one}")}</span></label>'
        for one in givable(caller)
    )
    ends = f'<p class="hint">{say(language, "key_days_yours", when=clock.moment(caller.expires_at))}</p>' if caller.expires_at else ""
    like = f'required maxlength="80" placeholder="{say(language, "key_name_like")}" data-focus'
    name = text_field("name", say(language, "key_name"), step.typed.get("name", ""), like)
    whole = f'type="number" min="1" max="{MOST_DAYS}" step="1" aria-describedby="days-why"'
    days = text_field("days", say(language, "key_days"), step.typed.get("days", ""), whole)
    return (
        f'<form class="confirm" data-act="make_key">{name}<fieldset><legend>{say(language, "key_may")}</legend>{boxes}</fieldset>{days}'
        f'<p class="hint" id="days-why">{say(language, "key_days_why")}</p>{ends}{refusal(step)}'
        f'<p class="acts"><button class="button accent">{say(language, "make_this_key")}</button>{back(language)}</p></form>'
    )


def givable(caller: Caller) -> list[str]:
    """The permissions that a key of this person may have, made with the key that asks."""
    return [one for one in caller.permissions if one != "admin" or caller.user.role != "member"]


def _fresh(step: Step, fresh_until: float, clock: Clock) -> str:
    language = clock.language
    if fresh_until > clock.now:
        focus = ' tabindex="-1" data-focus' if step.name == "fresh" else ""
        said = f'<p class="line ok" role="status"{focus}>{dot("ok")}{say(language, "fresh_until", when=clock.moment(fresh_until))}</p>'
    else:
        said = key_again(step if step.name == "fresh" else Step("fresh"), "fresh_why", language)
    return f'<h2>{say(language, "fresh_title")}</h2>{said}'


def _choice(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> str:
    buttons = "".join(
        f'<button type="button" class="filter" data-{name}="{value}" aria-pressed="{"true" if value == chosen else "false"}">{words}</button>'
        for value, words in options
    )
    return f'<div class="filters" role="group" aria-label="{label}">{buttons}</div>'
