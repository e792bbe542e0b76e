"""A library to ask: real services over a folder of this test's own, exact vectors, no model server."""

import time
from dataclasses import replace

import pytest

from maisale.flow.graph import decide
from maisale.records import Chunk, Scope, SearchFilter
from maisale.redaction import vector_text
from maisale.services import open_services
from maisale.store.chunks import insert_chunks, save_vectors
from maisale.text import estimate_tokens

LINH = Scope("tenant-a", "linh")
TEXTS = {
    "warranty": ("Warranty policy 2026", "The RO-9 water purifier is under warranty for 24 months from the day of purchase. Filter cartridges are excluded."),
    "returns": ("Returns", "A customer may return the product within 14 days if the box is unopened."),
    "prices": ("Bảng giá quý 4", "Máy lọc nước RO-9 giá 8.490.000 ₫ đã gồm VAT. Lõi lọc thay thế giá 350.000 ₫."),
    "hours": ("Opening hours", "The shop in Hải Phòng opens at eight and closes at half past five. It is closed on Sundays."),
}


class Library:
    """Services, and verbs to fill and ask them."""

    def __init__(self, services):
        self.services = services
        self.where = SearchFilter(("tenant-a",), ("talk", "policies"))

    def add(self, key, text, title="", collection="policies", **more):
        if "message_id" not in more:
            more.setdefault("document_id", key)
        chunk = Chunk(f"{key}#chunk_0", "tenant-a", collection, title, text, 0, estimate_tokens(text), more.pop("dated_at", time.time()), **more)
        vector = self.services.builtin.vectors([vector_text(chunk)])[0]

        def work(tx):
            insert_chunks(tx, LINH.user_id, [chunk])
            self.services.words.add(tx, [chunk])
            save_vectors(tx, self.services.builtin.name, [(chunk, vector)])

        self.services.db.write(work)

    def say(self, key, text):
        self.add(key, text, title="Talk", collection="talk", message_id=key, conversation_id="talk")

    def ask(self, question, **more):
        return decide(self.services, question, LINH, more.pop("where", self.where), "talk", **more)


@pytest.fixture
def empty(settings):
    opened = open_services(replace(settings, vectors="exact"), "cli")
    yield Library(opened)
    opened.close()


@pytest.fixture
def library(empty):
    for key, (title, text) in TEXTS.items():
        empty.add(key, text, title)
    return empty
