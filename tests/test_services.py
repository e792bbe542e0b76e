"""Who answers for the vectors: exact search in a small scope, the vector index in a large one, and exact search again when that is away."""

from dataclasses import replace

import numpy as np
import pytest

from maisale.errors import IndexUnavailable
from maisale.records import Chunk, SearchFilter
from maisale.services import EXACT_ROWS, open_index, open_services
from maisale.store import chunks

HERE = SearchFilter(("t",), ("a", "b"))


@pytest.fixture
def chroma(settings, services):
    """The real index in this process; it is the worker's otherwise."""
    index = open_index(settings)
    index.open()
    index.ready()
    services.vectors = index
    yield index
    index.release()


@pytest.fixture
def add(services):
    """Documents of one chunk each, in SQL only or, given an index, in that as well."""

    def store(*names, index=None, collection="a"):
        made = [Chunk(f"{name}#chunk_0", "t", collection, "", name, 0, 1, 0.0, document_id=name) for name in names]
        vectors = services.builtin.vectors(list(names))

        def work(tx):
            chunks.insert_chunks(tx, "linh", made)
            chunks.save_vectors(tx, services.builtin.name, list(zip(made, vectors, strict=True)))

        services.db.write(work)
        if index:
            index.upsert("t", services.builtin.name, "documents", chunks.vectors_of(services.db, services.builtin.name, [chunk.key for chunk in made]))

    return store


def ask(services, name="purifier", where=HERE):
    """(keys, who answered)"""
    hits, who = services.nearest("documents", where, services.builtin.vectors([name])[0], 10)
    return [hit.key for hit in hits], who


def test_a_small_scope_is_searched_exactly_and_a_large_one_by_the_index(services, chroma, add):
    services.exact_rows = 2
    add("purifier", "filter", index=chroma)
    assert ask(services)[1] == "exact"
    add("warranty", index=chroma)
    found, who = ask(services)
    assert who == "Chroma" and found[0] == "purifier#chunk_0" and len(found) == 3
    services.db.write(lambda tx: chunks.delete_chunks(tx, ["filter#chunk_0"]))
    assert ask(services)[1] == "exact"


def test_the_scope_is_what_is_counted_not_the_table(services, chroma, add):
    services.exact_rows = 2
    add("purifier", "filter", "warranty", index=chroma)
    add("returns", index=chroma, collection="b")
    assert ask(services, where=SearchFilter(("t",), ("b",))) == (["returns#chunk_0"], "exact")
    assert ask(services, where=SearchFilter(("t",), ("a", "b"), ("filter", "returns")))[1] == "exact"


def test_the_index_that_is_away_is_stood_in_for_and_not_named(services, add):
    services.exact_rows = 0
    add("purifier")
    with pytest.raises(IndexUnavailable):
        services.vectors.nearest(services.builtin.name, "documents", HERE, np.ones(1024, np.float32), 1)
    assert ask(services) == (["purifier#chunk_0"], "exact")


def test_a_setting_asks_the_index_first_whatever_the_size(settings, services):
    assert services.exact_rows == EXACT_ROWS
    other = open_services(replace(settings, vectors="chroma"), "cli")
    assert other.exact_rows == 0
    other.close()
