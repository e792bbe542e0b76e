"""Keys: issued, checked, rotated, revoked.

What this protects: a copy of the database opens nothing, for secrets are stored as hashes; a key that is revoked, here or by the command
line, is refused from the next request on, for every request asks the database. What it does not: whoever holds a key's text is that person.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import uuid
from collections.abc import Sequence
from hmac import compare_digest

from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, NotAllowed, NotFound
from maisale.records import SERVER, Caller, Key, Scope, User
from maisale.store import accounts, audit

PERMISSIONS = ("chat", "read", "write", "admin")
USUAL_PERMISSIONS = ("chat", "read", "write")
NOTED_EVERY_S = 60  # how often a key's last use is written
FRESH_S = 900  # the longest life of a key that may do what cannot be undone
OVERLAP_S = 3600  # how long a rotated key goes on, so that programs change over without a pause

ADMIN_KEY_ID = "admin"  # the row of X_API_KEY_ADMIN, whose text has a form of its own
# 256 random bits need no slow hash: nobody can try them all, and every request pays for the hash.
_KEY_FORM = re.compile(r"msk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NAME_FORM = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,80}")


def issue_key(
    db: Database, user: User, name: str = "", permissions: Sequence[str] = USUAL_PERMISSIONS, lasts_s: float | None = None, by: Scope = SERVER
) -> tuple[Key, str]:
    """A new key and its text, which is shown once. lasts_s None: until it is revoked. by: who issues it, for the audit log."""
    check_name("The key's name", name or "key")
    if unknown := sorted(set(permissions) - set(PERMISSIONS)):
        raise BadInput(f"There is no permission {unknown[0]!r}; there are {', '.join(PERMISSIONS)}.")
    if not permissions:
        raise BadInput(f"A key without a permission opens nothing. Choose from {', '.join(PERMISSIONS)}.")
    if "admin" in permissions and user.role == "member":
        raise NotAllowed(f"{user.name} is a member, so a key of theirs cannot have the permission admin.")
    return db.write(lambda tx: make_noted(tx, by, user, name or "key", permissions, lasts_s))


def issue_own(db: Database, caller: Caller, name: str = "", permissions: Sequence[str] = (), lasts_s: float | None = None) -> tuple[Key, str]:
    """Another key of the caller's own. It may do no more, and lasts no longer, than the key that asks. permissions empty: the same."""
    wanted = tuple(permissions) or tuple(one for one in caller.permissions if one in USUAL_PERMISSIONS)
    if beyond := sorted(set(wanted) & set(PERMISSIONS) - set(caller.permissions)):
        raise NotAllowed(f"The key that asks lacks the permission {beyond[0]!r}, so it cannot give it to another.")
    return issue_key(db, caller.user, name, wanted, _no_longer(caller, lasts_s), caller.scope)


def mint_fresh(db: Database, caller: Caller, lasts_s: float = FRESH_S) -> tuple[Key, str]:
    """A key for minutes that may do what cannot be undone. Only X_API_KEY_ADMIN mints one."""
    if caller.key_id != ADMIN_KEY_ID or caller.session_id:
        raise NotAllowed("A fresh key is minted with X_API_KEY_ADMIN itself. In the browser, type your key again on the Account page instead.")
    if not 0 < lasts_s <= FRESH_S:
        raise BadInput(f"A fresh key lasts 1 to {FRESH_S} seconds; this asks for {lasts_s:g}.")

    def work(tx: Transaction) -> tuple[Key, str]:
        made = make(tx, caller.user, "fresh key", PERMISSIONS, lasts_s, fresh=True)
        audit.note(tx, caller.scope, "key_fresh", "key", made[0].id)
        return made

    return db.write(work)


