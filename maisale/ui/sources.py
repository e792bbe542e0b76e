"""The side panel: how an answer was found, the passages it rests on, and everything else that was considered. Pure: a Reply in, HTML out."""

from __future__ import annotations

import re
from itertools import zip_longest
from urllib.parse import quote

from maisale.records import Candidate, Citation, Reply, Trace
from maisale.text import is_table_rule, named_row, table_cells
from maisale.ui.markup import NBSP, decimal, esc, highlighted, icon, percent, place_in
from maisale.ui.texts import say

EXCERPT_CHARACTERS = 260  # about three lines of a card
COLUMNS = 4  # of a table that fits the panel
CUT_CHARACTERS = 50  # a line of so many and its next are one paragraph
_BEGINS_ANEW = re.compile(r"\s*(?:[-*+•>|#]|\d{1,3}[.)]\s|\s{4})")
_PAGE = re.compile(r"page (\d+)")
FRAGMENT_WORDS = 8  # from the beginning of what answers, by which a browser finds it
FRAGMENT_WORDS_LEAST = 4  # or they stand elsewhere too
_REASONS = ("below_cut", "below_gate", "near_duplicate", "budget", "over_k")
_SENTENCE_END = re.compile(r"(?<=[.!?…:;])\s+|\n+")
_STEPS = ("recall", "search_knowledge", "rank", "judge", "compose", "quote", "abstain")  # of the flow, by their names there


def short(reply_id: str) -> str:
    """Enough of a reply's id to tell it from the others of its conversation."""
    return reply_id[:8]


def sources_panel(reply: Reply | None, language: str, chosen: int | None = None, explained: tuple[str, str] | None = None) -> str:
    """The whole panel. chosen: the card that opens at once. explained: a document's name, and why it is no source or is one.

    Empty without a reply: then the page has two columns.
    """
    if reply is None:
        return ""
    title = say(language, "sources")
    head = (
        f'<button type="button" class="sources-head" data-drawer aria-expanded="false"><b>{title}</b> <span class="count">{len(reply.citations)}</span>'
        f'<span class="drawer-arrow">{icon("down")}</span></button>'
    )
    trace = reply.trace
    body = [_path(trace, len(reply.citations), language) if trace else "", _cards(reply, language, chosen)]
    if trace:
        body += [_candidates(trace, language), _how(trace, reply.model, language), _why_not(language, explained)]
    elif not reply.citations:
        body.append(f'<p class="hint">{say(language, "no_sources")}</p>')
    named = f'lang="{language}" aria-label="{title}" data-reply="{short(reply.id)}"'
    return f'<section class="sources" {named}>{head}<div class="sources-body">{"".join(body)}</div></section>'


def _path(trace: Trace, used: int, language: str) -> str:
    """What was tried, in the order it was tried, with its numbers."""
    enough = trace.path == "history"
    shares = {"have": percent(trace.coverage), "need": percent(trace.coverage_needed)}
    # Covered and still not enough: the judge doubted what the conversation alone would have answered.
    verdict = "enough" if enough else "doubtful" if trace.coverage >= trace.coverage_needed else "not_enough" if trace.coverage else "nothing_here"
    steps = [_step(enough, say(language, "this_conversation"), say(language, verdict, **shares))]
    if not enough:
        found = [say(language, "n_candidates", n=len(trace.candidates)), _only_in(trace, language)]
        steps.append(_step(bool(used), say(language, "knowledge"), ", ".join(filter(None, found))))
    gates = {"have": decimal(trace.gate, language), "need": decimal(trace.gate_needed, language)}
    if trace.outcome == "possible":
        steps.append(_step(False, say(language, "possible", **gates)))
    steps.append(_step(True, say(language, "n_used", n=used)) if used else _step(False, say(language, "none_used", **gates)))
    return f'<ol class="path">{"".join(steps)}</ol>'


def _step(well: bool, name: str, rest: str = "") -> str:
    tail = f"<span>: {esc(rest)}</span>" if rest else ""
    return f'<li class="{"full" if well else "hollow"}"><b>{esc(name)}</b>{tail}</li>'


def _only_in(trace: Trace, language: str) -> str:
    return say(language, "only_in", names=", ".join(trace.only_in)) if trace.only_in else ""


def _cards(reply: Reply, language: str, chosen: int | None) -> str:
    first = reply.citations[0].number if reply.citations else None
    return "".join(_card(citation, language, citation.number == (chosen or first), citation.number == chosen) for citation in reply.citations)


