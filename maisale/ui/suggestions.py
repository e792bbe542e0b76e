"""Questions for an empty page, each tried on the flow before it is shown: the documents really answer it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from maisale.flow.graph import decide
from maisale.records import Chunk, Document, Scope
from maisale.services import Services
from maisale.store import chunks, documents
from maisale.text import language as language_of
from maisale.ui.texts import say

SHOWN = 3
TRIED_DOCUMENTS = 6  # the newest; each question that is tried costs about 20 ms, once
TRIED_QUESTIONS = 3  # of a document
HEADING_CHARACTERS = 60
REMEMBERED = 2000
NO_CONVERSATION = ""


class Suggestions:
    """Remembers what was tried, by document as it is now."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, ...], str] = OrderedDict()

    def for_reader(self, services: Services, scope: Scope, language: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
        """Up to three questions with the collection that answers each. names: of the collections that are searched; language: of the help's."""
        if names == (documents.HELP,):
            return [(question, documents.HELP) for question in say(language, "help_questions").split("|")]
        readable = [one for one in documents.list_documents(services.db, scope) if one.collection in names and one.searchable]
        found = []
        for document in readable[:TRIED_DOCUMENTS]:
            if question := self._question(services, scope, names, document):
                found.append((question, document.collection))
            if len(found) == SHOWN:
                break
        return found

    def _question(self, services: Services, scope: Scope, names: tuple[str, ...], document: Document) -> str:
        """The first of the document's questions that is answered; empty when none is."""
        known = (scope.tenant_id, document.id, document.stage, str(document.received_at), *names)
        if known not in self._found:
            tried = list(questions(chunks.chunks_of(services.db, document.id)))[:TRIED_QUESTIONS]
            self._found[known] = next((one for one in tried if answers(services, scope, names, one) == document.id), "")
            while len(self._found) > REMEMBERED:
                self._found.popitem(last=False)
        return self._found[known]


def answers(services: Services, scope: Scope, names: tuple[str, ...], question: str) -> str | None:
    """The document whose passage comes first in the answer; None when there is no answer."""
    where, searched = documents.searchable(services.db, scope, names=names)
    citations = decide(services, question, scope, where, NO_CONVERSATION, searched=searched).citations
    return citations[0].document_id if citations else None


def questions(passages: list[Chunk]) -> Iterator[str]:
    """What could be asked about a document, in its own language: about its headings."""
    for passage in passages:
        language = language_of(passage.text)
        heading = passage.heading.split(" > ")[-1]
        if heading and heading != passage.title and len(heading) <= HEADING_CHARACTERS:
            yield say(language, "suggest", title=passage.title, heading=heading)
