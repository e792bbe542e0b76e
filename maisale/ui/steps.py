"""What the account page and the people page share: what stands open, secrets shown once, confirmations, the key typed again. Pure: HTML out.

A form bears data-act, a button data-do: behaviour/ sends either with the ids around it, and what the form holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from maisale.access.keys import FRESH_S
from maisale.ui.markup import esc
from maisale.ui.texts import say


@dataclass(frozen=True, slots=True)
class Step:
    """Where somebody stands on one of these pages: what is open, and how the last act went."""

    name: str = ""  # of the form or confirmation that is open
    id: str = ""  # of the person or team it is about, or of one's own key
    key_id: str = ""  # of somebody else's key
    problem: str = ""  # why the last act was refused, in words
    done: str = ""  # what the last act did, in words
    secret: str = ""  # a key's text or an invitation, in the page this once
    about_secret: str = ""
    typed: dict[str, str] = field(default_factory=dict)  # what stays in a form after a refusal; never a key


def refusal(step: Step) -> str:
    return f'<p class="error" role="alert">{esc(step.problem)}</p>' if step.problem else ""


def outcome(step: Step, language: str) -> str:
    """What the last act did; a secret that it made, with a button that copies it and one that takes it out of the page."""
    if not step.secret:
        return f'<p class="outcome" role="status" tabindex="-1" data-focus>{esc(step.done)}</p>' if step.done else ""
    then = f'data-copy="{say(language, "copied")}" data-selected="{say(language, "copy_yourself")}"'
    copy = f'<button type="button" class="button accent" {then} aria-live="polite" data-focus>{say(language, "copy")}</button>'
    return (
        f'<div class="made"><p role="status"><b>{esc(step.done)}</b>{esc(step.about_secret)}</p>'
        f'<textarea readonly rows="2" spellcheck="false" autocomplete="off" data-secret aria-label="{esc(step.done)}">{esc(step.secret)}</textarea>'
        f'<p class="acts">{copy}<button type="button" class="button" data-do="show">{say(language, "finished")}</button></p></div>'
    )


def confirmation(do: str, verb: str, reasons: list[str], language: str, problem: str = "") -> str:
    """Asks before something is done. verb, reasons: words; the button that does nothing has the focus."""
    words = _why(reasons)
    kind = "accent" if do in ("rotate", "invite") else "danger"
    yes = f'<button type="button" class="button {kind}" data-do="{do}">{esc(verb)}</button>'
    no = f'<button type="button" class="button" data-do="back" data-focus>{say(language, "keep" if do.startswith("delete") else "cancel")}</button>'
    return f'<div class="confirm" role="group" aria-label="{esc(verb)}">{words}{problem}<p class="acts">{yes}{no}</p></div>'


def once_fresh(step: Step, verb: str, reasons: list[str], fresh: bool, language: str) -> str:
    """A confirmation of what needs a fresh key; without one, the same reasons with the form to type the key."""
    if fresh:
        return confirmation(step.name, verb, reasons, language, refusal(step))
    return key_again(step, "fresh_needed", language, reasons)


def key_again(step: Step, why: str, language: str, reasons: list[str] | None = None) -> str:
    """The form to type one's key again; afterwards the page goes on with `step`."""
    minutes, focus = FRESH_S // 60, " data-focus" if step.problem or why == "fresh_needed" else ""
    return (
        f'<form class="confirm" data-act="fresh" data-step="{esc(step.name)}">{_why(reasons or [])}<p>{say(language, why, n=minutes)}</p>'
        f'<label class="field"><span>{say(language, "your_key")}</span>'
        f'<input name="key" type="password" autocomplete="current-password" spellcheck="false" required maxlength="400"{focus}></label>'
        f'{refusal(step)}<p class="acts"><button class="button accent">{say(language, "fresh_go")}</button>'
        f'{"" if why == "fresh_why" else back(language)}</p></form>'
    )


def _why(reasons: list[str]) -> str:
    return "".join(f"<p>{esc(reason)}</p>" for reason in reasons)


def back(language: str) -> str:
    return f'<button type="button" class="button" data-do="back">{say(language, "cancel")}</button>'


def text_field(name: str, label: str, typed: str = "", more: str = "") -> str:
    return f'<label class="field"><span>{label}</span><input name="{name}" value="{esc(typed)}" autocomplete="off" {more}></label>'


def chooser(name: str, label: str, options: list[tuple[str, str]], chosen: str) -> str:
    """options: (value, words)."""
    rows = "".join(f'<option value="{esc(value)}"{" selected" if value == chosen else ""}>{esc(words)}</option>' for value, words in options)
    return f'<label class="field"><span>{label}</span><select name="{name}">{rows}</select></label>'
