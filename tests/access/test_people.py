"""Who manages whom: the rule behind every route and page about people."""

import time

import pytest

from maisale.access import keys, people
from maisale.config import Settings
from maisale.errors import BadInput, MaiSaleError, NotAllowed, NotFound
from maisale.records import Caller
from maisale.store import accounts


@pytest.fixture
def known(db):
    """Everybody by name: root and chief of the instance, mai and kim who administer sales, linh of sales, hoa of support."""
    root = people.make_first_admin(db, Settings(admin_key="the admin's own key"))
    hired = [("default", "chief", "instance_admin"), ("sales", "mai", "tenant_admin"), ("sales", "kim", "tenant_admin")]
    hired += [("sales", "linh", "member"), ("support", "hoa", "member"), ("sales", "boss", "instance_admin")]
    return {"root": root, **{name: people.add_user(db, tenant, name, role)[0] for tenant, name, role in hired}}


def caller(user, fresh=True, permissions=keys.PERMISSIONS):
    return Caller(user, "a key", permissions, fresh=fresh)


@pytest.mark.parametrize(
    ("who", "whom", "refusal"),
    [
        ("root", "hoa", None),
        ("chief", "root", None),
        ("mai", "linh", None),
        ("mai", "kim", None),
        ("mai", "hoa", NotFound),
        ("mai", "boss", NotAllowed),
        ("mai", "root", NotFound),
        ("linh", "linh", NotAllowed),
        ("linh", "hoa", NotAllowed),
    ],
)
def test_who_manages_whom(db, known, who, whom, refusal):
    if refusal is None:
        assert people.managed(db, caller(known[who]), known[whom].id) == known[whom]
    else:
        with pytest.raises(refusal):
            people.managed(db, caller(known[who]), known[whom].id)


def test_an_admins_key_without_the_permission_manages_nobody(db, known):
    for act in (people.list_users, people.list_tenants):
        with pytest.raises(NotAllowed, match="permission 'admin'"):
            act(db, caller(known["root"], permissions=keys.USUAL_PERMISSIONS))


@pytest.mark.parametrize(("who", "whom"), [("mai", "mai"), ("chief", "root"), ("root", "root")])
def test_nobody_deletes_themselves_or_the_first_admin(db, known, who, whom):
    with pytest.raises(BadInput):
        people.removable(db, caller(known[who]), known[whom].id)


def test_deleting_and_issuing_for_another_need_a_fresh_key(db, known):
    stale = caller(known["root"], fresh=False)
    tenant = known["hoa"].tenant_id
    acts = [lambda by: people.removable(db, by, known["linh"].id), lambda by: people.removable_tenant(db, by, tenant)]
    acts += [lambda by: people.issue_for(db, by, known["linh"].id, "", (), None)]
    for act in acts:
        with pytest.raises(NotAllowed, match="fresh key"):
            act(stale)
        act(caller(known["root"]))


@pytest.mark.parametrize(
    ("who", "role", "tenant", "refusal"),
    [
        ("root", "instance_admin", "support", None),
        ("mai", "tenant_admin", None, None),
        ("mai", "tenant_admin", "sales", None),
        ("mai", "member", "support", NotFound),
        ("mai", "instance_admin", None, NotAllowed),
        ("linh", "member", None, NotAllowed),
        ("root", "member", "nowhere", NotFound),
        ("root", "king", "sales", BadInput),
    ],
)
def test_who_invites_whom(db, known, who, role, tenant, refusal):
    before = len(accounts.list_users(db))
    try:
        made = people.add_colleague(db, caller(known[who]), "new", role, tenant)
        assert refusal is None and made.role == role and not accounts.list_keys(db, made.id)
    except MaiSaleError as problem:
        assert refusal is not None and type(problem) is refusal
        assert len(accounts.list_users(db)) == before


def test_the_tenants_of_a_tenants_admin_are_their_own(db, known):
    assert [one.name for one in people.list_tenants(db, caller(known["mai"]))] == ["sales"]
    assert [one.name for one in people.list_tenants(db, caller(known["root"]))] == ["default", "sales", "support"]


def test_a_tenants_name_is_taken_once(db, known):
    people.add_tenant(db, caller(known["root"]), "workshop")
    with pytest.raises(BadInput, match="already"):
        people.add_tenant(db, caller(known["root"]), "workshop")
    with pytest.raises(NotAllowed):
        people.add_tenant(db, caller(known["mai"]), "mine")


def test_a_tenant_with_the_instances_admin_stays(db, known):
    for who, tenant in (("root", known["root"].tenant_id), ("boss", known["boss"].tenant_id)):
        with pytest.raises(BadInput, match="stays"):
            people.removable_tenant(db, caller(known[who]), tenant)


def test_every_row_has_its_tenant_and_its_owner(db):
    """tenant and owner are NOT NULL wherever something belongs to somebody."""
    owned = ("keys", "sessions", "links", "conversations", "messages", "replies", "feedback", "collections", "documents", "chunks")
    for table in owned:
        columns = {row["name"]: row["required"] for row in db.rows(f'SELECT name, "notnull" AS required FROM pragma_table_info(\'{table}\')')}
        owner = "owner_id" if "owner_id" in columns else "user_id"
        assert columns["tenant_id"] and columns[owner], table


def test_a_key_that_expires_gives_none_that_lasts_longer(db, known):
    short = Caller(known["linh"], "a key", keys.USUAL_PERMISSIONS, expires_at=time.time() + 60)
    forever, _ = keys.issue_key(db, known["linh"])
    for key, _ in (keys.issue_own(db, short), keys.issue_own(db, short, lasts_s=1e6), keys.rotate_key(db, short, forever)):
        assert key.expires_at <= time.time() + 60