def rotate_key(db: Database, caller: Caller, key: Key, overlap_s: float = OVERLAP_S) -> tuple[Key, str]:
    """A new key with the name, permissions and length of life of `key`, which goes on for `overlap_s` seconds.

    Another key of one's own gets no longer life than the key that asks has; a fresh one may give any.
    """
    if key.id == ADMIN_KEY_ID:
        raise BadInput("X_API_KEY_ADMIN is rotated where it is set: give it another value and start again.")
    now = time.time()
    if key.revoked_at or (key.expires_at and key.expires_at <= now):
        raise BadInput("This key has ended, so there is nothing to rotate. Issue a new one.")
    if key.fresh:
        raise BadInput("A fresh key ends by itself and is not rotated.")
    if beyond := sorted(set(key.permissions) - set(caller.permissions)):
        raise NotAllowed(f"The key that asks lacks the permission {beyond[0]!r} of the one to be rotated.")
    user = accounts.get_user(db, key.user_id)
    lasts_s = key.expires_at - key.created_at if key.expires_at else None
    if key.id != caller.key_id and not caller.fresh:
        lasts_s = _no_longer(caller, lasts_s)

    def work(tx: Transaction) -> tuple[Key, str]:
        made = make(tx, user, key.name, key.permissions, lasts_s)
        accounts.end_key_at(tx, key.id, now + overlap_s)
        audit.note(tx, caller.scope, "key_rotate", "key", key.id, tenant_id=user.tenant_id, detail=f"to {made[0].id}{_for(user, caller.scope)}")
        return made

    return db.write(work)


def list_keys(db: Database, user: User) -> list[Key]:
    """The newest first; revoked and expired ones too."""
    return accounts.list_keys(db, user.id)


def revoke_key(db: Database, key_id: str, by: Scope = SERVER) -> None:
    """Ends a key with its sessions; `key_id` may also be the key's whole text. by: who ends it, for the audit log. Raises NotFound."""
    known = _KEY_FORM.fullmatch(key_id)
    if not db.write(lambda tx: end(tx, known.group(1) if known else key_id, by)):
        raise NotFound("There is no such key, or it was revoked before. `keys list` shows the ids.")


def revoke_for(db: Database, caller: Caller, key: Key) -> None:
    """Ends `key` for the person who asks. A key that may do less than `key` does not end it: a dashboard's must not shut its owner out."""
    if key.id == ADMIN_KEY_ID:
        raise BadInput("X_API_KEY_ADMIN is ended where it is set: give it another value, or none, and start again.")
    beyond = sorted(set(key.permissions) - set(caller.permissions))
    if beyond and key.user_id == caller.user.id and key.id != caller.key_id:
        raise NotAllowed(f"The key that asks lacks the permission {beyond[0]!r} of the one to be revoked.")
    revoke_key(db, key.id, caller.scope)


def caller_of_key(db: Database, text: str) -> Caller | None:
    """Who this key belongs to; None when it is wrong, revoked or expired. One row by its primary key."""
    form = _KEY_FORM.fullmatch(text)
    found = accounts.valid_key(db, form.group(1) if form else ADMIN_KEY_ID, time.time())
    if found is None:
        return None
    user, key, secret_hash = found
    if not compare_digest(secret_hash, hash_of(form.group(2) if form else text)):
        return None
    return Caller(user, key.id, key.permissions, fresh=key.fresh, expires_at=key.expires_at)


def id_of(text: str) -> str:
    """The id that a key's text bears, valid or not; that of X_API_KEY_ADMIN for any other form."""
    form = _KEY_FORM.fullmatch(text)
    return form.group(1) if form else ADMIN_KEY_ID


async def note_use(db: Database, key_id: str) -> None:
    """Writes when a key was last used; people's own writes go first."""
    await db.awrite(lambda tx: accounts.note_key_use(tx, [key_id], time.time()), bulk=True)


def require(caller: Caller, permission: str) -> None:
    """Raises NotAllowed unless the caller's key has this permission."""
    if permission not in caller.permissions:
        raise NotAllowed(f"This key lacks the permission {permission!r}; it has {', '.join(caller.permissions)}. Use another key.")


