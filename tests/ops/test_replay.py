"""A backup that comes back does not bring back what was deleted after it."""

import asyncio
import json
from dataclasses import replace

import pytest
from desk import QUESTION, WARRANTY, Desk

from maisale.chat import erasure
from maisale.chat.ask import title_of
from maisale.chat.replies import Replies
from maisale.cli import main
from maisale.library import deletion_list
from maisale.library.deletion import delete_conversation, delete_turn, remove_document
from maisale.ops import backup
from maisale.services import open_services
from maisale.store import accounts, audit, erasures

STAYS = "# Filters\n\nThe Brackenwald filter lasts six months."


@pytest.fixture
def desk(services, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", services.settings.ollama_urls[0])
    made = Desk(services, tmp_path)
    services.db.write(lambda tx: accounts.add_user(tx, "default", "admin", "instance_admin"))
    return made


@pytest.fixture
def restored(desk, tmp_path, monkeypatch, capsys):
    """Restores by the command line into another folder; gives what it printed and the services there."""
    opened = []

    def run(*words, folder="restored", after=lambda path: None):
        monkeypatch.setenv("DATA_DIR", str(tmp_path / folder))
        after(tmp_path / folder)
        assert main(["restore", str(tmp_path / "b.tar"), *words]) == 0, capsys.readouterr().err
        opened.append(open_services(replace(desk.services.settings, data_dir=tmp_path / folder), "cli"))
        return capsys.readouterr().out, opened[-1]

    yield run
    for one in opened:
        one.close()


def in_one_day(desk):
    """One of each kind is there when the backup is taken, and deleted afterwards; gives what stays and the receipts."""
    services, scope = desk.services, desk.user.scope
    document, stays = desk.add("warranty.md", WARRANTY), desk.add("filters.md", STAYS)
    talk, turn = desk.ask("Who made the purifier?"), desk.ask(QUESTION)
    desk.ask("How long does the Brackenwald filter last?", conversation_id=turn.conversation_id)
    person = services.db.write(lambda tx: accounts.add_user(tx, "shop", "Minh"))
    stranger = services.db.write(lambda tx: accounts.add_user(tx, "elsewhere", "Hoa"))
    backup.back_up(services.db, services.settings, desk.folder / "b.tar")

    async def people():
        replies = Replies(services)
        made = [await erasure.delete_user(replies, person, desk.caller)]
        made.append(await erasure.delete_tenant(replies, accounts.get_tenant(services.db, stranger.tenant_id), desk.caller))
        await replies.close()
        return made

    receipts = [
        remove_document(services, scope, document),
        delete_conversation(services, scope, talk.conversation_id),
        delete_turn(services, scope, turn.message_id, title_of),
        *asyncio.run(people()),
    ]
    return stays, receipts


def counted(services):
    tables = ("documents", "conversations", "messages", "users", "tenants")
    return {table: services.db.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in tables}


def test_deletions_of_every_kind_are_done_again_before_anybody_opens_it(desk, restored):
    stays, receipts = in_one_day(desk)
    said, there = restored("--deletions", str(deletion_list.place(desk.services.settings)))
    assert "5 of the 5 deletions" in said
    assert counted(there) == counted(desk.services)
    assert [path.name for path in there.settings.files_dir.iterdir()] == [stays]
    kept = [erasures.get(there.db, one) for one in receipts]
    assert {one.state for one in kept} == {"pending"} and all(one.counts for one in kept)
    assert there.db.problems() == []


def test_the_audit_log_tells_of_the_restoring_and_of_each_deletion_done_again(desk, restored):
    _, receipts = in_one_day(desk)
    _, there = restored("--deletions", str(deletion_list.place(desk.services.settings)))
    rows = audit.entries(there.db)
    told = rows[: next(number for number, one in enumerate(rows) if one.action == "restore") + 1]
    deleted = {one.subject_id: one for one in told if one.action.endswith("_delete")}
    assert {erasures.get(there.db, one).subject_id for one in receipts} <= set(deleted)
    assert {(one.user_id, one.door) for one in deleted.values()} == {(desk.user.id, "cli")}
    assert audit.first_break(there.db)[1] == ""


def test_without_a_list_it_says_that_what_was_deleted_is_back_and_how_to_delete_it_again(desk, restored):
    in_one_day(desk)
    said, there = restored()
    assert "What was deleted since then is back" in said and "--deletions FILE" in said
    assert counted(there)["tenants"] == counted(desk.services)["tenants"] + 1


def test_a_folder_whose_database_was_lost_brings_its_own_list(desk, restored):
    in_one_day(desk)
    listed = deletion_list.place(desk.services.settings).read_text()

    def lose(folder):
        folder.mkdir()
        (folder / deletion_list.NAME).write_text(listed)

    said, there = restored(after=lose)
    assert "5 of the 5 deletions" in said and counted(there) == counted(desk.services)


def test_the_list_goes_on_with_the_restored_folder(desk, restored):
    _, receipts = in_one_day(desk)
    _, there = restored("--deletions", str(deletion_list.place(desk.services.settings)))
    assert {one.id for one in deletion_list.read(deletion_list.place(there.settings))} == set(receipts)


def test_a_backup_of_after_the_deletion_has_nothing_to_do(desk, restored):
    remove_document(desk.services, desk.user.scope, desk.add("warranty.md", WARRANTY))
    backup.back_up(desk.services.db, desk.services.settings, desk.folder / "b.tar")
    said, _ = restored("--deletions", str(deletion_list.place(desk.services.settings)))
    assert "0 of the 1 deletions" in said


def test_the_list_names_ids_and_kinds_only(desk):
    remove_document(desk.services, desk.user.scope, desk.add("warranty.md", WARRANTY))
    (line,) = deletion_list.place(desk.services.settings).read_text().splitlines()
    assert set(json.loads(line)) == {"id", "kind", "subject_id", "tenant_id", "user_id", "since", "asked_at"} and "warranty" not in line


def test_something_else_in_the_place_of_the_list_restores_nothing(desk, tmp_path, monkeypatch, capsys):
    backup.back_up(desk.services.db, desk.services.settings, desk.folder / "b.tar")
    (tmp_path / "other.txt").write_text("no list\n")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "restored"))
    assert main(["restore", str(tmp_path / "b.tar"), "--deletions", str(tmp_path / "other.txt")]) == 1
    assert "no list of deletions" in capsys.readouterr().err and not (tmp_path / "restored" / "sqlite.db").exists()
