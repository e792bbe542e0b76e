"""What people do with documents: each is all or nothing, and touches only what is theirs."""

import json
import os
import time

import numpy as np
import pytest

from maisale.access import people
from maisale.errors import BadInput, NotAllowed, NotFound, StorageFailed, Unreadable
from maisale.library.chunking import Part, chunk_text
from maisale.library.deletion import delete_conversation, remove_document
from maisale.library.documents import add_document, changeable, open_file, sweep_files
from maisale.library.readings import retry_document
from maisale.records import Chunk
from maisale.store import chunks, conversations, documents


@pytest.fixture
def linh(services):
    return people.add_user(services.db, "shop", "linh")[0].scope


@pytest.fixture
def minh(services):
    return people.add_user(services.db, "shop", "minh")[0].scope


@pytest.fixture
def boss(services):
    return people.add_user(services.db, "shop", "boss", "tenant_admin")[0].scope


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "upload"
    path.write_text("# Returns\n\nRefunds take five days.")
    return path


def jobs_of(services, subject_id):
    return services.db.rows("SELECT kind, state, lane, payload FROM jobs WHERE subject_id = :id ORDER BY created_at", id=subject_id)


def index_now(services, scope, document):
    """What a worker leaves behind: chunks, words and a vector."""
    row = documents.document_row(services.db, document.id)
    made = [
        Chunk(f"{document.id}#chunk_{piece.position}", row["tenant_id"], row["collection_id"], document.title, piece.text, piece.position, piece.tokens, 0.0,
              document_id=document.id, conversation_id=document.conversation_id)
        for piece in chunk_text([Part("Refunds take five days.")])
    ]  # fmt: skip

    def work(tx):
        chunks.insert_chunks(tx, scope.user_id, made)
        services.words.add(tx, made)
        chunks.save_vectors(tx, "hash-1024", [(chunk, np.ones(4, np.float32)) for chunk in made])

    services.db.write(work)
    return made


def left_of(services, subject_id):
    tables = {"chunks": "key", "vectors": "key", "documents": "id"}
    return [table for table, key in tables.items() if services.db.rows(f"SELECT 1 AS x FROM {table} WHERE {key} LIKE :id", id=subject_id + "%")]


def test_an_added_document_has_its_bytes_its_row_and_its_job(services, linh, file):
    document = add_document(services, linh, file, "returns.md")
    assert (document.title, document.stage, document.collection) == ("returns.md", "received", "Knowledge")
    assert open_file(services, linh, document.id)[0].read_bytes() == file.read_bytes()
    assert [(job["kind"], job["lane"]) for job in jobs_of(services, document.id)] == [("read_document", "people")]


def test_the_same_file_twice_is_one_document(services, linh, file):
    first = add_document(services, linh, file, "returns.md")
    assert add_document(services, linh, file, "returns.md").id == first.id
    assert len(list(services.settings.files_dir.iterdir())) == 1


def test_another_file_of_the_same_name_is_another_document(services, linh, file):
    first = add_document(services, linh, file, "returns.md")
    file.write_text("Refunds take ten days.")
    assert add_document(services, linh, file, "returns.md").id != first.id


def test_a_path_in_the_name_is_cut_off(services, linh, file):
    assert add_document(services, linh, file, "..\\../etc/returns.md").source == "returns.md"


@pytest.mark.parametrize("name, data, words", [("a.md", b"", "is empty"), ("a.exe", b"MZ", "unknown kind"), ("a.md", b"x" * 2_100_000, "2 MB is the most")])
def test_what_no_reader_takes_is_refused_and_leaves_nothing(services, linh, file, name, data, words):
    object.__setattr__(services.settings, "upload_mb", 2)
    file.write_bytes(data)
    with pytest.raises(Unreadable, match=words):
        add_document(services, linh, file, name)
    assert not list(services.settings.files_dir.iterdir()) and not documents.list_documents(services.db, linh)


def test_a_file_for_an_unknown_conversation_leaves_nothing(services, linh, file):
    with pytest.raises(NotFound):
        add_document(services, linh, file, "a.md", conversation_id="no-such")
    assert not list(services.settings.files_dir.iterdir())


