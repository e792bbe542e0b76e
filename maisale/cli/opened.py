"""What a command works with: services of the environment's settings, and the person it acts for."""

from __future__ import annotations

import argparse
import os
import pwd

from maisale.access import people
from maisale.errors import NotFound
from maisale.records import Scope, User, Way
from maisale.services import Services, open_services, read_settings
from maisale.store import accounts


def acting(user: User | None = None) -> Scope:
    """Who a command's acts are noted as in the audit log: the operating system's user, as `user` when the command acts for somebody."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container
        name = f"uid {uid}"
    return Scope(user.tenant_id if user else "", user.id if user else "", Way("cli", name))


class Opened:
    """Services and the person that a command acts for, by default the instance's admin; closed at the end. alone: the person is not chosen."""

    def __init__(self, args: argparse.Namespace, alone: bool = False):
        self._who = (people.FIRST_TENANT, people.FIRST_ADMIN) if alone else (args.tenant, args.user)

    def __enter__(self) -> tuple[Services, User]:
        settings = read_settings(os.environ)
        self._services = open_services(settings, "cli")
        try:
            try:
                accounts.find_user(self._services.db, people.FIRST_TENANT, people.FIRST_ADMIN)
            except NotFound:  # before the first start of the app; later the app alone minds X_API_KEY_ADMIN
                people.make_first_admin(self._services.db, settings)
            return self._services, accounts.find_user(self._services.db, *self._who)
        except BaseException:
            self._services.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._services.close()
