"""Tenants and people, and who may manage whom.

A tenant's admin manages the people of that tenant, the instance's admin everybody; both need a key with the permission admin, and neither
can read what others ask or are answered. Another tenant's people look like missing ones. What this does not do: remove what a person wrote,
which is the library's.
"""

from __future__ import annotations

from maisale.access import keys
from maisale.config import Settings
from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, NotAllowed, NotFound
from maisale.records import SERVER, Caller, Key, Scope, Tenant, User
from maisale.store import accounts, audit, privacy

FIRST_TENANT = "default"
FIRST_ADMIN = "admin"
ROLES = ("member", "tenant_admin", "instance_admin")


def make_first_admin(db: Database, settings: Settings) -> User:
    """The instance's admin, with its tenant: made on the first start. X_API_KEY_ADMIN opens the door as this person while it is set."""

    def work(tx: Transaction) -> User:
        try:
            admin = accounts.find_user(tx, FIRST_TENANT, FIRST_ADMIN)
        except NotFound:
            admin = _add(tx, SERVER, FIRST_TENANT, FIRST_ADMIN, "instance_admin")
        keys.keep_admin_key(tx, admin, settings.admin_key)
        return admin

    return db.write(work)


def add_user(db: Database, tenant: str, name: str, role: str = "member", by: Scope = SERVER) -> tuple[User, str]:
    """A new person, in a tenant that is made when it is missing, and the text of the first key, which is shown once. by: who adds, for the audit log."""
    _check(tenant, name, role)

    def work(tx: Transaction) -> tuple[User, str]:
        user = _add(tx, by, tenant, name, role)
        return user, keys.make_noted(tx, by, user, "first key", keys.permissions_of(user))[1]

    return db.write(work)


def add_colleague(db: Database, caller: Caller, name: str, role: str = "member", tenant: str | None = None) -> User:
    """A new person without a key: an invitation makes the first one. tenant: its name; only the instance's admin names another than the own."""
    _require_admin(caller)
    place = caller.user.tenant if tenant is None else tenant
    _check(place, name, role)
    if caller.user.role != "instance_admin":
        if place != caller.user.tenant:
            raise NotFound(f"There is no tenant named {place!r}.")
        if role == "instance_admin":
            raise NotAllowed("Only an admin of the instance makes another.")

    def work(tx: Transaction) -> User:
        accounts.find_tenant(tx, place)  # a slip of the pen must not make a tenant
        return _add(tx, caller.scope, place, name, role)

    return db.write(work)


def list_users(db: Database, caller: Caller) -> list[User]:
    """The people that the caller manages: of the own tenant, or of all."""
    return accounts.list_users(db, managed_tenant(caller))


def managed(db: Database, caller: Caller, user_id: str) -> User:
    """This person, whom the caller manages. Raises NotFound for another tenant's people, NotAllowed for whom only the instance's admin manages."""
    _require_admin(caller)
    user = accounts.get_user(db, user_id)
    if caller.user.role == "instance_admin":
        return user
    if user.tenant_id != caller.user.tenant_id:
        raise NotFound("There is no such user.")
    if user.role == "instance_admin":
        raise NotAllowed(f"{user.name} is an admin of the instance, whom an admin of the tenant does not manage.")
    return user


def removable(db: Database, caller: Caller, user_id: str) -> User:
    """This person, whom the caller may delete."""
    user = managed(db, caller, user_id)
    if user.id == caller.user.id:
        raise BadInput("Nobody deletes themselves: ask another admin.")
    if (user.tenant, user.name) == (FIRST_TENANT, FIRST_ADMIN):
        raise BadInput("The instance's first admin stays: X_API_KEY_ADMIN and the sign-in link stand for it.")
    keys.require_fresh(caller)
    return user


def set_role(db: Database, caller: Caller, user_id: str, role: str) -> User:
    """Gives a person another role, at once: a key's permission admin is worth nothing without the role."""
    user = managed(db, caller, user_id)
    if role not in ROLES:
        raise BadInput(f"The role is {role!r}; it is one of {', '.join(ROLES)}.")
    if role == "instance_admin" and caller.user.role != "instance_admin":
        raise NotAllowed("Only an admin of the instance makes another.")
    if user.id == caller.user.id or (user.tenant, user.name) == (FIRST_TENANT, FIRST_ADMIN):
        raise BadInput("Nobody changes their own role, and the instance's first admin keeps it.")

    def work(tx: Transaction) -> None:
        accounts.set_role(tx, user_id, role)
        audit.note(tx, caller.scope, "user_role", "user", user_id, tenant_id=user.tenant_id, detail=role)

    db.write(work)
    return accounts.get_user(db, user_id)


