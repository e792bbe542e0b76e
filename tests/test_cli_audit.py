"""The command line and the audit log: what a command leaves in it, and what `audit show` and `audit verify` say."""

import json
import os
import pwd
import shutil
import sqlite3

import pytest

from maisale.cli import main

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("VECTORS", "exact")
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


def rows(folder):
    db = sqlite3.connect(folder / "data" / "sqlite.db")
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute("SELECT * FROM audit ORDER BY number")]
    db.close()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a person, an indexed document and a job that was given up."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "team").mkdir()
    (folder / "team" / "hours.md").write_text("# Hours\n\nThe yard opens at seven.")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (("DATA_DIR", str(folder / "data")), ("OLLAMA_HOST", "http://127.0.0.1:9"), ("VECTORS", "exact")):
            environment.setenv(name, value)
        assert main(["users", "add", "Linh", "--tenant", "shop"]) == 0
        assert main(["index", "--source", str(folder / "team"), "--collection", "Team"]) == 0
    db = sqlite3.connect(folder / "data" / "sqlite.db")
    db.execute("UPDATE jobs SET state = 'dead'")
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return folder


@pytest.fixture
def shop(made, folder):
    """A copy of it: the ids of the person, the first key, the document and the job, and names of files."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    db = sqlite3.connect(folder / "data" / "sqlite.db")
    user, key = db.execute("SELECT user_id, id FROM keys").fetchone()
    document, job = (db.execute(f"SELECT id FROM {table}").fetchone()[0] for table in ("documents", "jobs"))
    db.close()
    return {"user": user, "key": key, "document": document, "job": job, "file": str(folder / "one.tar"), "team": str(folder / "team")}


@pytest.mark.parametrize(
    "words, actions, subject",
    [
        (["users", "add", "Minh", "--tenant", "shop"], ["user_add", "key_issue"], None),
        (["users", "add", "Minh", "--tenant", "new"], ["tenant_add", "user_add", "key_issue"], None),
        (["keys", "issue", "Linh", "--tenant", "shop"], ["key_issue"], None),
        (["keys", "revoke", "{key}"], ["key_revoke"], "key"),
        (["keys", "list", "Linh", "--tenant", "shop"], ["keys_read"], "user"),
        (["privacy", "--tenant", "shop", "--redact", "off"], ["privacy_choose"], None),
        (["link"], ["link_make"], None),
        (["documents", "list"], ["documents_read"], None),
        (["documents", "show", "{document}"], ["documents_read"], "document"),
        (["jobs", "list"], ["jobs_read"], None),
        (["jobs", "retry", "{job}"], ["job_retry"], "job"),
        (["jobs", "skip", "{job}"], ["job_skip"], "job"),
        (["embedder", "use", "hash-1024"], ["embedder_use"], None),
        (["embedder", "use", "auto"], ["embedder_use"], None),
        (["backup", "{file}"], ["backup"], None),
        (["rebuild-index"], ["index_rebuild"], None),
        (["compact"], ["compact"], None),
        (["erasures"], ["erasures_read"], None),
        (["audit", "show"], ["audit_read"], None),
        (["audit", "verify"], [], None),
        (["doctor"], [], None),
        (["search", "hours"], [], None),
        (["index", "--source", "{team}", "--collection", "Team"], [], None),
    ],
)
def test_a_command_leaves_its_rows(said, folder, shop, words, actions, subject):
    before = len(rows(folder))
    said(*(word.format(**shop) for word in words))
    found = rows(folder)[before:]
    assert [row["action"] for row in found] == actions
    assert {(row["door"], row["address"], row["result"]) for row in found} <= {("cli", ME, "done")}
    if subject:
        assert found[-1]["subject_id"] == shop[subject]


def test_a_folder_leaves_a_row_for_each_new_changed_and_removed_document(said, folder, shop):
    (folder / "team" / "hours.md").write_text("# Hours\n\nThe yard opens at eight, later than before.")
    (folder / "team" / "second.md").write_text("# Second\n\nAnother page.")
    before = len(rows(folder))
    said("index", "--source", shop["team"], "--collection", "Team")
    assert sorted(row["action"] for row in rows(folder)[before:]) == ["document_add", "document_change"]
    (folder / "team" / "second.md").unlink()
    before = len(rows(folder))
    said("index", "--source", shop["team"], "--collection", "Team")
    assert [row["action"] for row in rows(folder)[before:]] == ["document_delete"]


def test_a_restored_log_goes_on_from_its_backup(said, folder, shop, monkeypatch):
    said("backup", shop["file"])
    before = len(rows(folder)) - 1  # the backup does not hold the row that it was made
    monkeypatch.setenv("DATA_DIR", str(folder / "other" / "data"))
    assert said("restore", shop["file"])[0] == 0
    found = rows(folder / "other")
    assert len(found) == before + 1 and (found[-1]["action"], found[-1]["door"], found[-1]["address"]) == ("restore", "cli", ME)
    assert said("audit", "verify")[0] == 0 and said("audit", "verify")[2] == ""


def test_a_backup_restored_over_an_older_witness_is_not_taken_for_tampering(said, folder, shop):
    said("backup", shop["file"])
    said("keys", "list", "Linh", "--tenant", "shop")
    said("audit", "verify")
    (folder / "data").joinpath("sqlite.db").rename(folder / "away.db")
    for end in ("-wal", "-shm"):
        (folder / "data" / f"sqlite.db{end}").unlink(missing_ok=True)
    assert said("restore", shop["file"])[0] == 0
    assert said("audit", "verify")[0] == 0 and list((folder / "data").glob("audit.head.before-*"))


def test_the_log_is_shown_and_filtered(said, shop):
    code, shown, _ = said("audit", "show", "--action", "user_add")
    assert code == 0 and len(shown.splitlines()) == 2 and "(cli)" in shown.splitlines()[0] and shop["user"] in shown
    listed = json.loads(said("audit", "show", "--json", "--limit", "3")[1])
    assert len(listed) == 3 and listed[0]["number"] > listed[2]["number"] and listed[0]["action"] == "audit_read"
    assert said("audit", "show", "--since", "2999-01-01")[1] == ""
    assert said("audit", "show", "--until", "2001-01-01", "--json")[1] == "[]"
    assert json.loads(said("audit", "show", "--json", "--before", "2")[1])[0]["number"] == 1


@pytest.mark.parametrize("words, sentence", [(["--since", "yesterday"], "is no date"), (["--action", "fly"], "There is no action 'fly'")])
def test_a_wrong_filter_is_said(said, words, sentence):
    code, _, problem = said("audit", "show", *words)
    assert code == 1 and sentence in problem


def test_a_changed_row_is_found_by_verify_and_by_doctor(said, folder, shop):
    code, shown, _ = said("audit", "verify")
    assert code == 0 and "rows are as they were written" in shown
    db = sqlite3.connect(folder / "data" / "sqlite.db")
    db.execute("DROP TRIGGER audit_no_change")
    db.execute("UPDATE audit SET user_id = 'somebody' WHERE number = 2")
    db.commit()
    db.close()
    assert said("audit", "verify") == (1, "", "Row 2 was changed. What stands before it is as it was written.")
    assert json.loads(said("audit", "verify", "--json")[1])["problem"] == "Row 2 was changed."
    code, shown, _ = said("doctor")
    assert code == 1 and "WRONG  Audit log     Row 2 was changed." in shown
    assert "The audit log is not as it was written: Row 2 was changed." in said("verify")[2]
