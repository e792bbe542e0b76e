"""Deletions done again on a backup that was taken before them, while it is restored and before anybody opens it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from maisale.access.people import FIRST_ADMIN, FIRST_TENANT
from maisale.chat import erasure
from maisale.chat.ask import title_of
from maisale.chat.replies import Replies
from maisale.config import Settings
from maisale.contracts import Database
from maisale.errors import NotFound
from maisale.library import deletion, deletion_list
from maisale.records import SERVER, Caller, Erasure, Scope, User
from maisale.services import Services, open_services
from maisale.store import accounts, erasures


def listed(settings: Settings, given: Path | None) -> list[Erasure] | None:
    """The deletions to do again: of `given`, else of the list that lies in the data folder. None: there is no list. Raises BadInput."""
    place = given or deletion_list.place(settings)
    return deletion_list.read(place) if given or place.exists() else None


def replay(folder: Path, settings: Settings, deletions: Sequence[Erasure], by: Scope = SERVER) -> int:
    """Does them on the data in `folder` that still holds what they are about; returns how many. Their receipts are pending afterwards.

    by: who restores. The audit log notes each as an act of who asked for it first, through that person's way.
    """
    if not deletions:
        return 0
    services = open_services(replace(settings, data_dir=folder, database_url="", chroma_path="", files_folder=""), "cli")
    try:
        done = sum(_again(services, one, by) for one in deletions)
        if done:
            services.db.compact()
    finally:
        services.close()
    return done


def _again(services: Services, one: Erasure, by: Scope) -> bool:
    """Whether there was anything to delete."""
    if not services.db.rows(f"SELECT 1 FROM {erasures.TABLES[one.kind]} WHERE id = :id", id=one.subject_id):
        return False
    services.db.write(lambda tx: erasures.insert(tx, one))  # under its first receipt
    asked = Scope(one.tenant_id, one.user_id, by.way)
    match one.kind:
        case "document":
            naming = deletion.answers_naming(services, one.subject_id)
            _, job_ids = services.db.write(lambda tx: deletion.erase_noted(services, tx, asked, one.subject_id, naming))
            deletion.end(services, job_ids, [one.subject_id])
        case "conversation":
            deletion.delete_conversation(services, _owner(services.db, "conversations", one.subject_id), one.subject_id, asked)
        case "message":
            deletion.delete_turn(services, _owner(services.db, "messages", one.subject_id), one.subject_id, title_of, asked)
        case _:
            asyncio.run(_delete_people(services, one, by))
    return True


async def _delete_people(services: Services, one: Erasure, by: Scope) -> None:
    replies, caller = Replies(services), Caller(_heir(services.db, one.user_id), "", (), way=by.way)
    try:
        if one.kind == "user":
            await erasure.delete_user(replies, accounts.get_user(services.db, one.subject_id), caller)
        else:
            await erasure.delete_tenant(replies, accounts.get_tenant(services.db, one.subject_id), caller)
    finally:
        await replies.close()


def _owner(db: Database, table: str, row_id: str) -> Scope:
    return Scope(**db.rows(f"SELECT tenant_id, user_id FROM {table} WHERE id = :id", id=row_id)[0])


def _heir(db: Database, user_id: str) -> User:
    """Who asked for the deletion gets what the team reads; the first admin, when that person is not there."""
    try:
        return accounts.get_user(db, user_id)
    except NotFound:
        return accounts.find_user(db, FIRST_TENANT, FIRST_ADMIN)
