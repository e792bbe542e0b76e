"""`bench retrieval` on a few hundred chunks, as people run it, with the real worker. Its figures are there and make sense; how fast is not asked here."""

import json
import os
import sqlite3

import pytest
from answering import add_passages

from conftest import LINH
from maisale.cli import main
from maisale.ops.bench_library import COLLECTIONS

SUBJECTS = ("purifier", "filter", "warranty", "invoice", "delivery", "showroom", "technician", "cartridge", "refund", "membership")


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "untouched"))
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")


@pytest.fixture
def source(tmp_path):
    made = tmp_path / "text"
    made.mkdir()
    for number in range(60):
        one, two, three = (SUBJECTS[(number * step) % len(SUBJECTS)] for step in (1, 3, 7))
        sentence = f"Branch {number} keeps every {one} for {number + 3} days before the {two} of its {three} number {number * 17} is closed."
        (made / f"{number}.md").write_text(f"# Branch {number}\n\n{sentence}\n\nAsk for {one} {number * 31} when the {three} is missing.", "utf-8")
    (made / "empty.md").touch()
    return made


def run(capsys, *words):
    code = main(["bench", "retrieval", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out.strip(), err.strip()


def test_every_figure_is_there_and_the_library_is_used_again(source, capsys, tmp_path):
    words = ("--source", source, "--chunks", 200, "--questions", 12, "--data", tmp_path / "kept", "--json")
    code, out, _ = run(capsys, *words)
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    assert (found["chunks"], found["edited_copies"], found["collections"], found["questions"]) == (200, 140, COLLECTIONS, 12)
    assert found["embedder"] == "hash-1024" and found["fill_s"] > 0 and found["index_s"] > 0
    assert found["recall@20"]["everywhere"] > 0.95 and found["recall@20"]["one_of_ten"] > 0.95
    assert found["answered_by"] == {"exact": 12} and sum(found["outcomes"].values()) == 12
    assert {"flow", "question_vector", "words", "vectors everywhere", "exact everywhere", "vectors one_of_ten", "exact one_of_ten"} == set(found["ms"])
    assert all(0 < one["p50"] <= one["p95"] for one in found["ms"].values()) and {"recall", "search_knowledge", "rank"} <= set(found["steps_ms"])

    again = json.loads(run(capsys, *words)[1].splitlines()[-1])
    assert again["fill_s"] == 0 and again["outcomes"] == found["outcomes"] and again["recall@20"] == found["recall@20"]
    code, _, err = run(capsys, "--source", source, "--chunks", 300, "--data", tmp_path / "kept")
    assert code == 1 and "holds 200 chunks, not 300" in err
    assert not (tmp_path / "untouched").exists()


def test_copies_are_near_equal_and_every_row_is_what_indexing_writes(source, capsys, tmp_path):
    assert run(capsys, "--source", source, "--chunks", 90, "--questions", 1, "--data", tmp_path / "kept")[0] == 0
    db = sqlite3.connect(tmp_path / "kept" / "sqlite.db")
    pairs = db.execute("""SELECT real.text, copy.text FROM chunks AS real JOIN documents AS d ON d.id = real.document_id
                          JOIN documents AS e ON e.source = 'copies/1/' || d.source JOIN chunks AS copy ON copy.document_id = e.id""").fetchall()
    assert len(pairs) == 30
    shares = [len(set(one.split()) & set(two.split())) / len(set(one.split())) for one, two in pairs]
    assert 0.75 < sum(shares) / len(shares) < 1.0
    assert db.execute("SELECT count(*) FROM vectors WHERE indexed = 1").fetchone() == (90,)
    assert db.execute("SELECT DISTINCT stage FROM documents").fetchall() == [("complete",)]
    db.close()


def test_the_originals_of_the_instance_beside_it_stay(source, capsys, tmp_path, monkeypatch):
    """The worker takes away files without a row, and those of another instance have none in this library."""
    original, address = tmp_path / "files" / "of-a-document", tmp_path / "address"
    original.parent.mkdir()
    original.write_text("the only copy")
    os.utime(original, (1, 1))
    address.write_text(f"sqlite:///{tmp_path / 'theirs.db'}")
    monkeypatch.setenv("FILES_DIR", str(original.parent))
    monkeypatch.setenv("DATABASE_URL_FILE", str(address))
    assert run(capsys, "--source", source, "--chunks", 30, "--questions", 1)[0] == 0
    assert original.exists() and not (tmp_path / "theirs.db").exists()


def test_words_and_vectors_on_postgres(source, capsys, tmp_path, postgres_url):
    words = ("--source", source, "--chunks", 60, "--questions", 5, "--database", postgres_url, "--json")
    code, out, _ = run(capsys, *words)
    found = json.loads(out.splitlines()[-1])
    assert code == 0 and found["chunks"] == 60 and found["recall@20"] == {"everywhere": 1.0, "one_of_ten": 1.0}
    assert json.loads(run(capsys, *words)[1].splitlines()[-1])["fill_s"] == 0  # the second time from another data folder


def test_a_library_that_people_use_is_left_alone(source, capsys, tmp_path, services):
    add_passages(services, LINH, "The filter is changed every six months.")
    before = services.db.rows("SELECT * FROM users")
    code, out, err = run(capsys, "--source", source, "--chunks", 1, "--data", services.settings.data_dir)
    assert code == 1 and not out and "that people use" in err
    assert services.db.rows("SELECT * FROM users") == before


@pytest.mark.parametrize(("folder", "sentence"), [("nowhere", "is not a folder"), ("hollow", "holds no file with text")])
def test_a_folder_without_text_is_refused_in_a_sentence(capsys, tmp_path, folder, sentence):
    (tmp_path / "hollow").mkdir()
    code, out, err = run(capsys, "--source", tmp_path / folder, "--chunks", 10)
    assert code == 1 and not out and sentence in err and len(err.splitlines()) == 1
