"""What is pgvector's own among the vector indexes; the rest holds for all of them (tests/contract)."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import psycopg
import pytest

from maisale.backends.pgvector import PgVectorIndex
from maisale.errors import IndexUnavailable
from maisale.records import SearchFilter, VectorRow

HERE = SearchFilter(("tenant-a",), ("policies",))


@contextmanager
def opened(*given):
    index = PgVectorIndex(*given)
    index.open()
    yield index
    index.release()


def test_a_search_ends_in_time_with_its_cause_in_the_log_and_who_has_patience_waits(postgres_url, caplog):
    vector = np.array([1, 0, 0, 0], np.float32)
    with opened(postgres_url) as hasty, opened(postgres_url, 60.0) as patient, ThreadPoolExecutor(1) as beside:
        hasty.upsert("tenant-a", "bge-m3", "documents", [VectorRow("a#chunk_0", "policies", "a", vector)])
        hasty.ready()
        ask = ("bge-m3", "documents", HERE, vector, 5)
        assert [hit.key for hit in hasty.nearest(*ask)] == ["a#chunk_0"]
        with psycopg.connect(postgres_url) as holder:
            [name] = holder.execute("SELECT name FROM vector_tables").fetchone()
            holder.execute(f'LOCK TABLE "{name}" IN ACCESS EXCLUSIVE MODE')
            asked = beside.submit(patient.nearest, *ask)
            with pytest.raises(IndexUnavailable, match="failed to search; the log says why"):
                hasty.nearest(*ask)
            assert "canceling statement due to statement timeout" in caplog.text and not asked.done()
        assert [hit.key for hit in asked.result()] == ["a#chunk_0"]
