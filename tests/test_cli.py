"""The command line in this process, on a data folder of its own and, where it matters, as people start it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maisale.cli import main
from maisale.cli.indexing import in_words, standing

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An environment, not a patch: settings are read from it and from nowhere else."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.delenv("X_API_KEY_ADMIN", raising=False)
    return tmp_path


@pytest.fixture
def said(capsys):
    """Runs a command; gives its exit code, output and complaints."""

    def run(*words):
        code = main(words)
        out, err = capsys.readouterr()
        return code, out.strip(), err.strip()

    return run


def test_a_new_person_gets_a_key_once_and_more_on_demand(said):
    code, first, _ = said("users", "add", "Linh", "--tenant", "shop")
    assert code == 0 and first.startswith("msk_")
    code, second, _ = said("keys", "issue", "Linh", "--tenant", "shop", "--name", "laptop", "--days", "30", "--permissions", "chat,read")
    assert code == 0 and second.startswith("msk_") and second != first
    _, listed, _ = said("keys", "list", "Linh", "--tenant", "shop", "--json")
    assert [(key["name"], key["permissions"]) for key in json.loads(listed)] == [("laptop", ["chat", "read"]), ("first key", ["chat", "read", "write"])]
    assert first.split("_", 2)[2][:20] not in listed


def test_a_revoked_key_is_shown_as_such(said):
    said("users", "add", "Linh", "--tenant", "shop")
    key_id = json.loads(said("keys", "list", "Linh", "--tenant", "shop", "--json")[1])[0]["id"]
    assert said("keys", "revoke", key_id)[0] == 0
    assert "revoked" in said("keys", "list", "Linh", "--tenant", "shop")[1]
    assert said("keys", "revoke", key_id) == (1, "", "There is no such key, or it was revoked before. `keys list` shows the ids.")


def test_a_command_without_the_admin_key_leaves_the_apps_admin_key_alone(said, monkeypatch):
    monkeypatch.setenv("X_API_KEY_ADMIN", "an-admin-key-of-20")
    said("keys", "list", "admin")
    monkeypatch.delenv("X_API_KEY_ADMIN")
    assert [key["id"] for key in json.loads(said("keys", "list", "admin", "--json")[1])] == ["admin"]


def test_a_link_is_an_address(said):
    assert said("link")[1].startswith("http://127.0.0.1:7860/link/")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["keys", "list", "nobody"], "There is no user named 'nobody' in the tenant 'default'. `users add` makes one."),
        (["users", "add", "a\nb", "--tenant", "shop"], "takes 1 to 80 characters"),
        (["keys", "issue", "admin", "--permissions", "fly"], "There is no permission 'fly'"),
        (["index", "--source", "/no/such/folder", "--collection", "Shop"], "is not a folder"),
        (["index", "--source", ".", "--collection", "Mai-Sale help"], "Choose another name"),
        (["ask", ""], "The question is empty"),
        (["ask", "How?", "--collection", "Nothing"], "There is no collection named 'Nothing'"),
        (["search", "refunds", "--user", "nobody"], "There is no user named 'nobody'"),
        (["drill", "--only", "nothing"], "There is no drill 'nothing'. They are: 100-uploads"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_1(said, words, sentence):
    code, out, err = said(*words)
    assert (code, out) == (1, "") and sentence in err
    assert "Traceback" not in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["fly"], ["index"], ["keys"], ["keys", "issue", "admin", "--days", "-1"], ["search", "x", "--limit", "0"]])
def test_a_wrong_command_line_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and "usage:" in capsys.readouterr().err


def test_without_a_command_the_app_serves():
    assert main([], serve=lambda: 7) == 7


def test_a_bad_setting_and_an_unwritable_folder_are_said(said, folder, monkeypatch):
    monkeypatch.setenv("PORT", "many")
    assert said("link") == (1, "", "PORT is 'many'; it takes a whole number from 0 to 65535.")
    monkeypatch.setenv("PORT", "7860")
    (folder / "file").touch()
    monkeypatch.setenv("DATA_DIR", str(folder / "file" / "data"))
    code, _, err = said("link")
    assert code == 1 and "cannot be written to" in err and len(err.splitlines()) == 1


def test_a_folder_is_indexed_without_an_app_then_unchanged_then_answered(said, folder):
    team = folder / "team"
    team.mkdir()
    (team / "returns.md").write_text("# Returns\n\nRefunds take five working days. Gift cards are not refunded.")
    (team / "cut.pdf").write_bytes(b"%PDF-1.4 cut")
    code, out, err = said("index", "--source", str(team), "--collection", "Team", "--json")
    assert (code, json.loads(out)["new"], json.loads(out)["failed"]) == (1, 2, 1)
    assert "cut.pdf is cut off" in err
    (team / "cut.pdf").unlink()
    again = json.loads(said("index", "--source", str(team), "--collection", "Team", "--json")[1])
    assert [again[name] for name in ("new", "changed", "unchanged", "removed", "failed")] == [0, 0, 1, 1, 0]
    code, answer, _ = said("ask", "How long do refunds take?")
    assert code == 0 and "Refunds take five working days. [1]" in answer and answer.endswith("[1] Returns, returns.md · section Returns")
    found = json.loads(said("search", "refunds", "--json", "--collection", "Team")[1])
    assert (found[0]["title"], found[0]["place"]) == ("Returns", "returns.md · section Returns")


def test_indexing_ends_with_where_every_document_stands(said, folder):
    (folder / "team").mkdir()
    (folder / "team" / "hours.md").write_text("# Hours\n\nThe yard opens at seven.", "utf-8")
    (folder / "team" / "cut.pdf").write_bytes(b"%PDF-1.4 cut")
    _, out, err = said("index", "--source", str(folder / "team"), "--collection", "Team")
    assert "1 of 2 are complete: found by their words and by meaning." in out and "1 of 2 could not be read. `documents list` says why" in out
    assert "cut.pdf is cut off" in err
    _, out, _ = said("index", "--source", str(folder / "team"), "--collection", "Team", "--json")
    assert [json.loads(out)[name] for name in ("complete", "by_words", "later", "unread", "unreadable")] == [1, 0, 0, 0, 1]


def test_what_was_given_up_is_not_said_to_be_embedded_later():
    rows = [{"stage": "searchable", "cause": "It is found by words only."}, {"stage": "searchable", "cause": ""}, {"stage": "complete", "cause": ""}]
    told = "\n".join(in_words(standing(rows)))
    assert "1 of 3 are found by their words only: their search by meaning was given up. `jobs list` says why" in told
    assert "1 of 3 are found by their words; by meaning when they have been embedded." in told and "read" not in told


def test_it_starts_as_a_module_and_ends_in_a_sentence(folder):
    command = [sys.executable, "-m", "maisale", "keys", "list", "nobody"]
    ended = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (1, "") and ended.stderr.startswith("There is no user named 'nobody'")


def test_an_answer_explains_a_document(said, folder):
    (folder / "w.md").write_text("# Warranty\n\nThe kettle is under warranty for 24 months.", "utf-8")
    (folder / "files").mkdir()
    (folder / "w.md").rename(folder / "files" / "w.md")
    said("index", "--source", str(folder / "files"), "--collection", "Policies")
    reply = json.loads(said("ask", "How long is the warranty of the kettle?", "--json")[1])
    document_id = reply["citations"][0]["document_id"]
    code, words, _ = said("explain", reply["id"], document_id)
    assert code == 0 and words.startswith("w.md is used: its best passage stands at rank 1")
    code, _, problem = said("explain", reply["id"], "nothing")
    assert code == 1 and problem == "There is no such document. It may have been deleted."


def test_a_document_is_listed_shown_cancelled_and_tried_again(said, folder):
    (folder / "team").mkdir()
    (folder / "team" / "hours.md").write_text("# Hours\n\nThe yard opens at seven. Call 0912 345 678.", "utf-8")
    (folder / "team" / "cut.pdf").write_bytes(b"%PDF-1.4 cut")
    said("index", "--source", str(folder / "team"), "--collection", "Team")
    listed = {one["title"]: one for one in json.loads(said("documents", "list", "--json")[1])}
    assert (listed["hours.md"]["stage"], listed["cut.pdf"]["stage"]) == ("complete", "failed")
    _, shown, _ = said("documents", "show", listed["hours.md"]["id"])
    assert shown.startswith("hours.md: complete") and [line.split()[2] for line in shown.splitlines()[1:]][-1] == "complete"
    assert "Personal data: 1 phone." in shown and json.loads(said("documents", "show", listed["hours.md"]["id"], "--json")[1])["identifiers"] == {"phone": 1}
    code, _, problem = said("documents", "cancel", listed["hours.md"]["id"])
    assert code == 1 and "nothing to cancel" in problem
    assert "received" in said("documents", "retry", listed["cut.pdf"]["id"])[1]
    assert "is deleted" in said("documents", "cancel", listed["cut.pdf"]["id"])[1]
    assert said("documents", "show", listed["cut.pdf"]["id"])[0] == 1


def test_what_becomes_of_personal_data_is_shown_and_chosen(said):
    said("users", "add", "linh", "--tenant", "sales")
    code, words, _ = said("privacy", "--tenant", "sales")
    assert code == 0 and "of sales: replaced by placeholders." in words and "reads: originals." in words
    code, words, told = said("privacy", "--tenant", "sales", "--redact", "off", "--model-sees-originals", "off")
    assert code == 0 and "of sales: as it is." in words and "reads: placeholders." in words and "made anew" in told
    chosen = json.loads(said("privacy", "--tenant", "sales", "--redact", "on", "--json")[1])
    assert (chosen["redact"], chosen["model_sees_originals"]) == (True, False)
    assert said("privacy", "--tenant", "nobody")[0] == 1
