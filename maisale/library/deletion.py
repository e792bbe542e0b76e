"""Deletion: a document, a conversation or one turn of it, from every answer at once. Each leaves a receipt and a row in the audit log, in the same transaction.

What the files of the data folder still hold afterwards is taken out by ops/erasing.py; people and tenants are chat/erasure.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from maisale.contracts import Database, Transaction
from maisale.library import answers, deletion_list
from maisale.library.documents import check_may_change
from maisale.library.files import remove_files
from maisale.library.passages import forget_aside
from maisale.records import Chunk, Scope
from maisale.services import Services
from maisale.store import answers as stored
from maisale.store import audit, chunks, conversations, documents, erasures, jobs, turns


def remove_document(services: Services, scope: Scope, document_id: str) -> str:
    """Removes the document with its passages, words and vectors, and what answers kept of it. Returns the receipt's id.

    Raises NotFound or NotAllowed.
    """
    naming = answers_naming(services, document_id)

    def work(tx: Transaction) -> tuple[str, list[str]]:
        check_may_change(tx, scope, document_id)
        return erase_noted(services, tx, scope, document_id, naming)

    erasure_id, job_ids = services.db.write(work)
    end(services, job_ids, [document_id], erasure_id)
    return erasure_id


def erase_documents(services: Services, by: Scope, document_ids: Sequence[str], erasure_id: str) -> None:
    """Removes these documents, whoever owns them, one after the other so that others' writes go in between. They count on this receipt."""
    for document_id in document_ids:
        naming = answers_naming(services, document_id)
        _, job_ids = services.db.write(lambda tx, one=document_id, naming=naming: erase_noted(services, tx, by, one, naming, erasure_id))
        end(services, job_ids, [document_id])


def delete_conversation(services: Services, scope: Scope, conversation_id: str, by: Scope | None = None, erasure_id: str = "") -> str:
    """Removes a conversation with its messages and files, their passages, words and vectors. Returns the receipt's id. Raises NotFound.

    by: who does it, when it is not its owner. erasure_id: of the receipt of something larger, on which it counts.
    """

    def work(tx: Transaction) -> tuple[str, list[str], list[str]]:
        since = conversations.get_conversation(tx, scope, conversation_id).created_at
        receipt = erasure_id or erasures.begin(tx, scope, "conversation", conversation_id, since)
        files = documents.documents_of_conversation(tx, conversation_id)
        said = conversations.message_ids(tx, scope, conversation_id)
        gone = Counter(conversations=1, messages=len(said), documents=len(files), files=_there(services, files))
        gone["jobs"] += jobs.forget(tx, [*files, *said])
        job_ids = _erase_chunks(services, tx, conversation_id, chunks.conversation_chunks(tx, scope, conversation_id), gone)
        for file in files:
            forget_aside(services.words, tx, scope.tenant_id, file)
        conversations.delete_conversation(tx, scope, conversation_id)
        erasures.count(tx, receipt, **gone)
        audit.note(tx, by or scope, "conversation_delete", "conversation", conversation_id, tenant_id=scope.tenant_id)
        return receipt, job_ids, files

    receipt, job_ids, files = services.db.write(work)
    end(services, job_ids, files, "" if erasure_id else receipt)
    return receipt


