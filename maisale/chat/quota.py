"""Tokens a person and day (TOKENS_PER_DAY): what a model read and wrote for their answers, by estimate. Quotations without a model cost nothing.

A question that was accepted is answered to its end, also when that passes the limit; the next one is refused before anything of it is stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from maisale.contracts import Database
from maisale.errors import QuotaSpent
from maisale.records import Scope
from maisale.store import quota
from maisale.text import estimate_tokens


def check(db: Database, scope: Scope, per_day: int, now: float | None = None) -> None:
    """Raises QuotaSpent when this person's tokens of today are spent. per_day 0: there is no limit."""
    if not per_day:
        return
    now = now or time.time()
    if quota.spent_today(db, scope, now) >= per_day:
        wait_s = quota.renews_at(now) - now
        hours, minutes = divmod(math.ceil(wait_s / 60), 60)
        renewed = f"{hours} h {minutes} min" if hours else f"{minutes} min"
        words = f"Your {per_day:,} tokens of today are spent. They renew at 00:00 UTC, in {renewed}. Searching goes on meanwhile."
        raise QuotaSpent(words, wait_s, per_day)


def read_by_model(prompt: Sequence[Any]) -> int:
    """Tokens of a prompt's messages."""
    return sum(estimate_tokens(str(message.content)) for message in prompt)
