"""A folder and its mirror: after each sync the collection holds what the folder holds, and nothing else changed."""

import os

import pytest

from maisale.access import people
from maisale.errors import BadInput, NotAllowed
from maisale.library.documents import add_document
from maisale.library.folders import index_knowledge, sync_folder
from maisale.store import documents


@pytest.fixture
def linh(services):
    return people.add_user(services.db, "shop", "linh")[0].scope


@pytest.fixture
def admin(services, settings):
    return people.make_first_admin(services.db, settings).scope


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "team"
    (made / "policies").mkdir(parents=True)
    (made / "policies" / "returns.md").write_text("Refunds take five days.")
    (made / "prices.csv").write_text("Item,Price\nLamp,49\n")
    return made


def counts(report):
    return report.new, report.changed, report.unchanged, report.removed, report.failed


def sources(services, scope):
    return sorted(document.source for document in documents.list_documents(services.db, scope))


def test_a_second_sync_changes_nothing(services, linh, folder):
    assert counts(sync_folder(services, linh, folder, "Shop")) == (2, 0, 0, 0, 0)
    assert counts(sync_folder(services, linh, folder, "Shop")) == (0, 0, 2, 0, 0)
    assert sources(services, linh) == ["team/policies/returns.md", "team/prices.csv"]
    assert len(services.db.rows("SELECT id FROM jobs")) == 2


def test_again_reads_what_did_not_change_and_keeps_the_documents(services, linh, folder):
    sync_folder(services, linh, folder, "Shop")
    before = {document.id for document in documents.list_documents(services.db, linh)}
    report = sync_folder(services, linh, folder, "Shop", again=True)
    assert counts(report) == (0, 2, 0, 0, 0) and set(report.taken) == before
    assert {document.id for document in documents.list_documents(services.db, linh)} == before
    due = services.db.rows("SELECT subject_id FROM jobs WHERE state = 'pending' AND kind = 'read_document'")
    assert sorted(row["subject_id"] for row in due) == sorted(before)


def test_a_changed_file_keeps_its_document(services, linh, folder):
    sync_folder(services, linh, folder, "Shop")
    before = {document.source: document.id for document in documents.list_documents(services.db, linh)}
    (folder / "prices.csv").write_text("Item,Price\nLamp,59\n")
    os.utime(folder / "prices.csv", (1, 1))
    assert counts(sync_folder(services, linh, folder, "Shop")) == (0, 1, 1, 0, 0)
    assert {document.source: document.id for document in documents.list_documents(services.db, linh)} == before
    assert (services.settings.files_dir / before["team/prices.csv"]).read_text().endswith("59\n")


def test_a_touched_file_is_unchanged(services, linh, folder):
    sync_folder(services, linh, folder, "Shop")
    os.utime(folder / "prices.csv", (1, 1))
    assert counts(sync_folder(services, linh, folder, "Shop")) == (0, 0, 2, 0, 0)
    assert {document.modified_at for document in documents.list_documents(services.db, linh) if document.title == "prices.csv"} == {1.0}


def test_what_left_the_folder_leaves_and_what_was_uploaded_stays(services, linh, folder):
    sync_folder(services, linh, folder, "Shop")
    add_document(services, linh, folder / "prices.csv", "prices.csv", collection="Shop")
    (folder / "prices.csv").unlink()
    assert counts(sync_folder(services, linh, folder, "Shop")) == (0, 0, 1, 1, 0)
    assert sources(services, linh) == ["prices.csv", "team/policies/returns.md"]
    assert len(list(services.settings.files_dir.iterdir())) == 2


def test_hidden_files_other_kinds_and_links_out_of_the_folder_are_passed_over(services, linh, folder, tmp_path):
    (tmp_path / "secret.md").write_text("Outside.")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / ".hidden.md").write_text("Hidden.")
    (folder / "~$prices.xlsx").write_text("Office was here.")
    (folder / "film.mp4").write_bytes(b"film")
    report = sync_folder(services, linh, folder, "Shop")
    assert (report.new, report.skipped) == (2, 4)


def test_a_folder_that_links_to_itself_ends(services, linh, folder):
    (folder / "loop").symlink_to(folder)
    assert sync_folder(services, linh, folder, "Shop").new == 2


def test_one_bad_file_does_not_stop_the_others(services, linh, folder):
    (folder / "empty.md").touch()
    report = sync_folder(services, linh, folder, "Shop")
    assert (report.new, report.failed) == (2, 1)
    assert report.problems == ["team/empty.md is empty. Save it with its contents and add it again."]


def test_what_failed_before_is_said_again_and_not_read_again(services, linh, folder):
    sync_folder(services, linh, folder, "Shop")
    document = documents.list_documents(services.db, linh)[0]
    services.db.write(lambda tx: documents.set_stage(tx, document.id, "failed", cause="It is damaged."))
    report = sync_folder(services, linh, folder, "Shop")
    assert (report.unchanged, report.failed, report.problems) == (1, 1, ["It is damaged."])


def test_a_private_mirror_never_lands_where_others_read(services, linh, folder):
    sync_folder(services, linh, folder, "Shop")
    with pytest.raises(BadInput, match="its visibility is tenant"):
        sync_folder(services, linh, folder, "Shop", "private")


def test_only_the_instances_admin_fills_a_public_collection(services, linh, admin, folder):
    with pytest.raises(NotAllowed, match="every tenant"):
        sync_folder(services, linh, folder, "Shop", "public")
    sync_folder(services, admin, folder, "Shop", "public")
    assert len(documents.list_documents(services.db, linh)) == 2


def test_a_missing_folder_is_said(services, linh, tmp_path):
    with pytest.raises(BadInput, match="is not a folder"):
        sync_folder(services, linh, tmp_path / "nowhere", "Shop")


def test_progress_names_every_file(services, linh, folder):
    seen = []
    sync_folder(services, linh, folder, "Shop", progress=lambda *step: seen.append(step))
    assert seen == [(1, 2, "team/prices.csv"), (2, 2, "team/policies/returns.md")]


def test_the_first_start_keeps_help_apart_from_knowledge(services, admin, linh):
    knowledge = services.settings.knowledge_dir
    (knowledge / "docs").mkdir(parents=True)
    (knowledge / "docs" / "overview.md").write_text("# Mai-Sale")
    index_knowledge(services)
    assert [one.name for one in documents.list_collections(services.db, admin)] == [documents.HELP]
    (knowledge / "returns.md").write_text("Refunds take five days.")
    index_knowledge(services)
    assert sources(services, admin) == ["docs/overview.md", "knowledge/returns.md"]
    assert sources(services, linh) == ["docs/overview.md"]


def test_an_emptied_knowledge_folder_empties_its_collection(services, admin):
    knowledge = services.settings.knowledge_dir
    knowledge.mkdir()
    (knowledge / "returns.md").write_text("Refunds take five days.")
    index_knowledge(services)
    (knowledge / "returns.md").unlink()
    index_knowledge(services)
    assert sources(services, admin) == []


def test_a_watched_folder_that_is_suddenly_empty_empties_nothing(services, admin):
    knowledge = services.settings.knowledge_dir
    knowledge.mkdir()
    (knowledge / "returns.md").write_text("Refunds take five days.")
    index_knowledge(services)
    (knowledge / "returns.md").unlink()
    index_knowledge(services, again=True)
    assert sources(services, admin) == ["knowledge/returns.md"]
