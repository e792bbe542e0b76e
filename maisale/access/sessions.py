"""Sessions of browsers, and the links that open one: sign-in links for the person at the server, invitations for colleagues.

What this protects: session and link are random values stored as hashes; a session ends with the key that opened it. What it does not:
who opens an invitation first is taken for the colleague.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from maisale.access import keys
from maisale.access.people import FIRST_ADMIN, FIRST_TENANT
from maisale.contracts import Database, Transaction
from maisale.errors import NotAllowed
from maisale.records import SERVER, Caller, Scope, User, Way
from maisale.store import accounts, audit

SESSION_S = 12 * 3600
LINK_S = 600
INVITATION_S = 72 * 3600
LINK_KEY_ID = "link"  # of sessions that a sign-in link opened


def sign_in(db: Database, text: str, way: Way = SERVER.way) -> str | None:
    """The secret of a new session that ends with its key; None when the key is not valid. way: how it came, for the audit log."""
    caller = keys.caller_of_key(db, text)
    if caller is None:
        return None

    def work(tx: Transaction) -> str:
        accounts.note_key_use(tx, [caller.key_id], time.time())
        audit.note(tx, _by(caller.user, way, caller.key_id), "sign_in", "key", caller.key_id)
        return _open_session(tx, caller.user, caller.key_id)

    return db.write(work)


def caller_of_session(db: Database, secret: str) -> Caller | None:
    """Who this session belongs to; None when it or the key that opened it has ended."""
    now = time.time()
    session_hash = keys.hash_of(secret)
    found = accounts.valid_session(db, session_hash, now)
    if found is None:
        return None
    user, key_id, fresh_until = found
    fresh = fresh_until > now
    if key_id == LINK_KEY_ID:
        return Caller(user, key_id, keys.permissions_of(user), session_hash, fresh)
    opener = accounts.valid_key(db, key_id, now)
    return Caller(user, key_id, opener[1].permissions, session_hash, fresh, opener[1].expires_at) if opener else None


def sign_out(db: Database, secret: str, way: Way = SERVER.way) -> None:
    def work(tx: Transaction) -> None:
        if found := accounts.valid_session(tx, keys.hash_of(secret), time.time()):
            user, key_id, _ = found
            audit.note(tx, _by(user, way, key_id), "sign_out", "key", key_id)
        accounts.delete_session(tx, keys.hash_of(secret))

    db.write(work)


def type_key_again(db: Database, caller: Caller, text: str) -> float:
    """The session may do what cannot be undone for some minutes; returns until when. Raises NotAllowed for another's key, or one that lacks admin."""
    typed = keys.caller_of_key(db, text)
    if typed is None or typed.user.id != caller.user.id:
        raise NotAllowed("This is not a valid key of yours. Check that it was copied whole.")
    keys.require(typed, "admin")
    if not caller.session_id:
        raise NotAllowed("Typing the key again is for the browser. A program mints a fresh key at POST /v1/keys/fresh.")
    until = time.time() + keys.FRESH_S

    def work(tx: Transaction) -> None:
        accounts.freshen_session(tx, caller.session_id, until)
        audit.note(tx, caller.scope, "key_retype", "key", typed.key_id)

    db.write(work)
    return until


def make_sign_in_link(db: Database, user: User | None = None, by: Scope = SERVER) -> str:
    """The token of a link that signs `user`, by default the instance's admin, in once within ten minutes. by: who makes it, for the audit log."""
    return _make_link(db, user or accounts.find_user(db, FIRST_TENANT, FIRST_ADMIN), "sign_in", LINK_S, by)


def make_invitation(db: Database, user: User, by: Scope = SERVER) -> str:
    """The token of a link that makes `user` a key, once within three days. An earlier invitation of this person ends. by: who invites."""
    return _make_link(db, user, "invite", INVITATION_S, by)


def open_link(db: Database, token: str) -> str | None:
    """sign_in or invite; None when the link was used, has expired or never was."""
    return accounts.open_link(db, keys.hash_of(token), time.time())


def use_link(db: Database, token: str, way: Way = SERVER.way) -> tuple[str, str] | None:
    """The secret of a new session, and the text of the key that an invitation makes (else empty); None when the link opens nothing any more.

    way: how it came, for the audit log.
    """

    def work(tx: Transaction) -> tuple[str, str] | None:
        found = accounts.use_link(tx, keys.hash_of(token), time.time())
        if found is None:
            return None
        user, kind = found
        if kind == "sign_in":
            audit.note(tx, _by(user, way, LINK_KEY_ID), "sign_in", "link")
            return _open_session(tx, user, LINK_KEY_ID), ""
        key, text = keys.make(tx, user, "from the invitation", keys.permissions_of(user), None)
        accounts.note_key_use(tx, [key.id], time.time())
        audit.note(tx, _by(user, way, key.id), "invitation_use", "key", key.id)
        return _open_session(tx, user, key.id), text

    return db.write(work)


def somebody_signed_in(db: Database) -> bool:
    """Whether anyone ever came in; until then the start prints a sign-in link."""
    return accounts.somebody_signed_in(db)


def _make_link(db: Database, user: User, kind: str, lasts_s: float, by: Scope) -> str:
    token = secrets.token_urlsafe(32)

    def work(tx: Transaction) -> None:
        now = time.time()
        if kind == "invite":
            accounts.delete_links(tx, user.id, kind)
        accounts.insert_link(tx, keys.hash_of(token), user, kind, now, now + lasts_s)
        audit.note(tx, by, "invitation_make" if kind == "invite" else "link_make", "user", user.id, tenant_id=user.tenant_id)

    db.write(work)
    return token


def _by(user: User, way: Way, key_id: str) -> Scope:
    return Scope(user.tenant_id, user.id, replace(way, key_id=key_id))


def _open_session(tx: Transaction, user: User, key_id: str) -> str:
    secret = secrets.token_urlsafe(32)
    now = time.time()
    accounts.insert_session(tx, keys.hash_of(secret), user, key_id, now, now + SESSION_S)
    return secret
