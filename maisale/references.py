"""References to secrets that are kept in HashiCorp Vault, as settings may hold them: `vault:MOUNT/PATH#FIELD` of a key-value engine, version 2.

Who fetches them is backends/vault.py; which settings hold one is config.py's to know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

PREFIX = "vault:"
USUAL_MOUNT = "secret"  # where Vault's own examples have the engine
_FORM = re.compile(r"vault:/?([^#\s]+)#([^#\s]+)")


@dataclass(frozen=True, slots=True)
class Reference:
    mount: str
    path: str
    field: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.mount}/{self.path}#{self.field}"


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """How Vault is reached: by a token, or by the two ids of an AppRole."""

    url: str
    token: str = field(default="", repr=False)
    role_id: str = field(default="", repr=False)
    secret_id: str = field(default="", repr=False)
    ca_cert: str = ""  # path; empty: the usual authorities
    namespace: str = ""


class Vault(Protocol):
    """What has been opened with a VaultAccess."""

    def read(self, reference: Reference) -> str:
        """The secret. Raises VaultFailed."""

    def keep(self) -> None:
        """Renews the token by itself from now on, until `close`."""

    def close(self) -> None: ...


class VaultFailed(Exception):
    """A secret could not be fetched. Its text goes on after "NAME cannot be fetched from Vault: "; it holds no secret and no token."""


def is_reference(text: str) -> bool:
    """A model may be called `vault:7b`: only what names a field, or a path, is taken for one."""
    return text.startswith(PREFIX) and ("#" in text or "/" in text)


def parse(text: str) -> Reference | None:
    """None when it is not one. With one part alone before the #, the mount is `secret`."""
    found = _FORM.fullmatch(text)
    parts = found[1].split("/") if found else []
    if not parts or any(part in ("", ".", "..") for part in parts):
        return None
    mount, *path = parts if len(parts) > 1 else (USUAL_MOUNT, *parts)
    return Reference(mount, "/".join(path), found[2])