def test_a_folder_that_takes_no_files_is_said_in_a_sentence(services, linh, file):
    services.settings.files_dir.rmdir()
    with pytest.raises(StorageFailed, match="nothing was stored"):
        add_document(services, linh, file, "a.md")
    assert not documents.list_documents(services.db, linh)


def test_the_help_collection_takes_no_team_documents(services, linh, file):
    with pytest.raises(BadInput, match="Choose another name"):
        add_document(services, linh, file, "a.md", collection=documents.HELP)


def test_a_removed_document_leaves_nothing_behind(services, linh, file):
    document = add_document(services, linh, file, "returns.md")
    made = index_now(services, linh, document)
    remove_document(services, linh, document.id)
    where, _ = documents.searchable(services.db, linh)
    assert left_of(services, document.id) == [] and not (services.settings.files_dir / document.id).exists()
    assert services.words.search("documents", where, [("refunds", 1.0)], 5) == []
    payload = json.loads(jobs_of(services, document.id)[-1]["payload"])
    assert payload == {"tenant_id": linh.tenant_id, "kind": "documents", "keys": [made[0].key]}


def test_only_its_owner_or_an_admin_removes_a_document(services, linh, minh, boss, file):
    document = add_document(services, linh, file, "returns.md")
    with pytest.raises(NotAllowed, match="somebody else"):
        remove_document(services, minh, document.id)
    assert [changeable(services.db, who, [document.id]) for who in (linh, minh, boss)] == [{document.id}, set(), {document.id}]
    remove_document(services, boss, document.id)
    assert not documents.list_documents(services.db, linh)


def test_another_tenant_sees_nothing(services, linh, file):
    hoa = people.add_user(services.db, "other", "hoa", "tenant_admin")[0].scope
    document = add_document(services, linh, file, "returns.md")
    for verb in (remove_document, open_file, retry_document):
        with pytest.raises(NotFound):
            verb(services, hoa, document.id)


def test_a_failed_document_is_read_again_when_asked(services, linh, file):
    document = add_document(services, linh, file, "returns.md")
    with pytest.raises(BadInput, match="has not failed"):
        retry_document(services, linh, document.id)
    services.db.write(lambda tx: documents.set_stage(tx, document.id, "failed", cause="returns.md is damaged."))
    again = retry_document(services, linh, document.id)
    assert (again.stage, again.cause) == ("received", "")
    assert [(job["kind"], job["state"]) for job in jobs_of(services, document.id)] == [("read_document", "pending")]


def test_a_deleted_conversation_takes_its_files_and_passages_along(services, linh, file):
    conversation = services.db.write(lambda tx: conversations.new_conversation(tx, linh, "Returns"))
    document = add_document(services, linh, file, "returns.md", conversation_id=conversation.id)
    index_now(services, linh, document)
    delete_conversation(services, linh, conversation.id)
    assert left_of(services, document.id) == [] and not list(services.settings.files_dir.iterdir())
    assert jobs_of(services, conversation.id)[0]["kind"] == "remove_vectors"
    with pytest.raises(NotFound):
        conversations.get_conversation(services.db, linh, conversation.id)


def test_another_persons_conversation_is_not_deleted(services, linh, minh):
    conversation = services.db.write(lambda tx: conversations.new_conversation(tx, linh, "Returns"))
    with pytest.raises(NotFound):
        delete_conversation(services, minh, conversation.id)
    assert conversations.get_conversation(services.db, linh, conversation.id)


def test_a_start_sweeps_old_files_without_a_document(services, linh, file):
    document = add_document(services, linh, file, "returns.md")
    folder = services.settings.files_dir
    for name, age_s in [("lost", 7200), ("coming", 0), (document.id, 7200)]:
        (folder / name).touch()
        os.utime(folder / name, times=(time.time() - age_s,) * 2)
    assert sweep_files(services) == 1
    assert {path.name for path in folder.iterdir()} == {"coming", document.id}
