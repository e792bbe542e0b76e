"""`eval` on a small set, as people run it: the figures are those that can be counted by hand."""

import json

import pytest

from maisale.cli import main

PASSAGES = [
    ("p1", "Warranty", "The water purifier is under warranty for 24 months. Filters are excluded."),
    ("p2", "Returns", "Goods may be returned within 14 days when the box is unopened."),
    ("p3", "Opening hours", "The shop in Hanoi opens at eight and closes at five."),
    ("p4", "Giá", "Máy lọc nước giá tám triệu đồng."),
]
QUESTIONS = [
    {"_id": "q1", "text": "How long is the warranty of the purifier?", "answers": ["24 months"]},
    {"_id": "q2", "text": "When does the shop open?", "answers": ["eight"]},
    {"_id": "q3", "text": "Máy lọc nước giá bao nhiêu?", "answers": ["tám triệu"]},
    {
        "_id": "q4",
        "text": "And otherwise?",
        "history": [{"role": "user", "text": "May goods be returned?"}, {"role": "assistant", "text": "Yes."}],
    },
]
GOLD = {"q1": "p1", "q2": "p3", "q3": "p4", "q4": "p2"}


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "untouched"))
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "small"
    (made / "qrels").mkdir(parents=True)
    (made / "corpus.jsonl").write_text("\n".join(json.dumps(dict(zip(("_id", "title", "text"), one))) for one in PASSAGES), "utf-8")
    (made / "queries.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)), "utf-8")
    (made / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(f"{query}\t{gold}\t1" for query, gold in GOLD.items()), "utf-8")
    return made


def run(capsys, *words):
    code = main(["eval", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out.strip(), err.strip()


def test_every_figure_is_there_by_its_name(folder, capsys, tmp_path):
    code, out, _ = run(capsys, folder, "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    assert found["R@1"] == found["MRR@10"] == found["nDCG@5"] == 1.0
    assert found["extract_1"] == found["extract_3"] == 1.0
    assert found["passages"] == 4 and found["questions"] == 4 and found["ms_per_question"] > 0
    assert found["follow_ups"]["questions"] == 1 and found["last_turn"]["R@5"] <= found["R@5"]
    # Each question is asked twice of a half: once with its passage, once without.
    assert found["gate_rates"]["answerable"]["questions"] == found["gate_rates"]["unanswerable"]["questions"] == 4
    assert found["gate_auroc"] > 0.9
    assert not (tmp_path / "untouched").exists()


def test_history_is_what_finds_a_follow_up(folder, capsys):
    found = json.loads(run(capsys, folder, "--json")[1].splitlines()[-1])
    assert found["follow_ups"]["R@1"] == 1.0
    assert found["follow_ups"]["last_turn"]["MRR@10"] < found["follow_ups"]["MRR@10"]


def test_unanswerable_questions_of_the_set_judge_the_gate(folder, capsys):
    with (folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"_id": "q5", "text": "Who won the football cup in Brazil?", "answerable": False}))
    found = json.loads(run(capsys, folder, "--json")[1].splitlines()[-1])
    assert found["gate_rates"]["unanswerable"] == {"questions": 1, "answer": 0.0, "possible": 0.0, "abstain": 1.0}
    assert found["gate_auroc"] == 1.0


def test_a_limit_that_is_missed_fails(folder, capsys):
    assert run(capsys, folder, "--fail-under", "nDCG@5=.95")[0] == 0
    code, _, err = run(capsys, folder, "--fail-under", "R@1=1.01")
    assert code == 1 and "R@1 is 1.0, under 1.01" in err
    code, _, err = run(capsys, folder, "--fail-under", "R@7=.5")
    assert code == 1 and "There is no measure 'R@7'" in err


def test_two_runs_are_compared_question_by_question(folder, capsys, tmp_path):
    kept = tmp_path / "a.json"
    kept.write_text("a line of something else\n" + run(capsys, folder, "--json")[1], "utf-8")
    worse = json.loads(kept.read_text("utf-8").splitlines()[-1])
    worse["per_question"] = {query: [0.0, 1.0, 0.5] for query in worse["per_question"]}
    (tmp_path / "b.json").write_text(json.dumps(worse), "utf-8")
    code, out, _ = run(capsys, "--compare", kept, tmp_path / "b.json")
    assert code == 0 and [line.split()[-1] for line in out.splitlines()] == ["worse", "counts", "worse"]
    assert run(capsys, "--compare", kept, folder / "corpus.jsonl")[2].startswith("These files are not what")


@pytest.mark.parametrize("broken", ["missing", "not json", "no passages"])
def test_what_is_no_set_is_refused_in_a_sentence(folder, capsys, broken):
    corpus = folder / "corpus.jsonl"
    {"missing": corpus.unlink, "not json": lambda: corpus.write_text("{"), "no passages": lambda: corpus.write_text("")}[broken]()
    code, out, err = run(capsys, folder)
    assert code == 1 and not out and str(folder) in err and "Traceback" not in err
