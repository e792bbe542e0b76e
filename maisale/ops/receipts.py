"""Receipts of deletions as people see them: everybody the own ones, an admin those of the tenant, each with the backups that still hold what went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maisale.errors import NotFound
from maisale.library.dead_letters import EVERY_TENANT
from maisale.ops import held
from maisale.records import Erasure, Scope
from maisale.services import Services
from maisale.store import erasures

LISTED = 200


@dataclass(frozen=True)
class Receipt:
    erasure: Erasure
    due_at: float  # when it is erased at the latest
    backups: Sequence[held.Held]


def visible(services: Services, scope: Scope, managed: str = "", limit: int = LISTED) -> list[Receipt]:
    """The latest first. managed: the tenant whose admin the person is, or EVERY_TENANT."""
    if managed:
        found = erasures.listed(services.db, None if managed == EVERY_TENANT else managed, limit=limit)
    else:
        found = erasures.listed(services.db, scope.tenant_id, scope.user_id, limit)
    known = held.known(services.db, services.settings) if found else []
    return [_receipt(services, one, known) for one in found]


def get(services: Services, scope: Scope, managed: str, erasure_id: str) -> Receipt:
    """Raises NotFound; another's receipt looks like a missing one."""
    one = erasures.get(services.db, erasure_id)
    own = (one.tenant_id, one.user_id) == (scope.tenant_id, scope.user_id)
    if not own and managed not in (EVERY_TENANT, one.tenant_id):
        raise NotFound("There is no such receipt.")
    return _receipt(services, one, held.known(services.db, services.settings))


def _receipt(services: Services, one: Erasure, known: Sequence[held.Backup]) -> Receipt:
    return Receipt(one, one.asked_at + services.settings.erase_hours * 3600, held.holding(one, known))
