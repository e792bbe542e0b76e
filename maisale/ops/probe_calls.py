"""How one call of the probe is written down, and what is expected of each caller. The calls themselves stand in probe_table.py and probe_clients.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maisale.ops.probe_wire import Caller

OPEN, ANYONE, ADMIN, CLOSED = "open", "anyone", "admin", "closed"  # besides the permissions read, chat and write
PERMISSIONS = ("read", "chat", "write")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
# Where sessions that have ended and forged keys knock: every route stands behind the same gate, as the other callers show.
SAMPLED = ("GET /", "GET /v1/me", "GET /v1/conversations", "POST /v1/conversations", "GET /files/{document_id}", "POST /gradio_api/queue/join")
REFUSED = 401  # of a caller that is nobody; for a browser's GET the sign-in page
WHATEVER = 0  # any status below 500: only marks are judged
MAKES = {"admin": None}  # the instance's admin would keep what it makes

HOST_FILE = "/etc/passwd"
OF_HOST = "root:x:0:0"  # what no answer holds
STREAMS = ("heartbeat", "queue/data", "/events", "upload_progress")  # read for a moment only


@dataclass(frozen=True)
class Call:
    """One way to call a route. {names} in path, sent and headers are the owner's values.

    needs: OPEN, ANYONE (signed in), a permission, ADMIN (people and tenants), CLOSED (the route does not exist for anybody).
    others: the status for people whose the things are not. by: the same for single callers; None: not called.
    shows: marks that the owner, or another named caller, has to be shown: else the call proves nothing.
    """

    method: str
    path: str
    needs: str
    others: int = 200
    sent: Mapping[str, Any] = field(default_factory=dict)  # json, params, data or files
    by: Mapping[str, int | None] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)  # name of a parameter -> name of another value
    headers: Mapping[str, str] = field(default_factory=dict)
    shows: str | Mapping[str, str] = ""  # names of marks, with blanks between; by caller, when it is not the owner

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def shown_to(self) -> dict[str, tuple[str, ...]]:
        by_caller = {"owner": self.shows} if isinstance(self.shows, str) else self.shows
        return {name: tuple(marks.split()) for name, marks in by_caller.items() if marks}


def expected(call: Call, caller: Caller) -> int | None:
    """The status that this caller has to get; None: is not called."""
    if caller.name in call.by:
        return call.by[caller.name]
    if caller.kind == "ended":
        return REFUSED if call.route in SAMPLED else None
    if caller.kind == "dead":
        return call.others if call.needs == OPEN else REFUSED
    if caller.name == "another site in an old browser" and call.route not in SAMPLED:
        return None
    if caller.kind == "site":
        return (call.others if call.needs == OPEN else 403) if call.method in UNSAFE else None
    if caller.kind == "page" or caller.kind == "owner":
        return None  # asked for by name only
    if call.needs in (OPEN, CLOSED):
        return 404 if call.needs == CLOSED and caller.kind != "narrow" else None
    if caller.kind == "narrow":
        wanted = call.needs in PERMISSIONS or call.needs == ADMIN
        return 403 if wanted and call.needs not in caller.permissions else None
    if call.needs == ADMIN and caller.kind == "member":
        return 403
    if caller.name == "manager" and "colleague" in call.by:
        return call.by["colleague"]
    if caller.name == "demoted":  # a colleague, except where it has been an admin
        return None
    return call.others


def json_of(**sent: Any) -> dict[str, Any]:
    """What a call sends as its JSON body."""
    return {"json": sent}
