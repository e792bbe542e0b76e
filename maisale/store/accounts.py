"""Tenants, people, keys, sessions and sign-in links, as rows. Secrets come here as hashes only; what they open is decided in access/keys."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, NotFound
from maisale.records import Key, Tenant, User

_USER = "u.id, u.tenant_id, t.name AS tenant, u.name, u.role, u.language"
_USERS = "users AS u JOIN tenants AS t ON t.id = u.tenant_id"
_KEY = "id, user_id, name, permissions, created_at, expires_at, revoked_at, last_used_at, fresh"


def tenant_named(tx: Transaction, name: str) -> str:
    """The id of the tenant of this name; made when it is missing."""
    found = tx.rows("SELECT id FROM tenants WHERE name = :name", name=name)
    if found:
        return found[0]["id"]
    made = str(uuid.uuid4())
    tx.insert("tenants", id=made, name=name, created_at=time.time())
    return made


def find_tenant(source: Database | Transaction, name: str) -> str:
    """The id of the tenant of this name. Raises NotFound."""
    found = source.rows("SELECT id FROM tenants WHERE name = :name", name=name)
    if not found:
        raise NotFound(f"There is no tenant named {name!r}.")
    return found[0]["id"]


def get_tenant(source: Database | Transaction, tenant_id: str) -> Tenant:
    found = [tenant for tenant in list_tenants(source) if tenant.id == tenant_id]
    if not found:
        raise NotFound("There is no such tenant.")
    return found[0]


def list_tenants(source: Database | Transaction) -> list[Tenant]:
    """By name."""
    sql = """SELECT t.id, t.name, t.created_at, t.redact, t.model_sees_originals,
             (SELECT count(*) FROM users AS u WHERE u.tenant_id = t.id) AS users FROM tenants AS t ORDER BY t.name"""
    return [Tenant(**{**row, "redact": bool(row["redact"]), "model_sees_originals": bool(row["model_sees_originals"])}) for row in source.rows(sql)]


def delete_tenant(tx: Transaction, tenant_id: str) -> None:
    """Removes the row of a tenant that has no people any more."""
    tx.execute("DELETE FROM tenants WHERE id = :id", id=tenant_id)


def add_user(tx: Transaction, tenant: str, name: str, role: str = "member") -> User:
    """Raises BadInput when the tenant has a person of this name already."""
    made = User(str(uuid.uuid4()), tenant_named(tx, tenant), tenant, name, role)
    if tx.rows("SELECT id FROM users WHERE tenant_id = :tenant AND name = :name", tenant=made.tenant_id, name=name):
        raise BadInput(f"The tenant {tenant!r} has a user named {name!r} already.")
    tx.insert("users", id=made.id, tenant_id=made.tenant_id, name=name, role=role, language=made.language, created_at=time.time())
    return made


def find_user(source: Database | Transaction, tenant: str, name: str) -> User:
    rows = source.rows(f"SELECT {_USER} FROM {_USERS} WHERE t.name = :tenant AND u.name = :name", tenant=tenant, name=name)
    if not rows:
        raise NotFound(f"There is no user named {name!r} in the tenant {tenant!r}. `users add` makes one.")
    return User(**rows[0])


def get_user(source: Database | Transaction, user_id: str) -> User:
    rows = source.rows(f"SELECT {_USER} FROM {_USERS} WHERE u.id = :id", id=user_id)
    if not rows:
        raise NotFound("There is no such user.")
    return User(**rows[0])


def list_users(source: Database | Transaction, tenant_id: str | None = None) -> list[User]:
    """The people of one tenant, or of all, by tenant and name."""
    where = "WHERE u.tenant_id = :tenant" if tenant_id else ""
    rows = source.rows(f"SELECT {_USER} FROM {_USERS} {where} ORDER BY t.name, u.name", **({"tenant": tenant_id} if tenant_id else {}))
    return [_user(row) for row in rows]


def set_role(tx: Transaction, user_id: str, role: str) -> None:
    tx.execute("UPDATE users SET role = :role WHERE id = :id", role=role, id=user_id)


def came_at(source: Database | Transaction, user_id: str) -> float:
    """When a person was added."""
    rows = source.rows("SELECT created_at FROM users WHERE id = :id", id=user_id)
    return rows[0]["created_at"] if rows else 0.0


def delete_user(tx: Transaction, user_id: str) -> int:
    """Removes the person with keys, sessions, links and what was counted of them; returns how many keys went.

    What they wrote and added is the caller's to remove before.
    """
    for table in ("sessions", "links", "token_use"):
        tx.execute(f"DELETE FROM {table} WHERE user_id = :id", id=user_id)
    keys = tx.execute("DELETE FROM keys WHERE user_id = :id", id=user_id)
    tx.execute("DELETE FROM users WHERE id = :id", id=user_id)
    return keys


def set_language(tx: Transaction, user_id: str, language: str) -> None:
    tx.execute("UPDATE users SET language = :language WHERE id = :id", language=language, id=user_id)


def insert_key(tx: Transaction, user: User, key: Key, secret_hash: str) -> None:
    tx.insert(
        "keys",
        id=key.id,
        tenant_id=user.tenant_id,
        user_id=user.id,
        name=key.name,
        secret_hash=secret_hash,
        permissions=" ".join(key.permissions),
        created_at=key.created_at,
        expires_at=key.expires_at,
        fresh=int(key.fresh),
    )


def valid_key(source: Database | Transaction, key_id: str, now: float) -> tuple[User, Key, str] | None:
    """The key's person, the key and the hash of its secret; None when it is unknown, revoked or expired."""
    sql = f"""SELECT {_USER}, k.user_id, k.name AS key_name, k.secret_hash, k.permissions, k.created_at, k.expires_at, k.last_used_at, k.fresh
              FROM keys AS k JOIN users AS u ON u.id = k.user_id JOIN tenants AS t ON t.id = u.tenant_id
              WHERE k.id = :id AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > :now)"""
    rows = source.rows(sql, id=key_id, now=now)
    if not rows:
        return None
    row = rows[0]
    dates = row["created_at"], row["expires_at"], None, row["last_used_at"]
    return _user(row), Key(key_id, row["id"], row["key_name"], tuple(row["permissions"].split()), *dates, bool(row["fresh"])), row["secret_hash"]


