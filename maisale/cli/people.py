"""users, keys and link: who may come in."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from maisale.access import keys, people, sessions
from maisale.cli.opened import Opened, acting
from maisale.contracts import Transaction
from maisale.store import accounts, audit, privacy

DAY_S = 86_400


def add_user(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        user, key = people.add_user(services.db, args.tenant, args.name, args.role, acting())
    _say_key(args, key, f"{user.name} of {user.tenant} was added. Their first key, shown only now:")
    return 0


def choose_privacy(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        tenant_id = accounts.find_tenant(services.db, args.tenant)
        chosen = {"redact": args.redact, "model_sees_originals": args.model_sees_originals}

        def work(tx: Transaction) -> str | None:
            now = asdict(accounts.get_tenant(tx, tenant_id))
            wanted = {name: now[name] if to is None else to == "on" for name, to in chosen.items()}
            audit.note(tx, acting(), "privacy_choose", "tenant", tenant_id, tenant_id=tenant_id, detail=privacy.in_short(**wanted))
            return privacy.choose(tx, tenant_id, **wanted)

        if job_id := services.db.write(work):
            services.wake(job_id)
        tenant = accounts.get_tenant(services.db, tenant_id)
    if args.json:
        print(json.dumps(asdict(tenant), ensure_ascii=False))
        return 0
    print(f"Personal data in vectors and indexes of {tenant.name}: {'replaced by placeholders' if tenant.redact else 'as it is'}.")
    print(f"The model that answers reads: {'originals' if tenant.model_sees_originals else 'placeholders'}.")
    if job_id:
        print("The indexes are made anew by the worker; until then a part of them is as it was.", file=sys.stderr)
    return 0


def issue_key(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        user = accounts.find_user(services.db, args.tenant, args.user)
        wanted = args.permissions.replace(" ", "").split(",")
        key, text = keys.issue_key(services.db, user, args.name, wanted, args.days and args.days * DAY_S, acting())
    _say_key(args, text, f"A key of {user.name} with the permissions {', '.join(key.permissions)}, shown only now:")
    return 0


def list_keys(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        user = accounts.find_user(services.db, args.tenant, args.user)
        services.db.write(lambda tx: audit.note(tx, acting(), "keys_read", "user", user.id, tenant_id=user.tenant_id))
        found = keys.list_keys(services.db, user)
    if args.json:
        print(json.dumps([asdict(key) for key in found], ensure_ascii=False))
        return 0
    for key in found:
        ended = "revoked" if key.revoked_at else "expired" if key.expires_at and key.expires_at < time.time() else "valid"
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(key.last_used_at)) if key.last_used_at else "never"
        print(f"{key.id}  {ended:7}  {','.join(key.permissions):22}  last used {used:16}  {key.name}")
    return 0


def revoke_key(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        keys.revoke_key(services.db, args.key_id, acting())
    print("The key was revoked; its sessions ended with it.")
    return 0


def link(args: argparse.Namespace) -> int:
    with Opened(args) as (services, user):
        print(f"{services.settings.address}/link/{sessions.make_sign_in_link(services.db, user, acting())}")
    print("It signs in once, within ten minutes.", file=sys.stderr)
    return 0


def _say_key(args: argparse.Namespace, key: str, words: str) -> None:
    if args.json:
        print(json.dumps({"key": key}))
        return
    print(words, file=sys.stderr)
    print(key)