def key_of(db: Database, caller: Caller, key_id: str) -> Key:
    """A key of the caller's own, or of somebody the caller manages. Raises NotFound: another's key looks like a missing one."""
    key = accounts.get_key(db, key_id)
    if key.user_id == caller.user.id:
        return key
    try:
        managed(db, caller, key.user_id)
    except (NotAllowed, NotFound) as problem:
        raise NotFound("There is no such key.") from problem
    return key


def issue_for(db: Database, caller: Caller, user_id: str, name: str, permissions: tuple[str, ...], lasts_s: float | None) -> tuple[Key, str]:
    """A key for somebody else: whoever holds its text is that person, so it needs a fresh key."""
    user = managed(db, caller, user_id)
    keys.require_fresh(caller)
    return keys.issue_key(db, user, name, permissions or keys.permissions_of(user), lasts_s, caller.scope)


def managed_tenant(caller: Caller) -> str | None:
    """The id of the tenant that the caller manages; None for an admin of the instance, who manages all. Raises NotAllowed."""
    _require_admin(caller)
    return None if caller.user.role == "instance_admin" else caller.user.tenant_id


def list_tenants(db: Database, caller: Caller) -> list[Tenant]:
    """The tenants that the caller manages."""
    _require_admin(caller)
    found = accounts.list_tenants(db)
    return found if caller.user.role == "instance_admin" else [tenant for tenant in found if tenant.id == caller.user.tenant_id]


def add_tenant(db: Database, caller: Caller, name: str) -> Tenant:
    require_instance_admin(caller)
    keys.check_name("The tenant's name", name)

    def work(tx: Transaction) -> Tenant:
        if any(tenant.name == name for tenant in accounts.list_tenants(tx)):
            raise BadInput(f"There is a tenant named {name!r} already.")
        made = accounts.get_tenant(tx, accounts.tenant_named(tx, name))
        audit.note(tx, caller.scope, "tenant_add", "tenant", made.id, tenant_id=made.id)
        return made

    return db.write(work)


def choose_privacy(
    db: Database, caller: Caller, tenant_id: str, redact: bool | None = None, model_sees_originals: bool | None = None
) -> tuple[Tenant, str | None]:
    """The tenant with what was chosen, and the id of the job that makes its indexes anew, when they change. None leaves a choice as it is.

    Raises NotFound for a tenant that the caller does not manage.
    """
    if tenant_id not in {tenant.id for tenant in list_tenants(db, caller)}:
        raise NotFound("There is no such tenant.")

    def work(tx: Transaction) -> str | None:
        now = accounts.get_tenant(tx, tenant_id)
        redacts = now.redact if redact is None else redact
        sees = now.model_sees_originals if model_sees_originals is None else model_sees_originals
        audit.note(tx, caller.scope, "privacy_choose", "tenant", tenant_id, tenant_id=tenant_id, detail=privacy.in_short(redacts, sees))
        return privacy.choose(tx, tenant_id, redact=redacts, model_sees_originals=sees)

    job_id = db.write(work)
    return accounts.get_tenant(db, tenant_id), job_id


def removable_tenant(db: Database, caller: Caller, tenant_id: str) -> Tenant:
    """This tenant, which the caller may delete."""
    require_instance_admin(caller)
    tenant = accounts.get_tenant(db, tenant_id)
    if tenant.name == FIRST_TENANT or tenant.id == caller.user.tenant_id:
        raise BadInput(f"The tenant {tenant.name!r} holds the instance's admin and stays.")
    keys.require_fresh(caller)
    return tenant


def require_instance_admin(caller: Caller) -> None:
    """Raises NotAllowed."""
    keys.require(caller, "admin")
    if caller.user.role != "instance_admin":
        raise NotAllowed("Only an admin of the instance may do this.")


def _add(tx: Transaction, by: Scope, tenant: str, name: str, role: str) -> User:
    """The person, and the tenant when it is missing, each with its row in the audit log."""
    known = {one.id for one in accounts.list_tenants(tx)}
    user = accounts.add_user(tx, tenant, name, role)
    if user.tenant_id not in known:
        audit.note(tx, by, "tenant_add", "tenant", user.tenant_id, tenant_id=user.tenant_id)
    audit.note(tx, by, "user_add", "user", user.id, tenant_id=user.tenant_id, detail=role)
    return user


def _check(tenant: str, name: str, role: str) -> None:
    if role not in ROLES:
        raise BadInput(f"The role is {role!r}; it is one of {', '.join(ROLES)}.")
    keys.check_name("The tenant's name", tenant)
    keys.check_name("The user's name", name)


def _require_admin(caller: Caller) -> None:
    keys.require(caller, "admin")
    if caller.user.role not in ("tenant_admin", "instance_admin"):
        raise NotAllowed(f"{caller.user.name} is a member. Ask an admin of your team.")