def list_keys(db: Database, user_id: str) -> list[Key]:
    """All keys of a person, revoked ones too, the newest first."""
    return [_key(row) for row in db.rows(f"SELECT {_KEY} FROM keys WHERE user_id = :id ORDER BY created_at DESC, id", id=user_id)]


def get_key(source: Database | Transaction, key_id: str) -> Key:
    """The key, also when it has ended. Raises NotFound."""
    rows = source.rows(f"SELECT {_KEY} FROM keys WHERE id = :id", id=key_id)
    if not rows:
        raise NotFound("There is no such key.")
    return _key(rows[0])


def hash_of_key(source: Database | Transaction, key_id: str) -> str:
    """Of the secret of a key, also of one that has ended; empty when there is none."""
    rows = source.rows("SELECT secret_hash FROM keys WHERE id = :id", id=key_id)
    return rows[0]["secret_hash"] if rows else ""


def end_key_at(tx: Transaction, key_id: str, at: float) -> None:
    """The key ends then, unless it ends sooner."""
    tx.execute("UPDATE keys SET expires_at = :at WHERE id = :id AND (expires_at IS NULL OR expires_at > :at)", at=at, id=key_id)


def revoke_key(tx: Transaction, key_id: str, now: float) -> bool:
    """Whether this ended the key. The sessions that it opened end with it."""
    tx.execute("DELETE FROM sessions WHERE key_id = :id", id=key_id)
    return bool(tx.execute("UPDATE keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL", id=key_id, now=now))


def delete_key(tx: Transaction, key_id: str) -> None:
    tx.execute("DELETE FROM sessions WHERE key_id = :id", id=key_id)
    tx.execute("DELETE FROM keys WHERE id = :id", id=key_id)