def _card(citation: Citation, language: str, opened: bool, chosen: bool) -> str:
    place = place_in(citation.place, language) or citation.heading.split(" > ")[-1]
    if citation.message_id and not citation.document_id:
        place = say(language, "from_conversation")
    classes = " ".join(name for name, on in (("card", True), ("cited", citation.cited), ("chosen", chosen)) if on)
    doubts = [say(language, "unsupported", n=citation.number, sentence=one.replace("**", "")) for one in citation.unsupported]
    notes = "".join(f'<p class="unsupported">{esc(doubt)}</p>' for doubt in doubts)
    return (
        f'<details class="{classes}" id="src-{citation.number}" tabindex="-1"{" open" if opened else ""}><summary><span class="chip">{citation.number}</span>'
        f'<span class="card-title">{esc(citation.title)}</span>{_strength(citation.strength, language)}<span class="place">{esc(place)}</span>'
        f'<span class="excerpt">{highlighted(excerpt(citation), citation.highlights)}</span></summary>'
        f'<div class="passage">{_passage(citation)}</div>{notes}{_open_link(citation, language)}</details>'
    )


def _strength(strength: str, language: str) -> str:
    bars = {"strong": 3, "good": 2}.get(strength, 1)
    drawn = "".join(f'<i class="{"on" if bar < bars else ""}"></i>' for bar in range(3))
    words = say(language, strength if strength in ("strong", "good") else "weak")
    return f'<span class="strength"><span class="bars" aria-hidden="true">{drawn}</span>{words}</span>'


