"""How many tokens the model spent for a person on a day: one row a person and day (UTC). The days before yesterday go with the next one."""

from __future__ import annotations

import time

from maisale.contracts import Database, Transaction
from maisale.records import Scope

DAY_S = 86_400


def spent_today(source: Database | Transaction, scope: Scope, now: float) -> int:
    sql = "SELECT tokens FROM token_use WHERE tenant_id = :tenant AND user_id = :user AND day = :day"
    found = source.rows(sql, tenant=scope.tenant_id, user=scope.user_id, day=_day(now))
    return found[0]["tokens"] if found else 0


def spend(tx: Transaction, scope: Scope, tokens: int, now: float) -> None:
    who = {"tenant": scope.tenant_id, "user": scope.user_id}
    tx.execute("DELETE FROM token_use WHERE tenant_id = :tenant AND user_id = :user AND day < :before", **who, before=_day(now - DAY_S))
    tx.execute(
        """INSERT INTO token_use (tenant_id, user_id, day, tokens) VALUES (:tenant, :user, :day, :tokens)
           ON CONFLICT (tenant_id, user_id, day) DO UPDATE SET tokens = token_use.tokens + excluded.tokens""",
        **who,
        day=_day(now),
        tokens=tokens,
    )


def renews_at(now: float) -> float:
    """The next midnight in UTC."""
    return (now // DAY_S + 1) * DAY_S


def _day(now: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(now))
