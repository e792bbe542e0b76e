"""A worker's jobs done in this process, one after the other, and a model server that refuses some texts, is away, or answers wrongly."""

import time

import numpy as np

from maisale.errors import ModelFailed, ModelUnavailable
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.records import ModelStatus, Scope
from maisale.store import documents, jobs

LINH = Scope("tenant-a", "linh")
TEXT = "# Returns\n\nA purifier may be returned within 30 days.\n\n# Filters\n\nThe filter lasts six months."


class Ollama:
    """A model server with an embedder that refuses some words, or is away."""

    name, dimensions = "bge-m3", 8

    def __init__(self, well_s=1000.0):
        self.away, self.refused, self.answer_wrongly = False, "poison", False
        self.status = ModelStatus("url", True, None, self.name, checked_at=1.0, well_since=time.time() - well_s)

    def embedder(self):
        return None if self.away else self

    def vectors(self, texts):
        if self.away:
            raise ModelUnavailable("Ollama is away.")
        if self.answer_wrongly:
            raise ModelFailed("The model answered with an error.")
        if bad := tuple(position for position, text in enumerate(texts) if self.refused in text):
            problem = ModelFailed("no vector")
            problem.positions = bad
            raise problem
        made = np.random.default_rng(len(texts[0])).normal(size=(len(texts), 8)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    def close(self):
        pass


class Worker:
    def __init__(self, services):
        self.services, self.db = services, services.db
        self.embedders = Embedders(services, well_s=100)
        self.indexing = Indexing(services, self.embedders)

    def work(self):
        """Does what is due until nothing is; returns the kinds of what was done."""
        done = []
        while ids := jobs.due(self.db, 1):
            job = jobs.claim(self.db, ids[0])
            self.indexing.do(job)
            done.append(job.kind)
        return done

    def receive(self, text=TEXT, name="help.md", document_id="doc"):
        (self.services.settings.files_dir / document_id).write_text(text, "utf-8")

        def row(tx):
            place = documents.collection_named(tx, LINH, "Knowledge")
            size = len(text.encode())
            documents.receive_document(tx, LINH, place, document_id=document_id, title=name, source=name, media_type="", size=size, content_hash="")
            jobs.add(tx, LINH.tenant_id, "read_document", document_id)
            return place

        return self.db.write(row)

    def again(self, kind, subject="doc", payload=None):
        self.db.write(lambda tx: jobs.add(tx, LINH.tenant_id, kind, subject, "people", payload))
        return self.work()

    def document(self):
        return documents.get_document(self.db, LINH, "doc")

    def keys(self, table):
        return sorted(row["key"] for row in self.db.rows(f"SELECT key FROM {table}"))
