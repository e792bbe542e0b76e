"""Indexes made anew from SQL: of words by the command, of vectors by the worker."""

import threading
import time

import pytest
from desk import QUESTION, WARRANTY, Desk

from maisale.config import Settings
from maisale.library import upkeep
from maisale.ops import rebuild
from maisale.ops.verify import verify
from maisale.services import open_index
from maisale.store import chunks


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", ollama_urls=("http://127.0.0.1:9",), vectors="exact")


@pytest.fixture
def desk(services, tmp_path):
    made = Desk(services, tmp_path)
    made.document = made.add("warranty.md", WARRANTY)
    return made


def test_words_are_found_again_after_their_index_was_lost(desk):
    db, tenant = desk.services.db, desk.user.tenant_id
    db.write(lambda tx: desk.services.words.drop(tx, tenant, "documents"))
    assert any("no word search finds" in problem for problem in verify(desk.services, None).problems)
    assert rebuild.words(desk.services) == 1
    assert verify(desk.services, None).problems == []
    assert desk.sources(desk.ask(QUESTION)) == [desk.document]


def test_the_worker_empties_its_index_and_fills_it_from_sql(desk, settings):
    db, index, stopping = desk.services.db, open_index(settings), threading.Event()
    keeper = threading.Thread(target=upkeep.keep, args=(db, index, stopping, lambda: None))
    keeper.start()
    try:
        name = (desk.user.tenant_id, "hash-1024", "documents")
        wait_for(lambda: index.state == "" and index.keys(*name))
        index.upsert(*name, [chunks.vectors_of(db, "hash-1024", list(index.keys(*name)))[0].__class__("stray#chunk_0", "c", "d", one_vector(db))])
        upkeep.ask_for_rebuild(db)
        wait_for(lambda: index.state == "" and index.keys(*name) == {f"{desk.document}#chunk_0"})
    finally:
        stopping.set()
        keeper.join(20)
        index.release()


def one_vector(db):
    key = db.rows("SELECT key FROM vectors")[0]["key"]
    return chunks.vectors_of(db, "hash-1024", [key])[0].vector


def wait_for(reached, wait_s=30):
    ends = time.monotonic() + wait_s
    while True:
        try:
            if reached():
                return
        except Exception:  # closed between two looks
            pass
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.05)
