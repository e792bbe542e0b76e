"""Questions for an empty page, each tried on the flow before it is shown: the documents really answer it."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from maisale.flow.graph import decide
from maisale.records import Document, Scope
from maisale.services import Services
from maisale.store import chunks, documents
from maisale.text import fold
from maisale.ui.texts import say
from maisale.ui.topics import Topic, spread, topics

SHOWN = 3
TRIED_DOCUMENTS = 8  # each question that is tried costs about 20 ms, once
TRIED_QUESTIONS = 3  # of a document
REMEMBERED = 2000
NO_CONVERSATION = ""


class Suggestions:
    """Remembers what was read and tried, by document as it is now."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    def for_reader(self, services: Services, scope: Scope, language: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
        """Up to three questions with the collection that answers each. names: of the collections that are searched; language: of the help's."""
        if names == (documents.HELP,):
            return [(question, documents.HELP) for question in say(language, "help_questions").split("|")]
        readable = [one for one in documents.list_documents(services.db, scope) if one.collection in names and one.searchable]
        tried = [(one, self._topics(services, one)) for one in spread(readable)[:TRIED_DOCUMENTS]]
        tried.sort(key=lambda each: all(topic.language != language for topic in each[1]))  # the reader's language first
        common = Counter(fold(topic.heading) for _, found in tried for topic in found)
        sure, others = [], []
        for document, found in tried:
            telling = sorted((topic for topic in found if common[fold(topic.heading)] == 1), key=lambda topic: topic.language != language)
            question, is_sure = self._question(services, scope, names, document, telling)
            if question:
                (sure if is_sure else others).append((question, document.collection))
            if len(sure) == SHOWN:
                break
        return [*sure, *others][:SHOWN]

    def _topics(self, services: Services, document: Document) -> list[Topic]:
        return self._once(_state(document), lambda: list(topics(chunks.chunks_of(services.db, document.id))))

    def _question(self, services: Services, scope: Scope, names: tuple[str, ...], document: Document, telling: Sequence[Topic]) -> tuple[str, bool]:
        """The first of the document's questions that it answers, and whether that is sure; else one to which it may be related; else an empty one."""
        asked = [say(topic.language, "suggest", title=topic.title, heading=topic.heading) for topic in telling[:TRIED_QUESTIONS]]

        def best() -> tuple[str, bool]:
            found = [(one, *answers(services, scope, names, one)) for one in asked]
            own = [(one, outcome == "answer") for one, document_id, outcome in found if document_id == document.id]
            return max(own, key=lambda each: each[1], default=("", False))

        return self._once((scope.tenant_id, scope.user_id, *_state(document), *names, *asked), best)

    def _once(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return self._known[key]


def _state(document: Document) -> tuple[str, ...]:
    return document.id, document.stage, str(document.received_at)


def answers(services: Services, scope: Scope, names: tuple[str, ...], question: str) -> tuple[str | None, str]:
    """The document whose passage comes first in the answer, and the outcome; None when there is no answer."""
    where, searched = documents.searchable(services.db, scope, names=names)
    decision = decide(services, question, scope, where, NO_CONVERSATION, searched=searched)
    return decision.citations[0].document_id if decision.citations else None, decision.outcome
