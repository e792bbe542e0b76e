"""Reading the audit log, and noting in it what was refused. What was done is noted where it is done, in the same transaction."""

from __future__ import annotations

import logging
import re

from maisale.access import keys, people
from maisale.contracts import Database
from maisale.errors import BadInput, MaiSaleError, NotAllowed, NotFound, NotSignedIn
from maisale.records import Caller, Scope, Way
from maisale.store import audit
from maisale.store.audit import Entry

log = logging.getLogger(__name__)

REFUSALS = (NotAllowed, NotFound, NotSignedIn)  # of people; what cannot be taken, or not now, is none
MOST = 1_000  # rows in one answer
_OUR_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|" + keys.ADMIN_KEY_ID)


def refused(db: Database, by: Scope, problem: MaiSaleError, action: str, kind: str = "", subject_id: str = "") -> None:
    """Notes a refusal, in a transaction of its own; that something could not be taken as it was sent is none. Never raises: the refusal has to be said.

    subject_id: as it was sent. What has not the form of an id is left out, for anything may stand there.
    """
    if not isinstance(problem, REFUSALS):
        return
    known = subject_id if _OUR_ID.fullmatch(subject_id) else ""
    try:
        db.write(lambda tx: audit.note(tx, by, action, kind, known, result=f"refused: {type(problem).__name__}"))
    except MaiSaleError as failed:
        log.error("a refused %s could not be noted in the audit log: %s", action, failed)


def wrong_key(db: Database, way: Way, text: str) -> None:
    """Notes that somebody came with a key that is not valid. The text is not kept, only the id that a key of our form bears."""
    refused(db, Scope("", "", way), NotSignedIn(), "sign_in", "key", keys.id_of(text))


def wrong_link(db: Database, way: Way) -> None:
    refused(db, Scope("", "", way), NotFound(), "sign_in", "link")


def read(db: Database, caller: Caller, action: str, kind: str = "", subject_id: str = "") -> None:
    """Notes that an admin read what is others'. Called before it is answered."""
    db.write(lambda tx: audit.note(tx, caller.scope, action, kind, subject_id))


def entries(
    db: Database,
    caller: Caller,
    *,
    limit: int = 100,
    before: int | None = None,
    action: str | None = None,
    user_id: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Entry]:
    """The rows of the tenants that the caller manages, the latest first; the reading itself is noted. Raises NotAllowed or BadInput."""
    tenant_id = people.managed_tenant(caller)
    if action and action not in audit.ACTIONS:
        raise BadInput(f"There is no action {action[:40]!r} in the log; there are {', '.join(audit.ACTIONS)}.")
    found = audit.entries(db, tenant_id, limit=min(limit, MOST), before=before, action=action, user_id=user_id, since=since, until=until)
    read(db, caller, "audit_read")
    return found
