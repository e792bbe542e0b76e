"""Keys, sessions and sign-in links: made, checked, ended.

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

from maisale.config import Settings
from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, NotAllowed, NotFound
from maisale.records import Caller, Key, User
from maisale.store import accounts

FIRST_TENANT = "default"
FIRST_ADMIN = "admin"
PERMISSIONS = ("chat", "read", "write", "admin")
USUAL_PERMISSIONS = ("chat", "read", "write")
ROLES = ("member", "tenant_admin", "instance_admin")
SESSION_S = 12 * 3600
LINK_S = 600
NOTED_EVERY_S = 60  # how often a key's last use is written

ADMIN_KEY_ID = "admin"  # the row of X_API_KEY_ADMIN, whose text has a form of its own
LINK_KEY_ID = "link"  # of sessions that a sign-in link opened
# 256 random bits need no slow hash: nobody can try them all, and every request pays for the hash.
_KEY_FORM = re.compile(r"msk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NAME_FORM = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,80}")


def make_first_admin(db: Database, settings: Settings) -> User:
    """The instance's admin, with its tenant: made on the first start. X_API_KEY_ADMIN opens the door as this person while it is set."""

    def work(tx: Transaction) -> User:
        try:
            admin = accounts.find_user(tx, FIRST_TENANT, FIRST_ADMIN)
        except NotFound:
            admin = accounts.add_user(tx, FIRST_TENANT, FIRST_ADMIN, "instance_admin")
        _keep_admin_key(tx, admin, settings.admin_key)
        return admin

    return db.write(work)


def add_user(db: Database, tenant: str, name: str, role: str = "member") -> tuple[User, str]:
    """A new person, in a tenant that is made when it is missing, and the text of the first key, which is shown once."""
    if role not in ROLES:
        raise BadInput(f"The role is {role!r}; it is one of {', '.join(ROLES)}.")
    _check_name("The tenant's name", tenant)
    _check_name("The user's name", name)

    def work(tx: Transaction) -> tuple[User, str]:
        user = accounts.add_user(tx, tenant, name, role)
        permissions = USUAL_PERMISSIONS if role == "member" else PERMISSIONS
        return user, _issue(tx, user, "first key", permissions, None)[1]

    return db.write(work)


def issue_key(db: Database, user: User, name: str = "", permissions: Sequence[str] = USUAL_PERMISSIONS, lasts_s: float | None = None) -> tuple[Key, str]:
    """A new key and its text, which is shown once. lasts_s None: until it is revoked."""
    _check_name("The key's name", name or "key")
    if unknown := sorted(set(permissions) - set(PERMISSIONS)):
        raise BadInput(f"There is no permission {unknown[0]!r}; there are {', '.join(PERMISSIONS)}.")
    if not permissions:
        raise BadInput(f"A key without a permission opens nothing. Choose from {', '.join(PERMISSIONS)}.")
    if "admin" in permissions and user.role == "member":
        raise NotAllowed(f"{user.name} is a member, so a key of theirs cannot have the permission admin.")
    return db.write(lambda tx: _issue(tx, user, name or "key", permissions, lasts_s))


def list_keys(db: Database, user: User) -> list[Key]:
    """The newest first; revoked and expired ones too."""
    return accounts.list_keys(db, user.id)


def revoke_key(db: Database, key_id: str) -> None:
    """Ends a key with its sessions; `key_id` may also be the key's whole text. Raises NotFound."""
    known = _KEY_FORM.fullmatch(key_id)
    if not db.write(lambda tx: accounts.revoke_key(tx, known.group(1) if known else key_id, time.time())):
        raise NotFound("There is no such key, or it was revoked before. `keys list` shows the ids.")


def caller_of_key(db: Database, text: str) -> Caller | None:
    """Who this key belongs to; None when it is wrong, revoked or expired. One row by its primary key."""
    form = _KEY_FORM.fullmatch(text)
    found = accounts.valid_key(db, form.group(1) if form else ADMIN_KEY_ID, time.time())
    if found is None:
        return None
    user, key, secret_hash = found
    if not compare_digest(secret_hash, hash_of(form.group(2) if form else text)):
        return None
    return Caller(user, key.id, key.permissions)


async def note_use(db: Database, key_id: str) -> None:
    """Writes when a key was last used; people's own writes go first."""
    await db.awrite(lambda tx: accounts.note_key_use(tx, [key_id], time.time()), bulk=True)