def require_fresh(caller: Caller) -> None:
    """For what cannot be undone. Raises NotAllowed unless the key was minted, or typed again, within the last minutes."""
    if not caller.fresh:
        words = "This cannot be undone, so it needs a fresh key: in the browser, type your key again on the Account page;"
        raise NotAllowed(f"{words} a program mints one with X_API_KEY_ADMIN at POST /v1/keys/fresh. It lasts {FRESH_S // 60} minutes.")


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def make(tx: Transaction, user: User, name: str, permissions: Sequence[str], lasts_s: float | None, fresh: bool = False) -> tuple[Key, str]:
    """A key in the caller's transaction, and its text; nothing is checked here."""
    now = time.time()
    ordered = tuple(one for one in PERMISSIONS if one in permissions)
    key = Key(uuid.uuid4().hex[:16], user.id, name, ordered, now, now + lasts_s if lasts_s is not None else None, fresh=fresh)
    secret = secrets.token_urlsafe(32)
    accounts.insert_key(tx, user, key, hash_of(secret))
    return key, f"msk_{key.id}_{secret}"


def make_noted(tx: Transaction, by: Scope, user: User, name: str, permissions: Sequence[str], lasts_s: float | None = None) -> tuple[Key, str]:
    """`make`, with its row in the audit log."""
    made = make(tx, user, name, permissions, lasts_s)
    audit.note(tx, by, "key_issue", "key", made[0].id, tenant_id=user.tenant_id, detail=f"{' '.join(made[0].permissions)}{_for(user, by)}")
    return made


def end(tx: Transaction, key_id: str, by: Scope) -> bool:
    """Whether this ended the key, with its sessions and its row in the audit log."""
    if not accounts.revoke_key(tx, key_id, time.time()):
        return False
    user = accounts.get_user(tx, accounts.get_key(tx, key_id).user_id)
    audit.note(tx, by, "key_revoke", "key", key_id, tenant_id=user.tenant_id, detail=_for(user, by).strip())
    return True


def keep_admin_key(tx: Transaction, admin: User, text: str) -> None:
    """Holds the row of X_API_KEY_ADMIN to what is set now: another text ends its sessions, no text ends it. A revoked text stays revoked."""
    if text and compare_digest(accounts.hash_of_key(tx, ADMIN_KEY_ID), hash_of(text)):
        return
    if accounts.hash_of_key(tx, ADMIN_KEY_ID):
        audit.note(tx, SERVER, "key_revoke", "key", ADMIN_KEY_ID, tenant_id=admin.tenant_id, detail=_for(admin, SERVER).strip())
    accounts.delete_key(tx, ADMIN_KEY_ID)
    if text:
        audit.note(tx, SERVER, "key_issue", "key", ADMIN_KEY_ID, tenant_id=admin.tenant_id, detail=f"{' '.join(PERMISSIONS)}{_for(admin, SERVER)}")
        accounts.insert_key(tx, admin, Key(ADMIN_KEY_ID, admin.id, "X_API_KEY_ADMIN", PERMISSIONS, time.time()), hash_of(text))


def _for(user: User, by: Scope) -> str:
    """Whose key it is, when it is not the own one."""
    return "" if user.id == by.user_id else f" for {user.id}"


def _no_longer(caller: Caller, lasts_s: float | None) -> float | None:
    """At most what is left of the key that asks."""
    if caller.expires_at is None:
        return lasts_s
    left = max(0.0, caller.expires_at - time.time())
    return left if lasts_s is None else min(lasts_s, left)


def permissions_of(user: User) -> tuple[str, ...]:
    """What a person's first key may do."""
    return USUAL_PERMISSIONS if user.role == "member" else PERMISSIONS


def check_name(what: str, name: str) -> None:
    """Raises BadInput."""
    if not _NAME_FORM.fullmatch(name) or name != name.strip():
        raise BadInput(f"{what} is {name[:80]!r}; it takes 1 to 80 characters without line breaks, and no space at either end.")
