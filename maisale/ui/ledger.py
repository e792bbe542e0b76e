"""How a document came to where it stands, and what was given up. Pure: records in, HTML out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maisale.library.dead_letters import DELETED, MESSAGE, PRIVATE, TEAM, DeadLetter
from maisale.records import Document, Reached
from maisale.ui.causes import told
from maisale.ui.markup import Clock, dot, esc, whole
from maisale.ui.texts import say

ABOUT = {MESSAGE: "about_message", DELETED: "about_deleted", PRIVATE: "about_private", TEAM: "about_team"}
TROUBLE = ("failed", "cancelled", "halted")


@dataclass(frozen=True, slots=True)
class Opened:
    """The document whose steps are shown."""

    document_id: str
    steps: Sequence[Reached]


def left_in_words(seconds: int, language: str) -> str:
    """In the unit that the guess is good for."""
    if seconds < 90:
        return say(language, "seconds_left", n=max(5, 5 * round(seconds / 5)))
    if seconds < 90 * 60:
        return say(language, "minutes_left", n=round(seconds / 60))
    return say(language, "hours_left", n=round(seconds / 3600))


def steps(one: Document, reached: Sequence[Reached], clock: Clock) -> str:
    """The document's ledger, a line for each stage."""
    language = clock.language
    if not reached:
        return f'<p class="hint">{say(language, "ledger_none")}</p>'
    rows = "".join(_step(each, one, clock) for each in reached)
    return f'<ol class="steps" aria-label="{esc(say(language, "ledger", title=one.title))}">{rows}</ol>'


def _step(each: Reached, one: Document, clock: Clock) -> str:
    language, facts = clock.language, []
    if each.counted is not None and each.stage == "read":
        facts.append(say(language, "n_characters", n=whole(each.counted, language)))
    elif each.counted is not None and each.stage in ("chunked", "searchable"):
        facts.append(say(language, "n_passages", n=each.counted))
    elif each.stage == "redacted":
        facts += [say(language, f"n_{kind}", n=count) for kind, count in (one.identifiers or {}).items()] or [say(language, "no_identifiers")]
    elif each.counted is not None and each.stage in ("embedding", "embedded"):
        facts.append(say(language, "done_of_all", done=each.counted, all=one.chunks))
    if each.attempts > 1:
        facts.append(say(language, "n_attempts", n=each.attempts))
    cause = say(language, f"cancelled_{one.cancelled}") if each.stage == "cancelled" and one.cancelled else told(each.cause, language)
    mark = dot("bad" if each.stage == "failed" else "hollow" if each.stage in TROUBLE else "full")
    more = f"<small>{esc(cause)}</small>" if cause and each.stage in TROUBLE else ""
    counts = f' <span>{esc(" · ".join(facts))}</span>' if facts else ""
    return f'<li>{mark}<time>{clock.instant(each.reached_at)}</time><div><b>{say(language, f"ledger_{each.stage}")}</b>{counts}{more}</div></li>'


def given_up(letters: Sequence[DeadLetter], clock: Clock, may_write: bool) -> str:
    """Dead letters with cause, text, Retry and Skip; nothing when there are none."""
    if not letters:
        return ""
    language = clock.language
    rows = "".join(_letter(one, clock, may_write) for one in letters)
    return (
        f'<section class="given-up" aria-label="{say(language, "given_up")}"><h2>{dot("bad")}{say(language, "given_up")} {len(letters)}</h2>'
        f'<p class="hint">{say(language, "given_up_why")}</p><ul>{rows}</ul></section>'
    )


def _letter(one: DeadLetter, clock: Clock, may_write: bool) -> str:
    language, job = clock.language, one.job
    about = say(language, ABOUT[one.about]) if one.about in ABOUT else one.about
    facts = [say(language, f"job_{job.kind}"), say(language, "n_attempts", n=max(1, job.attempts))]
    facts += [clock.when(job.ended_at)] if job.ended_at else []
    quoted = f"<blockquote>{esc(one.text)}</blockquote>" if one.text else ""
    buttons = (
        f'<button type="button" class="button accent" data-do="retry-job">{say(language, "retry")}</button>'
        f'<button type="button" class="button" data-do="skip-job">{say(language, "skip")}</button>'
    )
    return (
        f'<li data-id="{esc(job.id)}"><div><b>{esc(about)}</b><small>{esc(" · ".join(facts))}</small>'
        f'<p class="err">{esc(told(job.cause, language))}</p>{quoted}</div>{f"""<p class="acts">{buttons}</p>""" if may_write else ""}</li>'
    )
