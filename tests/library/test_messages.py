"""Messages as passages: what changes between their making and the transaction that writes them."""

import pytest

from conftest import LINH
from maisale.library.messages import prepare, write_message
from maisale.store import chunks, conversations, privacy

QUESTION = "Ring me at 0912 345 678 when the kettle is whole."


@pytest.fixture
def asked(services):
    return services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, QUESTION, "Kettles", {}))[0]


def written(services, prepared):
    services.db.write(lambda tx: [write_message(tx, services.words, one) for one in prepared])


def test_a_conversation_renamed_meanwhile_has_its_new_name(services, asked):
    prepared = prepare(services, [asked.message_id])
    services.db.write(lambda tx: conversations.rename_conversation(tx, LINH, asked.conversation_id, "Pots"))
    written(services, prepared)
    assert [(one.title, one.text) for one in chunks.chunks_of(services.db, asked.message_id)] == [("Pots", QUESTION)]


def test_a_tenant_that_chose_otherwise_meanwhile_has_its_way(services, asked):
    prepared = prepare(services, [asked.message_id])
    assert "345" not in prepared[0].passages[0].searched
    services.db.write(lambda tx: tx.insert("tenants", id=LINH.tenant_id, name="a", created_at=1.0))
    services.db.write(lambda tx: privacy.choose(tx, LINH.tenant_id, redact=False, model_sees_originals=True))
    written(services, prepared)
    assert [one.searched for one in chunks.chunks_of(services.db, asked.message_id)] == [""]


def test_what_was_deleted_meanwhile_is_not_written(services, asked):
    prepared = prepare(services, [asked.message_id, "unknown"])
    assert len(prepared) == 1
    services.db.write(lambda tx: conversations.delete_conversation(tx, LINH, asked.conversation_id))
    written(services, prepared)
    assert services.db.rows("SELECT count(*) AS n FROM chunks")[0]["n"] == 0
