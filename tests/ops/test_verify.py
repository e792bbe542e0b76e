"""Whether what is stored is whole: each kind of damage is named."""

import sqlite3

import numpy as np
import pytest
from desk import WARRANTY, Desk

from maisale.config import Settings
from maisale.ops.verify import verify


@pytest.fixture
def settings(tmp_path):
    """Exact search: no worker has to be there for a document to be complete."""
    return Settings(data_dir=tmp_path / "data", ollama_urls=("http://127.0.0.1:9",), vectors="exact")


@pytest.fixture
def desk(services, tmp_path):
    made = Desk(services, tmp_path)
    made.document = made.add("warranty.md", WARRANTY)
    return made


def change(services, sql, *values):
    with sqlite3.connect(services.settings.sqlite_path) as other:
        other.execute(sql, values)


def test_a_whole_folder_is_said_to_be_whole(desk):
    report = verify(desk.services, None)
    assert report.problems == []
    assert (report.counts["documents"], report.counts["chunks"], report.counts["vectors"]) == (1, 1, 1)


def test_the_index_is_asked_for_every_vector(desk):
    report = verify(desk.services, desk.services.exact)
    assert report.problems == [] and report.counts["index_asked"] == 1


def lose_file(services, document):
    (services.settings.files_dir / document).unlink()


def change_file(services, document):
    (services.settings.files_dir / document).write_text("something else")


def lose_chunk(services, document):
    change(services, "DELETE FROM chunks WHERE document_id = ?", document)


def lose_words(services, document):
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%key TEXT NOT NULL UNIQUE%'"
    table = services.db.rows(sql)[0]["name"]
    change(services, f'DELETE FROM "{table}"')


def lose_vector(services, document):
    change(services, "DELETE FROM vectors WHERE document_id = ?", document)


def spoil_vector(services, document):
    change(services, "UPDATE vectors SET vector = ? WHERE document_id = ?", np.full(1024, np.nan, np.float32).tobytes(), document)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lose_file, "Files that are gone"),
        (change_file, "Files that are not what was received"),
        (lose_chunk, "another number of passages"),
        (lose_words, "no word search finds"),
        (lose_vector, "without a vector"),
        (spoil_vector, "Vectors that are none"),
    ],
)
def test_each_damage_is_named(desk, damage, words):
    damage(desk.services, desk.document)
    assert any(words in problem for problem in verify(desk.services, None).problems)


class Forgetful:
    """An index that finds nothing."""

    label = "forgetful"

    def nearest(self, *_):
        return []


def test_what_the_index_does_not_find_is_named(desk):
    change(desk.services, "UPDATE vectors SET indexed = 1")
    assert any("index does not find" in problem for problem in verify(desk.services, Forgetful()).problems)


def test_what_the_index_is_still_to_get_is_not_lost(desk):
    """A document that is added while all is read: its vectors are in SQL first."""

    class Later(Forgetful):
        def nearest(self, *_):
            change(desk.services, "UPDATE vectors SET indexed = 0")
            return []

    change(desk.services, "UPDATE vectors SET indexed = 1")
    report = verify(desk.services, Later())
    assert report.problems == [] and report.counts["vectors_waiting"] == 1


def test_what_came_into_the_index_meanwhile_is_asked_for_again(desk):
    class Slow(Forgetful):
        asked = 0

        def nearest(self, *given):
            self.asked += 1
            return desk.services.exact.nearest(*given) if self.asked > 1 else []

    change(desk.services, "UPDATE vectors SET indexed = 1")
    assert verify(desk.services, Slow()).problems == []
