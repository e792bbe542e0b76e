"""One turn: what is taken as a question, what it is called, and what the flow is told about the conversation so far."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from maisale.chat.citations import check
from maisale.chat.mentions import Mentions, read
from maisale.errors import BadInput
from maisale.flow.graph import decide
from maisale.flow.state import Decision
from maisale.identifiers import find
from maisale.records import Citation, Message, Reply, Scope, Writer
from maisale.services import Services
from maisale.store import conversations, documents

QUESTION_CHARACTERS = 32_000  # about 8,000 tokens: half of the default context
TITLE_CHARACTERS = 60
RECENT_MESSAGES = 12  # six turns; the prompt's token budget cuts further
_LINKED = re.compile(r"\[(\[\d+\])\]\([^()\s]*\)")  # [[1]](address), as an answer left here


@dataclass(frozen=True, slots=True)
class Turn:
    """A question of a conversation that its client keeps: what was said before came with it, and none of it is stored here."""

    question: str  # without the names of documents
    history: tuple[tuple[str, str], ...] = ()  # (user or assistant, text), oldest first
    collections: tuple[str, ...] = ()  # only these, by name
    documents: tuple[str, ...] = ()  # only these, by id


def checked_question(text: object) -> str:
    """The question without white space around it. Raises BadInput."""
    if not isinstance(text, str):
        raise BadInput("A question is text. Send it as one string.")
    question = readable(text, "question", QUESTION_CHARACTERS, "Send a long text as a file instead.")
    if not question:
        raise BadInput("The question is empty. Type what you want to know.")
    return question


def readable(text: str, what: str, most: int, instead: str) -> str:
    """What a person typed, composed (NFC), without control characters and white space around it. Raises BadInput, which calls it `what`."""
    typed = unicodedata.normalize("NFC", text).strip()
    if len(typed) > most:
        raise BadInput(f"The {what} has {len(typed):,} characters; {most:,} is the most. {instead}")
    if typed.isprintable() and "\ufffd" not in typed:
        return typed  # nearly always; what follows looks at each character
    strange = sum(unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") and char not in "\n\r\t" or char == "\ufffd" for char in typed)
    if "\0" in typed or strange > len(typed) // 50:
        raise BadInput(f"The {what} is not readable text: it holds control or broken characters. {instead}")
    return "".join(char for char in typed if char in "\n\r\t" or unicodedata.category(char) not in ("Cc", "Cs"))


def title_of(question: str) -> str:
    """A conversation's title: the beginning of its first question, cut between words, and never within a number or an address of somebody."""
    line = " ".join(question.split())
    if len(line) <= TITLE_CHARACTERS:
        return line
    head = line[: TITLE_CHARACTERS + 1].rsplit(" ", 1)[0][:TITLE_CHARACTERS]
    # A part of a number would be taken for nobody's, and indexed.
    head = next((line[: one.start] for one in find(line) if one.start < len(head) < one.end), head)
    return head.rstrip(" ,.;:") + "…"


def mentioned(
    services: Services, scope: Scope, question: str, conversation_id: str | None, collections: Sequence[str] = (), only: Sequence[str] = ()
) -> Mentions:
    """The documents that a question names, of those that this person may ask here. collections, only: what they are narrowed to. Raises BadInput."""
    return read(question, documents.document_names(services.db, scope, conversation_id, names=collections, documents=only))


def sent_turn(services: Services, scope: Scope, said: Sequence[tuple[str, str]], collections: Sequence[str] = ()) -> Turn:
    """The turn that a client's own history ends with. said: (user or assistant, text), oldest first. Blocking. Raises BadInput or NotFound."""
    if not said or said[-1][0] != "user":
        raise BadInput("The last message has to be the user's question.")
    question = checked_question(said[-1][1])
    documents.searchable(services.db, scope, names=collections)  # refused now, not in the middle of an answer
    named = mentioned(services, scope, question, None, collections) if "@" in question else Mentions((), question)
    history = tuple((sender, _heard(text)) for sender, text in said[:-1][-RECENT_MESSAGES:] if text.strip())
    return Turn(named.words if named.documents else question, history, tuple(collections), named.documents)


def decide_answer(services: Services, scope: Scope, reply: Reply | Turn, writer: Writer | None = None, only: Sequence[str] = ()) -> Decision:
    """What to answer to a turn, or to the question behind `reply`. Blocking: run it in a thread.

    writer None: a quotation, with its sources checked. only: from these documents instead of those it chose.

    Raises NotFound when the conversation or a chosen document went away meanwhile.
    """
    if isinstance(reply, Turn):
        return _decide_turn(services, scope, reply, writer)
    before, question = conversations.turns_before(services.db, scope, reply.question_id, RECENT_MESSAGES)
    choice = question.metadata
    only = only or choice.get("documents", ())
    where, searched = documents.searchable(services.db, scope, reply.conversation_id, names=choice.get("collections", ()), documents=only)
    decision = decide(
        services,
        words_of(question),
        scope,
        where,
        reply.conversation_id,
        history=[_spoken(message) for message in before if message.text],
        earlier=_earlier_citations(before),
        model_name=writer.name if writer else None,
        context_tokens=writer.context_tokens if writer else services.settings.num_ctx,
        searched=searched,
    )
    return _checked(services, scope, decision, only)


def _decide_turn(services: Services, scope: Scope, turn: Turn, writer: Writer | None) -> Decision:
    where, searched = documents.searchable(services.db, scope, names=turn.collections, documents=turn.documents)
    decision = decide(
        services,
        turn.question,
        scope,
        where,
        "",
        history=[HumanMessage(text) if sender == "user" else AIMessage(text) for sender, text in turn.history],
        said_is_source=True,
        model_name=writer.name if writer else None,
        context_tokens=writer.context_tokens if writer else services.settings.num_ctx,
        searched=searched,
    )
    return _checked(services, scope, decision, turn.documents)


def _checked(services: Services, scope: Scope, decision: Decision, only: Sequence[str]) -> Decision:
    """A decision with the titles of the chosen documents, and a quotation's sources laid beside it."""
    titles = tuple(documents.get_document(services.db, scope, document_id).title for document_id in only)
    citations = decision.citations if decision.prompt is not None else check(decision.text, decision.citations)
    return replace(decision, citations=citations, trace=replace(decision.trace, only_in=titles))


def _heard(text: str) -> str:
    """An earlier message as the flow reads one of ours: cut to the length of a question, its links to sources plain [n] again."""
    return readable(_LINKED.sub(r"\1", text[:QUESTION_CHARACTERS]), "message", QUESTION_CHARACTERS, "Leave it out of the history.")


def words_of(message: Message) -> str:
    """What was said, without the names of the documents that a question was about."""
    return message.metadata.get("words") or message.text


def _spoken(message: Message) -> BaseMessage:
    return HumanMessage(words_of(message)) if message.sender == "user" else AIMessage(message.text)


def _earlier_citations(before: list[Message]) -> list[Citation]:
    """What earlier answers rest on, the latest first."""
    replies = [message.reply for message in reversed(before) if message.reply]
    return [citation for reply in replies for citation in reply.citations if citation.cited]