def excerpt(citation: Citation) -> str:
    """The beginning of what is highlighted, so that a closed card shows why it is there."""
    row = next((found for span in citation.highlights if (found := named_row(citation.text, span))), ())
    text = " · ".join(f"{name}: {cell}" for name, cell in row if cell) or " ".join(
        " ".join(line for line in citation.text.splitlines() if not is_table_rule(line)).split()
    )
    at = min((found for span in citation.highlights if (found := text.find(" ".join(span.split()))) >= 0), default=0)
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, at)]
    start = ends[-1] if ends and at - ends[-1] < EXCERPT_CHARACTERS else (0 if at < EXCERPT_CHARACTERS // 2 else text.rfind(" ", 0, max(at - 40, 1)) + 1)
    cut = text[start : start + EXCERPT_CHARACTERS]
    return ("… " if start else "") + (cut if start + EXCERPT_CHARACTERS >= len(text) else cut.rsplit(" ", 1)[0] + " …")


def _passage(citation: Citation) -> str:
    """The whole passage: paragraphs that carry highlights in ink, what surrounds them in ink2."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", citation.text) if part.strip()]
    shown = []
    for part in parts:
        telling = len(parts) == 1 or not citation.highlights or any(span in part for span in citation.highlights)
        kind = "telling" if telling else "around"
        lines = part.splitlines()
        rule = next((number for number, line in enumerate(lines) if is_table_rule(line)), 0)
        before, table = (lines[: rule - 1], lines[rule - 1 :]) if rule else (lines, [])
        if before:
            shown.append(f'<p class="{kind}">{highlighted(_flowing(before), citation.highlights)}</p>')
        if table:
            shown.append(_table(table, citation.highlights, kind))
    return "".join(shown)


def _flowing(lines: list[str]) -> str:
    """Lines that the source cut at its own width run on; short ones and list items begin anew."""
    text = lines[0]
    for above, line in zip(lines, lines[1:], strict=False):
        text += ("\n" if len(above) < CUT_CHARACTERS or _BEGINS_ANEW.match(line) else " ") + line
    return text


def _table(lines: list[str], spans: tuple[str, ...], kind: str) -> str:
    """The rows of a Markdown table; of one that is too wide for the panel each row as a paragraph. What stands below it stays a line of its own."""
    names = table_cells(lines[0])
    rows, below = [], []
    for line in lines[2:]:
        if line.lstrip().startswith("|"):
            rows.append(table_cells(line))
        else:
            below.append(f'<p class="{kind}">{highlighted(line, spans)}</p>')
    if len(names) > COLUMNS:
        shown = "".join(f'<p class="record {kind}">{_record(names, row, spans)}</p>' for row in rows)
    else:
        body = "".join("<tr>" + "".join(f"<td>{highlighted(cell, spans)}</td>" for cell in row) + "</tr>" for row in rows)
        shown = f'<div class="wide {kind}"><table><tr>{"".join(f"<th>{esc(name)}</th>" for name in names)}</tr>{body}</table></div>'
    return shown + "".join(below)


def _record(names: list[str], row: list[str], spans: tuple[str, ...]) -> str:
    named = zip_longest(names, row, fillvalue="")
    return " · ".join((f"<i>{esc(name)}:</i> " if name else "") + highlighted(cell, spans) for name, cell in named if cell)


def _open_link(citation: Citation, language: str) -> str:
    if not citation.document_id:
        return ""
    return f'<a class="open-document" href="{esc(_where(citation))}" target="_blank" rel="noopener">{say(language, "open_document")}</a>'


def _where(citation: Citation) -> str:
    """The page of a PDF, which browsers show as it is; of all else the passage in what was read, marked there by a text fragment."""
    file = f"/files/{citation.document_id}"
    if page := _PAGE.match(citation.place):
        return f"{file}#page={page[1]}"
    beginnings = [span.strip().split("\n")[0].split()[:FRAGMENT_WORDS] for span in (*citation.highlights, citation.text)]
    telling = next((words for words in beginnings if len(words) >= FRAGMENT_WORDS_LEAST), beginnings[-1])
    return f"{file}/read#:~:text=" + quote(" ".join(telling), safe="").replace("-", "%2D")  # "-" has a meaning there


def _candidates(trace: Trace, language: str) -> str:
    if not trace.candidates:
        return ""
    names = [say(language, key) for key in ("meaning", "words", "fresh", "score")]
    head = f'<th></th><th>{say(language, "document")}</th>' + "".join(f'<th class="figure">{name}</th>' for name in names)
    rows = "".join(_candidate(one, language) for one in trace.candidates)
    title = say(language, "all_candidates", n=len(trace.candidates))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<details class="fold"><summary>{title}</summary><div class="wide">{table}</div></details>'


def _candidate(one: Candidate, language: str) -> str:
    place = place_in(one.chunk.place, language).split(" · ")[-1] or one.chunk.heading.split(" > ")[-1]
    why = "" if one.number else say(language, one.reason if one.reason in _REASONS else "not_used")
    detail = " · ".join(part for part in (place, why) if part)
    boost = one.freshness + one.boost
    figures = (one.meaning_score or one.vector_score, max(one.word_score, one.stem_score), boost, one.score)
    cells = "".join(f'<td class="figure">{decimal(figure, language)}</td>' for figure in figures)
    return f'<tr class="{"used" if one.number else ""}"><td>{one.number or ""}</td><td>{esc(one.chunk.title)}<small>{esc(detail)}</small></td>{cells}</tr>'


def _how(trace: Trace, model: str, language: str) -> str:
    """Who answered and how long each step took: figures, folded away."""
    rows = [("answer_by", say(language, "quotations") if (model or trace.model) == "quotations" else model or trace.model)]
    rows += [("vectors_by", trace.answered_by.get("vectors", "")), ("words_by", trace.answered_by.get("words", "")), ("embedder", trace.embedder)]
    rows += [("searched", ", ".join(filter(None, (*trace.searched, _only_in(trace, language)))))]
    rows += [("times", " · ".join(f"{_step_name(step, language)} {took:.0f}{NBSP}ms" for step, took in trace.milliseconds.items()))]
    rows += [("notes", note) for note in trace.notes]
    listed = "".join(f"<dt>{say(language, key)}</dt><dd>{esc(value)}</dd>" for key, value in rows if value)
    return f'<details class="fold"><summary>{say(language, "how_found")}</summary><dl>{listed}</dl></details>'


def _why_not(language: str, explained: tuple[str, str] | None) -> str:
    """A form that asks what became of one document; behaviour/ offers names as one types."""
    name, words = explained or ("", "")
    choose = say(language, "why_choose")
    field = f'<input name="why" list="why-names" value="{esc(name)}" placeholder="{choose}" aria-label="{choose}" autocomplete="off" required>'
    form = f'<form class="why">{field}<datalist id="why-names"></datalist><button class="button">{say(language, "why_ask")}</button></form>'
    said = f'<p role="status">{esc(words)}</p>' if words else ""
    return f'<details class="fold"{" open" if words else ""}><summary>{say(language, "why_title")}</summary>{form}{said}</details>'


def _step_name(step: str, language: str) -> str:
    return say(language, f"step_{step}") if step in _STEPS else step
