"""What a tenant chose about personal data, and the instance's secret that knows a number again which the indexes do not hold."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

from maisale.contracts import Database, LexicalIndex, Transaction
from maisale.identifiers import find
from maisale.redaction import NOWHERE, Known, as_indexed, hash_word
from maisale.store import jobs
from maisale.store.facts import REDACTION_KEY, get_fact, set_fact


def key(source: Database | Transaction) -> bytes:
    """For redaction.hash_word. It is kept with the data, so that a backup carries it: with another one no number would find its passages."""
    return bytes.fromhex(get_fact(source, REDACTION_KEY) or "")


def make_key(db: Database) -> None:
    """Once an instance, when a process first opens its database."""
    if not get_fact(db, REDACTION_KEY):
        db.write(lambda tx: get_fact(tx, REDACTION_KEY) or set_fact(tx, REDACTION_KEY, secrets.token_hex(32)))


def key_to_redact(source: Database | Transaction, tenant_id: str) -> bytes | None:
    """The key when personal data stays out of this tenant's vectors and indexes, else None. What is public is always redacted."""
    return key(source) if redacts(source, tenant_id) else None


def redacts(source: Database | Transaction, tenant_id: str) -> bool:
    return _chosen(source, tenant_id, "redact")


def model_sees_originals(source: Database | Transaction, tenant_id: str) -> bool:
    return _chosen(source, tenant_id, "model_sees_originals")


def in_short(redact: bool, model_sees_originals: bool) -> str:
    """A choice as the audit log keeps it."""
    return f"redact={'on' if redact else 'off'} model_sees_originals={'on' if model_sees_originals else 'off'}"


def known_to(words: LexicalIndex, tenants: Sequence[str]) -> Known:
    """Which hash words the word indexes of these tenants hold."""

    def known(hash_words: Collection[str]) -> Collection[str]:
        held: set[str] = set()
        for kind in ("documents", "messages"):
            idf = words.idf(kind, tenants, [*hash_words, NOWHERE])
            held |= {word for word in hash_words if idf[word] < idf[NOWHERE]}
        return held

    return known


def as_searched(db: Database, words: LexicalIndex, tenants: Sequence[str], texts: Sequence[str], said: Sequence[str] = ()) -> list[str]:
    """Questions in which a number that the word indexes of these tenants know by its hash word stands as that word.

    said: what is searched beside the indexes; the numbers in it are known too.
    """
    secret, indexed = key(db), known_to(words, tenants)
    here = {hash_word(one.normal, secret) for text in said for one in find(text)}
    return as_indexed(texts, secret, lambda wanted: {*indexed(wanted), *here})


def choose(tx: Transaction, tenant_id: str, *, redact: bool, model_sees_originals: bool) -> str | None:
    """Sets both. Returns the id of the job that makes the tenant's indexes anew, when that is needed."""
    changed = redact != redacts(tx, tenant_id)
    sql = "UPDATE tenants SET redact = :redact, model_sees_originals = :sees WHERE id = :id"
    tx.execute(sql, redact=int(redact), sees=int(model_sees_originals), id=tenant_id)
    return jobs.add(tx, tenant_id, "redact_tenant", tenant_id, "bulk") if changed else None


def _chosen(source: Database | Transaction, tenant_id: str, setting: str) -> bool:
    found = source.rows(f"SELECT {setting} AS chosen FROM tenants WHERE id = :id", id=tenant_id)
    return bool(found[0]["chosen"]) if found else True