def delete_turn(services: Services, scope: Scope, message_id: str, title_of: Callable[[str], str], by: Scope | None = None) -> str:
    """Removes a question with its answer, and what later answers kept of them; the turns after it stay. Returns the receipt's id.

    message_id: of the question or of the answer. title_of: a conversation's title from its first question. by: who does it, when it is not its owner.
    Raises NotFound.
    """

    def work(tx: Transaction) -> tuple[str, list[str]]:
        turn = turns.turn_of(tx, scope, message_id)
        ids = [turn["question_id"], turn["reply_id"]]
        receipt = erasures.begin(tx, scope, "message", message_id, turn["created_at"])
        gone = Counter(messages=len(ids), jobs=jobs.forget(tx, ids))
        job_ids = _erase_chunks(services, tx, message_id, [chunk for one in ids for chunk in chunks.chunks_of(tx, one)], gone)
        turns.delete_messages(tx, scope, ids)
        titles, anew = _retitle(services, tx, scope, turn, title_of)
        job_ids += anew
        named = stored.naming(tx, [*ids, *titles], scope.tenant_id, turn["conversation_id"])
        job_ids += _take_out_of_answers(services, tx, ids, titles, named, gone)
        erasures.count(tx, receipt, **gone)
        audit.note(tx, by or scope, "message_delete", "message", message_id, tenant_id=scope.tenant_id)
        return receipt, job_ids

    receipt, job_ids = services.db.write(work)
    end(services, job_ids, [], receipt)
    return receipt


def answers_naming(services: Services, document_id: str) -> list[str]:
    """The ids of the answers that may hold something of a document. They are looked for outside of the transaction that deletes: it reads them all."""
    row = documents.document_row(services.db, document_id)
    if row is None:
        return []
    return stored.naming(services.db, [document_id, *_titles(services.db, row)], row["tenant_id"], row["conversation_id"] or "")


def erase(services: Services, tx: Transaction, scope: Scope, document_id: str, naming: Sequence[str], erasure_id: str = "") -> tuple[str, list[str]]:
    """Everything of a document but its file, with what the answers `naming` it kept; whoever reads or embeds it stops.

    scope: who deletes it. erasure_id: of the receipt of something larger, on which it counts.
    Returns the receipt's id, empty when it was gone already, and the jobs that take it out of the vector index.
    """
    row = documents.document_row(tx, document_id)
    forgotten = jobs.forget(tx, [document_id])
    if row is None:
        return "", []
    # A mirrored folder's document bears the date of its latest version: backups of before hold earlier ones.
    since = row["received_at"] if row["source"] == row["title"] else 0.0
    receipt = erasure_id or erasures.begin(tx, scope, "document", document_id, since)
    gone = Counter(documents=1, files=_there(services, [document_id]), jobs=forgotten)
    titles = dict.fromkeys(_titles(tx, row), "")
    forget_aside(services.words, tx, row["tenant_id"], document_id)
    job_ids = _erase_chunks(services, tx, document_id, chunks.chunks_of(tx, document_id), gone)
    documents.delete_document(tx, document_id)
    job_ids += _take_out_of_answers(services, tx, [document_id], titles, naming, gone)
    erasures.count(tx, receipt, **gone)
    return receipt, job_ids


def erase_noted(services: Services, tx: Transaction, by: Scope, document_id: str, naming: Sequence[str], erasure_id: str = "") -> tuple[str, list[str]]:
    """`erase`, with its row in the audit log when there was such a document."""
    if row := documents.document_row(tx, document_id):
        audit.note(tx, by, "document_delete", "document", document_id, tenant_id=row["tenant_id"])
    return erase(services, tx, by, document_id, naming, erasure_id)


def take_out_again(services: Services, erasure_ids: Sequence[str]) -> None:
    """Of answers that were being written when what they rest on was deleted, and were stored afterwards."""
    for erasure_id in erasure_ids:
        one = erasures.get(services.db, erasure_id)
        if one.kind not in ("document", "message") or not (found := stored.naming(services.db, [one.subject_id])):
            continue

        def work(tx: Transaction, ids: tuple[str, ...] = (one.subject_id,), naming: Sequence[str] = tuple(found)) -> list[str]:
            return _take_out_of_answers(services, tx, ids, {}, naming, Counter())

        end(services, services.db.write(work, bulk=True), [])


