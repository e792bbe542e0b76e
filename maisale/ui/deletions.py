"""The receipts of deletions on the account page: what went, whether the files still hold it, and which backups do. Pure: records in, HTML out."""

from __future__ import annotations

from collections.abc import Sequence

from maisale.ops.receipts import Receipt
from maisale.ui.markup import Clock, dot
from maisale.ui.texts import say

LISTED = 20


def deletions(receipts: Sequence[Receipt], hours: int, clock: Clock) -> str:
    """Nothing while nothing was deleted."""
    if not receipts:
        return ""
    language = clock.language
    rows = "".join(_row(one, clock) for one in receipts)
    return (
        f'<h2>{say(language, "deletions")}</h2><p class="hint">{say(language, "deletions_note", hours=hours)}</p>'
        f'<ul class="keys deletions" aria-label="{say(language, "deletions")}">{rows}</ul>'
    )


def _row(receipt: Receipt, clock: Clock) -> str:
    one, language = receipt.erasure, clock.language
    counts = [say(language, f"deletion_{name}", n=one.counts[name]) for name in ("passages", "answers") if one.counts.get(name)]
    facts = " · ".join([say(language, "deleted_at", when=clock.moment(one.asked_at)), *counts])
    if one.erased_at:
        state = f'<small class="line ok">{dot("ok")}{say(language, "deletion_erased", when=clock.moment(one.erased_at))}</small>'
    else:
        state = f'<small class="line muted">{dot("hollow")}{say(language, "deletion_pending", when=clock.moment(receipt.due_at))}</small>'
    what = f'<b>{say(language, f"deleted_{one.kind}")}</b><small>{facts}</small>'
    return f'<li><div class="line"><span class="name">{what}{state}{_held(receipt, clock)}</span></div></li>'


def _held(receipt: Receipt, clock: Clock) -> str:
    """The backups that still hold it, and until when."""
    language, backups = clock.language, receipt.backups
    if not backups:
        return ""
    parts = [say(language, "deletion_held", n=len(backups))]
    if ends := [one.expires_at for one in backups if one.expires_at]:
        parts.append(say(language, "deletion_expires", when=clock.moment(max(ends))))
    if kept := sum(one.expires_at is None for one in backups):
        parts.append(say(language, "deletion_kept", n=kept))
    return f'<small>{" · ".join(parts)}</small>'