def note_key_use(tx: Transaction, key_ids: Sequence[str], now: float) -> None:
    tx.execute("UPDATE keys SET last_used_at = :now WHERE id IN :ids", ids=list(key_ids), now=now)


def insert_session(tx: Transaction, session_hash: str, user: User, key_id: str, now: float, expires_at: float) -> None:
    """Also forgets the sessions that have expired."""
    tx.execute("DELETE FROM sessions WHERE expires_at <= :now", now=now)
    tx.insert("sessions", id=session_hash, tenant_id=user.tenant_id, user_id=user.id, key_id=key_id, created_at=now, expires_at=expires_at)


def valid_session(source: Database | Transaction, session_hash: str, now: float) -> tuple[User, str, float] | None:
    """The session's person, the id of what opened it and until when it is fresh; None when it is unknown or expired."""
    sql = f"""SELECT {_USER}, s.key_id, s.fresh_until FROM sessions AS s JOIN users AS u ON u.id = s.user_id JOIN tenants AS t ON t.id = u.tenant_id
              WHERE s.id = :id AND s.expires_at > :now"""
    rows = source.rows(sql, id=session_hash, now=now)
    return (_user(rows[0]), rows[0]["key_id"], rows[0]["fresh_until"]) if rows else None


def freshen_session(tx: Transaction, session_hash: str, until: float) -> None:
    tx.execute("UPDATE sessions SET fresh_until = :until WHERE id = :id", until=until, id=session_hash)


def delete_session(tx: Transaction, session_hash: str) -> None:
    tx.execute("DELETE FROM sessions WHERE id = :id", id=session_hash)


def end_sessions(tx: Transaction, user_id: str) -> None:
    """Of a person, with the links that would open another."""
    for table in ("sessions", "links"):
        tx.execute(f"DELETE FROM {table} WHERE user_id = :id", id=user_id)


def insert_link(tx: Transaction, link_hash: str, user: User, kind: str, now: float, expires_at: float) -> None:
    """Also forgets the links that expired unused."""
    tx.execute("DELETE FROM links WHERE expires_at <= :now AND used_at IS NULL", now=now)
    tx.insert("links", id=link_hash, tenant_id=user.tenant_id, user_id=user.id, kind=kind, created_at=now, expires_at=expires_at)


def open_link(source: Database | Transaction, link_hash: str, now: float) -> str | None:
    """The kind of a link that still works: sign_in or invite."""
    rows = source.rows("SELECT kind FROM links WHERE id = :id AND used_at IS NULL AND expires_at > :now", id=link_hash, now=now)
    return rows[0]["kind"] if rows else None


def use_link(tx: Transaction, link_hash: str, now: float) -> tuple[User, str] | None:
    """The person that the link stands for and its kind, once."""
    if not tx.execute("UPDATE links SET used_at = :now WHERE id = :id AND used_at IS NULL AND expires_at > :now", id=link_hash, now=now):
        return None
    row = tx.rows("SELECT user_id, kind FROM links WHERE id = :id", id=link_hash)[0]
    return get_user(tx, row["user_id"]), row["kind"]


def delete_links(tx: Transaction, user_id: str, kind: str) -> None:
    """Ends the links of this kind that nobody has used."""
    tx.execute("DELETE FROM links WHERE user_id = :id AND kind = :kind AND used_at IS NULL", id=user_id, kind=kind)


def somebody_signed_in(db: Database) -> bool:
    """Whether a key, a link or a session was ever used here."""
    sql = """SELECT 1 AS yes WHERE EXISTS (SELECT 1 FROM sessions) OR EXISTS (SELECT 1 FROM links WHERE used_at IS NOT NULL)
             OR EXISTS (SELECT 1 FROM keys WHERE last_used_at IS NOT NULL)"""
    return bool(db.rows(sql))


def _key(row: dict[str, Any]) -> Key:
    return Key(**{**row, "permissions": tuple(row["permissions"].split()), "fresh": bool(row["fresh"])})


def _user(row: dict[str, Any]) -> User:
    return User(row["id"], row["tenant_id"], row["tenant"], row["name"], row["role"], row["language"])