def end(services: Services, job_ids: Sequence[str], document_ids: Sequence[str], erasure_id: str = "") -> None:
    """After a transaction that erased: rings for its jobs, removes the documents' files, and lists the receipt outside of the database."""
    for job_id in job_ids:
        services.wake(job_id)
    remove_files(services.settings, document_ids)
    if erasure_id:
        deletion_list.note(services.settings, [erasures.get(services.db, erasure_id)])


def _erase_chunks(services: Services, tx: Transaction, subject_id: str, found: Sequence[Chunk], gone: Counter) -> list[str]:
    """Removes passages with their words and vectors, adds them to `gone`, and returns the jobs that take them out of the vector index."""
    job_ids = []
    by_index: dict[tuple[str, str], list[str]] = {}
    for chunk in found:
        by_index.setdefault((chunk.tenant_id, chunks.kind_of(chunk)), []).append(chunk.key)
    for (tenant_id, kind), keys in by_index.items():
        services.words.remove(tx, tenant_id, kind, keys)
        went = chunks.delete_chunks(tx, keys)
        gone.update(passages=went["chunks"], vectors=went["vectors"])
        payload = {"tenant_id": tenant_id, "kind": kind, "keys": keys}
        job_ids.append(jobs.add(tx, tenant_id, "remove_vectors", subject_id, "people", payload))
    return job_ids


def _take_out_of_answers(
    services: Services, tx: Transaction, ids: Collection[str], titles: Mapping[str, str], naming: Sequence[str], gone: Counter
) -> list[str]:
    """Rewrites the answers `naming` what is gone. One that loses its words is gone itself for the answers that rest on it."""
    waiting, done, job_ids = [(reply_id, ids, titles) for reply_id in naming], set(), []
    while waiting:
        reply_id, gone_ids, gone_titles = waiting.pop()
        answer = stored.held(tx, reply_id)
        if answer is None:
            continue
        left, words_went = answers.without(answer, gone_ids, gone_titles)
        if {**answer, "judged": answer["citations"]} == left:
            continue
        stored.rewrite(tx, reply_id, **{name: left[name] for name in ("text", "thinking", "citations", "judged", "trace")})
        if reply_id not in done:
            done.add(reply_id)
            gone["answers"] += 1
        if words_went:
            job_ids += _erase_chunks(services, tx, reply_id, chunks.chunks_of(tx, reply_id), gone)
            later = stored.naming(tx, [reply_id], answer["tenant_id"], answer["conversation_id"])
            waiting += [(one, (reply_id,), {}) for one in later if one != reply_id]
    return job_ids


def _retitle(services: Services, tx: Transaction, scope: Scope, turn: Mapping[str, str], title_of: Callable[[str], str]) -> tuple[dict[str, str], list[str]]:
    """A conversation that bears its deleted first question as a title gets the next one's; its messages, indexed with it, are indexed anew.

    Returns the old title with the new one, and jobs.
    """
    old = conversations.get_conversation(tx, scope, turn["conversation_id"]).title
    if not old or old != title_of(turn["question"]):
        return {}, []
    first = turns.first_question(tx, scope, turn["conversation_id"])
    new = title_of(first) if first else conversations.UNTITLED
    if new == old or not turns.retitle(tx, scope, turn["conversation_id"], new):
        return {}, []
    job_ids = []
    for message_id in conversations.message_ids(tx, scope, turn["conversation_id"]):
        _erase_chunks(services, tx, message_id, chunks.chunks_of(tx, message_id), Counter())
        job_ids.append(jobs.add(tx, scope.tenant_id, "embed_message", message_id, "bulk"))
    return {old: new}, job_ids


def _titles(source: Database | Transaction, row: Mapping[str, str]) -> list[str]:
    """The names that a document bears: its file's, and the one that its passages show."""
    return list(dict.fromkeys([row["title"], *(chunk.title for chunk in chunks.chunks_of(source, row["id"]))]))


def _there(services: Services, document_ids: Sequence[str]) -> int:
    return sum((services.settings.files_dir / one).is_file() for one in document_ids)
