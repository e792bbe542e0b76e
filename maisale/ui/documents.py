"""The documents page: drop zone, filters, and where each document stands. Pure: records in, HTML out."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Sequence

from maisale.library.documents import KNOWLEDGE
from maisale.records import Document
from maisale.text import fold
from maisale.ui.markup import asks_delete, bar, dot, esc, find_box, icon, size_in_words, tool, when
from maisale.ui.texts import say

LISTED = 400  # rows; more would make the page slow, and nobody reads them


def documents_page(
    documents: Sequence[Document],
    language: str,
    *,
    upload_mb: int,
    may_write: bool,
    read_only: Names[str] = (),
    notice: str = "",
    offset_minutes: int = 0,
    now: float | None = None,
) -> str:
    """read_only: ids of collections that this person may read and not change. notice: what went wrong, in words."""
    failed = sum(one.stage == "failed" for one in documents)
    running = sum(not one.ended for one in documents)
    rows = "".join(_row(one, language, may_write and one.collection_id not in read_only, offset_minutes, now) for one in documents[:LISTED])
    names = "".join(f"<th>{say(language, key)}</th>" for key in ("document", "state", "received"))
    head = f'<tr>{names}<th><span class="unseen">{say(language, "actions")}</span></th></tr>'
    table = f'<table class="documents"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    more = f'<p class="hint">{say(language, "first_of", shown=LISTED, all=len(documents))}</p>' if len(documents) > LISTED else ""
    said = f'<p class="error" role="alert">{esc(notice)}</p>' if notice else ""
    return (
        f'<section class="documents-page" lang="{language}"><header class="pane-head">{menu_button(language)}<h1>{say(language, "documents")}</h1>'
        f"<span>{summary(documents, running, failed, language)}</span></header>"
        f'<div class="pane-body">{drop_zone(language, "library", upload_mb) if may_write else ""}{said}{_filters(len(documents), running, failed, language)}'
        f'{table if documents else f"""<p class="hint">{say(language, "no_documents")}</p>"""}{more}</div></section>'
    )


def menu_button(language: str) -> str:
    """Opens the sidebar on a phone; elsewhere it is not shown."""
    return f'<button type="button" class="menu-button" data-menu aria-label="{say(language, "menu")}">{icon("menu", 20)}</button>'


def drop_zone(language: str, target: str, upload_mb: int) -> str:
    """target: library, or chat for files that only this conversation sees. Files dropped on it go to that input of Gradio's."""
    title, who = ("drop_here", "drop_here_who") if target == "library" else ("drop_to_ask", "drop_to_ask_who")
    words = say(language, who, mb=upload_mb, collection=KNOWLEDGE)
    text = f"<span><b>{say(language, title)}</b><span>{words}</span></span>"
    return f'<button type="button" class="drop" data-drop="{target}">{icon("upload", 20)}{text}</button>'


def summary(documents: Sequence[Document], running: int, failed: int, language: str) -> str:
    counts = {
        "documents": say(language, "n_documents", n=len(documents)),
        "collections": say(language, "n_collections", n=len({one.collection_id for one in documents})),
    }
    parts = [say(language, "documents_summary", **counts)]
    parts += [say(language, key, n=n) for key, n in (("n_in_progress", running), ("n_failed", failed)) if n]
    return " · ".join(parts)


def _filters(total: int, running: int, failed: int, language: str) -> str:
    chips = "".join(
        f'<button type="button" class="filter" data-filter="{name}" aria-pressed="{"true" if name == "all" else "false"}">{say(language, key)} {n}</button>'
        for name, key, n in (("all", "all", total), ("running", "in_progress", running), ("failed", "failed_filter", failed))
    )
    return f'<div class="filters">{chips}{find_box(say(language, "find_document"))}</div>'


def _row(one: Document, language: str, may_change: bool, offset_minutes: int, now: float | None) -> str:
    kind = "failed" if one.stage == "failed" else "complete" if one.ended else "running"
    passages = say(language, "n_passages", n=one.chunks) if one.chunks else ""
    facts = [one.collection, one.source if one.source != one.title else "", passages, size_in_words(one.size, language)]
    return (
        f'<tr data-id="{esc(one.id)}" data-kind="{kind}" data-folded="{esc(fold(f"{one.title} {one.source} {one.collection}"))}">'
        f'<td class="name"><b>{esc(one.title)}</b><small>{esc(" · ".join(fact for fact in facts if fact))}</small></td>'
        f'<td class="state">{state(one, language)}</td><td class="time">{when(one.received_at, language, offset_minutes, now)}</td>'
        f'<td class="act">{_actions(one, language, may_change)}</td></tr>'
    )


def state(one: Document, language: str) -> str:
    """A dot, and the words without which it never stands; a bar while passages are embedded; the cause of a failure."""
    if one.stage == "failed":
        what, _, remedy = one.cause.partition(". ")
        title = say(language, "stage_failed") + (f": {what.rstrip('.')}" if what else "")
        return f'<span class="line err">{dot("bad")}{esc(title)}</span>' + (f'<small class="err">{esc(remedy)}</small>' if remedy else "")
    cause = f"<small>{esc(one.cause)}</small>" if one.cause else ""
    if one.stage == "complete":
        return f'<span class="line ok">{dot("ok")}{say(language, "stage_complete")}</span>{cause}'
    if cause:
        return f'<span class="line">{dot("hollow")}{say(language, f"stage_{one.stage}")}</span>{cause}'
    if one.stage == "searchable" and one.chunks:
        share = min(1.0, one.embedded / one.chunks)
        words = say(language, "stage_embedding", done=one.embedded, all=one.chunks)
        return f'<span class="line">{dot("hollow")}{words}</span>{bar(share)}'
    muted = " muted" if one.stage == "received" else ""
    return f'<span class="line{muted}">{dot("hollow")}{say(language, f"stage_{one.stage}")}</span>'


def _actions(one: Document, language: str, may_change: bool) -> str:
    """Open what can be read, cancel what runs, retry what failed; deleting asks first."""
    open_link = f'<a class="button" href="/files/{esc(one.id)}" target="_blank" rel="noopener">{say(language, "open")}</a>'
    if not may_change:
        return open_link if one.searchable else ""
    first = open_link
    if one.stage == "failed":
        first = f'<button type="button" class="button accent" data-do="retry">{say(language, "retry")}</button>'
    elif not one.ended:
        return f'<button type="button" class="button" data-do="remove">{say(language, "cancel")}</button>'
    return first + tool("ask-delete", "trash", say(language, "delete"), one.title) + asks_delete("remove", language)


def attached(documents: Sequence[Document], language: str) -> str:
    """The files of the open conversation, each with its state, above the composer."""
    if not documents:
        return ""
    rows = "".join(
        f'<li data-id="{esc(one.id)}">{icon("document")}<a href="/files/{esc(one.id)}" target="_blank" rel="noopener">{esc(one.title)}</a>'
        f'<span class="state">{state(one, language)}</span>{tool("remove", "close", say(language, "remove"), one.title)}</li>'
        for one in documents
    )
    return f'<ul class="attached" lang="{language}" aria-label="{say(language, "attached")}">{rows}</ul>'
