"""The panels around the chat: header, banners, the empty page. Pure: records in, HTML out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from maisale.chat.mentions import file_name
from maisale.records import Collection, ModelStatus, Named
from maisale.ui.documents import drop_zone, menu_button
from maisale.ui.markup import bar, dot, esc, icon, tool
from maisale.ui.texts import say

CERTIFICATES = ("untrusted", "expired", "other_name", "wants_ours", "no_tls")  # what to install or to pull is no help against these
SMALL_MODEL = "qwen3:4b"  # about 2.5 GB, knows Vietnamese
MEASURED_MODELS = ("gpt-oss", "gpt-oss:20b", "gpt-oss:latest")  # whose memory the banner can name


@dataclass(frozen=True, slots=True)
class Condition:
    """How well the parts are that a person would miss."""

    models: ModelStatus
    generation_model: str  # as set
    embedding_model: str
    embedder_away: bool  # the index that is searched waits for its model
    worker_away: bool
    indexed: int  # documents that have ended, of
    documents: int  # all this person may read


def header(
    title: str,
    searched: Sequence[str],
    collections: Sequence[Collection],
    models: ModelStatus,
    language: str,
    only: Sequence[Named] = (),
) -> str:
    """only: the documents that are chosen, and then searched alone."""
    who = f'{dot("ok")}<span>{esc(models.generation)}</span>' if models.generation else f'{dot("amber")}<span>{say(language, "quotations_only")}</span>'
    new = say(language, "new_chat")
    return (
        f'<header class="pane-head" lang="{language}">{menu_button(language)}<h1>{esc(title or new)}</h1>'
        f'{_searched(searched, collections, only, language)}<span class="model">{who}</span>'
        f'<button type="button" class="plus-button" data-do="new" aria-label="{new}">{icon("plus", 20)}</button></header>'
    )


def _searched(searched: Sequence[str], collections: Sequence[Collection], only: Sequence[Named], language: str) -> str:
    """What is searched, and a form that changes it."""
    count = sum(one.documents for one in collections if one.name in searched)
    if only:
        text = say(language, "searching_documents", n=len(only))
    elif count:
        text = f'{say(language, "searching_in", names=", ".join(searched))} · {say(language, "n_documents", n=count)}'
    else:
        text = say(language, "searching_nothing")
    boxes = "".join(
        f'<label><input type="checkbox" value="{esc(one.name)}"{" checked" if one.name in searched else ""}>'
        f'<span>{esc(one.name)}</span><small>{say(language, "n_documents", n=one.documents)}</small></label>'
        for one in collections
    )
    choose, search = say(language, "choose_collections"), f'<button class="button accent">{say(language, "search_these")}</button>'
    form = f'<form class="choose" aria-label="{choose}">{boxes}{_documents(only, language)}{search}</form>' if boxes else ""
    return f'<details class="searched"><summary title="{choose}"><span>{esc(text)}</span>{icon("down")}</summary>{form}</details>'


def _documents(only: Sequence[Named], language: str) -> str:
    """The chosen documents, and a box that finds others: behaviour/ asks for their names as one types, and after an @ in a question."""
    rows = "".join(
        f'<label data-document="{esc(one.id)}"><input type="checkbox" value="{esc(one.id)}" checked><span>{esc(file_name(one))}</span>'
        f"<small>{esc(one.collection or say(language, 'attached'))}</small></label>"
        for one in only
    )
    words = say(language, "find_document")
    find = f'<input type="search" data-find-document placeholder="{words}" aria-label="{words}" autocomplete="off">'
    return (
        f'<fieldset data-names="{say(language, "documents_to_name")}" data-attached="{say(language, "attached")}">'
        f'<legend>{say(language, "only_these")}</legend><p class="hint">{say(language, "only_these_why")}</p>{find}<div class="rows">{rows}</div>'
        f'<p class="hint" data-none hidden>{say(language, "no_match")}</p><p class="hint" data-more hidden>{say(language, "more_names")}</p></fieldset>'
    )


def chosen(only: Sequence[Named], language: str) -> str:
    """The chosen documents above the composer, each with a button that takes it out."""
    if not only:
        return ""
    words, out = say(language, "asks_only"), say(language, "remove")
    rows = "".join(
        f'<li data-id="{esc(one.id)}">{icon("document", 14)}<span>{esc(file_name(one))}</span>{tool("unchoose", "close", out, file_name(one))}</li>'
        for one in only
    )
    return f'<div class="only" lang="{language}"><span>{words}</span><ul aria-label="{words}">{rows}</ul></div>'


def banners(now: Condition, language: str) -> str:
    """One line for each thing that is not well, saying what still works; nothing when all is well."""
    lines = []
    if now.worker_away:
        lines.append(_amber(say(language, "worker_away"), say(language, "worker_away_still"), kind="worker"))
    away = [one for one in now.models.servers if not one.reachable]
    if not now.models.generation and len(now.models.servers) == 1 and away and away[0].trouble in CERTIFICATES:
        lines.append(_amber(say(language, "no_model"), f'{_state(away[0], language)} {say(language, "no_model_still")}'))
    elif not now.models.generation:
        lines.append(_amber(say(language, "no_model"), say(language, "no_model_still"), _what_to_do(now, language), say(language, "what_to_do")))
    elif away:
        words = say(language, "servers_away", n=len(away), all=len(now.models.servers))
        lines.append(_amber(words, say(language, "servers_away_still"), _servers(now.models, language), say(language, "which_servers")))
    elif now.embedder_away:
        lines.append(_amber(say(language, "embedder_away"), say(language, "embedder_away_still")))
    elif not now.models.embedding:
        model = now.embedding_model
        lines.append(_amber(say(language, "embedding_missing", model=model), say(language, "embedding_missing_still", model=model)))
    if now.indexed < now.documents:
        share = now.indexed / now.documents
        words = say(language, "indexing", done=now.indexed, all=now.documents)
        lines.append(f'<p class="progress" role="status">{dot("hollow")}{words}{bar(share)}</p>')
    return f'<div class="banners" lang="{language}">{"".join(lines)}</div>' if lines else ""


def _amber(what: str, still: str, more: str = "", more_name: str = "", kind: str = "") -> str:
    line = f'{icon("warn")}<span><b>{esc(what)}</b> {esc(still)}</span>'
    if not more:
        return f'<p class="amber {kind}" role="status">{line}</p>'
    return f'<details class="amber {kind}"><summary>{line}<u>{more_name}</u></summary><div>{more}</div></details>'


def _what_to_do(now: Condition, language: str) -> str:
    """The lines to run, what they need, and the smaller way."""
    missing = now.models.missing or (now.generation_model, now.embedding_model)
    if len(now.models.servers) > 1:
        why = _servers(now.models, language)
    else:
        why = f'<p>{esc(say(language, "model_missing" if now.models.reachable else "model_away", url=now.models.url))}</p>'
    pulls = "\n".join(f"ollama pull {model}" for model in missing)
    names = {"generation": now.generation_model, "embedding": now.embedding_model}
    memory = say(language, "model_memory" if now.generation_model in MEASURED_MODELS else "model_memory_other", **names)
    smaller = f"ollama pull {SMALL_MODEL}\nGENERATION_MODEL={SMALL_MODEL} python app.py"
    return f'{why}<pre>{esc(pulls)}</pre><p>{esc(memory)}</p><p>{say(language, "model_smaller")}</p><pre>{smaller}</pre>'


def _servers(models: ModelStatus, language: str) -> str:
    """Each with its state."""
    return f"<ul>{''.join(f'<li>{esc(_state(one, language))}</li>' for one in models.servers)}</ul>"


def _state(one: ModelStatus, language: str) -> str:
    if one.trouble:
        return say(language, f"server_{one.trouble}", url=one.url)
    has = ", ".join(filter(None, (one.generation, one.embedding)))
    return say(language, "server_has", url=one.url, models=has) if has else say(language, "server_lacks", url=one.url)


def empty_page(suggestions: Sequence[tuple[str, str]], models: ModelStatus, language: str, upload_mb: int, may_write: bool) -> str:
    """suggestions: (question, collection), which the documents can answer."""
    rows = "".join(
        f'<li><button type="button" data-ask="{esc(question)}"><span>{esc(question)}</span><small>{esc(name)}</small></button></li>'
        for question, name in suggestions
    )
    if models.generation:
        words = say(language, "answered_by_model", model=models.generation, host=_hosts(models, language))
    else:
        words = say(language, "answered_by_quotations")
    return (
        f'<section class="welcome" lang="{language}"><h2>{say(language, "what_to_know")}</h2><p>{say(language, "ask_in")}</p>'
        f'{f"<ul>{rows}</ul>" if rows else ""}'
        f'{drop_zone(language, "chat", upload_mb) if may_write else ""}'
        f'<p class="who">{dot("ok" if models.generation else "amber")}{esc(words)}</p></section>'
    )


def _hosts(models: ModelStatus, language: str) -> str:
    """Where answers are written."""
    writing = [one.url for one in models.servers if one.generation] or [models.url]
    return ", ".join(dict.fromkeys(_host(url, language) for url in writing))


def _host(url: str, language: str) -> str:
    name = urlsplit(url).hostname or ""
    return say(language, "own_server") if name in ("127.0.0.1", "localhost", "::1", "") else name


def under_composer(language: str, notice: str = "", done: str = "", back: str = "", took: str = "") -> str:
    """The line that always stands there; in front of it what went wrong with the last thing asked, or what was done, in words.

    For the page itself, back: what it puts back into the composer, the "text" of a question that was refused, or its "files" too; took: the conversation
    that took a question.
    """
    said = f'<p class="error" role="alert">{esc(notice)}</p>' if notice else ""
    said += f'<p class="outcome" role="status">{esc(done)}</p>' if done else ""
    became = "".join(f' data-{name}="{esc(value)}"' for name, value in (("back", back), ("took", took)) if value)
    return f'<div class="under" lang="{language}"{became}>{said}<p>{say(language, "check_the_source")}</p></div>'
