"""A passage, a question that it answers, and the end of the answer."""

import asyncio

from maisale.library.chunking import Part, chunk_text
from maisale.records import Chunk
from maisale.store import chunks, documents

WARRANTY = "# Warranty\n\nThe RO-9 water purifier is under warranty for 24 months from the date of purchase. The warranty does not cover filter cartridges."
QUESTION = "How long is the RO-9 under warranty?"


def add_passages(services, scope, text, title="Warranty policy", name="d1", source="warranty.md", collection="Policies"):
    """A document that word search finds; vectors are the worker's."""

    def work(tx):
        home = documents.collection_named(tx, scope, collection)
        documents.receive_document(tx, scope, home, document_id=name, title=title, source=source, media_type="text/markdown", size=1, content_hash="x")
        made = [
            Chunk(f"{name}#chunk_{i}", scope.tenant_id, home, title, piece.text, i, piece.tokens, 1.0, document_id=name, heading=piece.heading)
            for i, piece in enumerate(chunk_text([Part(text)]))
        ]
        chunks.insert_chunks(tx, scope.user_id, made)
        services.words.add(tx, made)

    services.db.write(work)


async def last(replies, scope, reply_id):
    """The end of a reply."""
    return [reply async for reply in replies.tail(scope, reply_id)][-1]


def wait_for(condition, seconds=10):
    async def waiting():
        for _ in range(int(seconds * 50)):
            if found := condition():
                return found
            await asyncio.sleep(0.02)
        raise AssertionError("it did not happen")

    return asyncio.run(waiting())