def sign_in(db: Database, text: str) -> str | None:
    """The secret of a new session that ends with its key; None when the key is not valid."""
    caller = caller_of_key(db, text)
    if caller is None:
        return None

    def work(tx: Transaction) -> str:
        accounts.note_key_use(tx, [caller.key_id], time.time())
        return _open_session(tx, caller.user, caller.key_id)

    return db.write(work)


def caller_of_session(db: Database, secret: str) -> Caller | None:
    """Who this session belongs to; None when it or the key that opened it has ended."""
    now = time.time()
    session_hash = hash_of(secret)
    found = accounts.valid_session(db, session_hash, now)
    if found is None:
        return None
    user, key_id = found
    if key_id == LINK_KEY_ID:
        return Caller(user, key_id, _permissions_of(user), session_hash)
    opener = accounts.valid_key(db, key_id, now)
    return Caller(user, key_id, opener[1].permissions, session_hash) if opener else None


def sign_out(db: Database, secret: str) -> None:
    db.write(lambda tx: accounts.delete_session(tx, hash_of(secret)))


def make_sign_in_link(db: Database, user: User | None = None) -> str:
    """The token of a link that signs `user`, by default the instance's admin, in once within ten minutes."""
    token = secrets.token_urlsafe(32)
    now = time.time()

    def work(tx: Transaction) -> None:
        person = user or accounts.find_user(tx, FIRST_TENANT, FIRST_ADMIN)
        accounts.insert_link(tx, hash_of(token), person, "sign_in", now, now + LINK_S)

    db.write(work)
    return token


def link_is_open(db: Database, token: str) -> bool:
    return accounts.link_is_open(db, hash_of(token), time.time())


def sign_in_by_link(db: Database, token: str) -> str | None:
    """The secret of a new session; None when the link was used or is older than ten minutes."""

    def work(tx: Transaction) -> str | None:
        user = accounts.use_link(tx, hash_of(token), time.time())
        return _open_session(tx, user, LINK_KEY_ID) if user else None

    return db.write(work)


def somebody_signed_in(db: Database) -> bool:
    """Whether anyone ever came in; until then the start prints a sign-in link."""
    return accounts.somebody_signed_in(db)


def require(caller: Caller, permission: str) -> None:
    """Raises NotAllowed unless the caller's key has this permission."""
    if permission not in caller.permissions:
        raise NotAllowed(f"This key lacks the permission {permission!r}; it has {', '.join(caller.permissions)}. Use another key.")


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _issue(tx: Transaction, user: User, name: str, permissions: Sequence[str], lasts_s: float | None) -> tuple[Key, str]:
    now = time.time()
    ordered = tuple(one for one in PERMISSIONS if one in permissions)
    key = Key(uuid.uuid4().hex[:16], user.id, name, ordered, now, now + lasts_s if lasts_s is not None else None)
    secret = secrets.token_urlsafe(32)
    accounts.insert_key(tx, user, key, hash_of(secret))
    return key, f"msk_{key.id}_{secret}"


def _keep_admin_key(tx: Transaction, admin: User, text: str) -> None:
    """Holds the row of X_API_KEY_ADMIN to what is set now: another text ends its sessions, no text ends it."""
    held = accounts.valid_key(tx, ADMIN_KEY_ID, time.time())
    if held and text and compare_digest(held[2], hash_of(text)):
        return
    accounts.delete_key(tx, ADMIN_KEY_ID)
    if text:
        accounts.insert_key(tx, admin, Key(ADMIN_KEY_ID, admin.id, "X_API_KEY_ADMIN", PERMISSIONS, time.time()), hash_of(text))


def _open_session(tx: Transaction, user: User, key_id: str) -> str:
    secret = secrets.token_urlsafe(32)
    now = time.time()
    accounts.insert_session(tx, hash_of(secret), user, key_id, now, now + SESSION_S)
    return secret


def _permissions_of(user: User) -> tuple[str, ...]:
    return USUAL_PERMISSIONS if user.role == "member" else PERMISSIONS


def _check_name(what: str, name: str) -> None:
    if not _NAME_FORM.fullmatch(name) or name != name.strip():
        raise BadInput(f"{what} is {name[:80]!r}; it takes 1 to 80 characters without line breaks, and no space at either end.")
