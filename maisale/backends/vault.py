"""HashiCorp Vault through hvac: secrets of a key-value engine (version 2), read at the start, and a token that is renewed while the process runs.

A process that is started later, such as the next worker, needs the same token: renewed, it is still valid then. Neither a secret nor a token is
logged, nor is any text that Vault answered with: every failure is told in words of our own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import hvac
import requests
from hvac.exceptions import VaultError

from maisale.references import Reference, VaultAccess, VaultFailed

log = logging.getLogger(__name__)

ANSWER_S = 10.0
RENEWED_AT = 2 / 3  # of a lease: a third is left to try again
AGAIN_S = 10.0  # after Vault did not answer
SHORTEST_S = 0.5  # between two renewals, whatever Vault says
SHORTENED = 1 / 4  # of the longest lease: a shorter one says that the token's life ends

_STATUS = {
    429: "it is asked too often (429). Try again a little later.",
    501: "it is not initialized (501). Initialize it first.",
    503: "it is sealed or under maintenance (503). Unseal it.",
}


class VaultKV:
    """references.Vault. Nothing is asked before the first `read`."""

    def __init__(self, access: VaultAccess):
        self._access = access
        session = requests.Session()
        # No proxy, .netrc or certificate bundle from the environment: config.py alone reads it.
        session.trust_env = False
        session.verify = access.ca_cert or True
        # Redirects are not followed: requests would send the token along, to whatever host is named.
        how = {"session": session, "cert": (), "namespace": access.namespace or None, "timeout": ANSWER_S, "allow_redirects": False}
        self._client = hvac.Client(access.url, access.token, verify=session.verify, **how)
        self._read: dict[tuple[str, str], dict[str, Any]] = {}
        self._lease_s: float | None = None  # of the token; None: not known yet, 0: it does not end, or is left to its end
        self._longest_s = 0.0
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def read(self, reference: Reference) -> str:
        place = (reference.mount, reference.path)
        if place not in self._read:
            if not self._client.token:
                self._log_in()
            self._read[place] = self._fields(reference)
        found = self._read[place].get(reference.field)
        if not isinstance(found, str) or not found.strip():
            what = "is empty or no text" if reference.field in self._read[place] else "does not exist"
            raise VaultFailed(f"the field {reference.field!r} of {'/'.join(place)} {what}. Write it with `vault kv patch`, or name another one.")
        return found.strip()

    def keep(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="vault-token", daemon=True)
            self._keeper.start()

    def close(self) -> None:
        self._stopping.set()
        if self._keeper:
            self._keeper.join(ANSWER_S)
        self._client.adapter.close()

    def _fields(self, reference: Reference) -> dict[str, Any]:
        place = f"{reference.mount}/{reference.path}"
        words = {
            403: f"the token is not valid, or may not read {place} (403). Check it with `vault token lookup`, and its policy for {reference.mount}/data/….",
            404: f"nothing is at {place}, or its latest version was deleted (404). The engine has to be of version 2, and its path is written without data/.",
        }
        answer = self._ask(lambda: self._client.secrets.kv.v2.read_secret_version(reference.path, None, reference.mount, True), words)
        fields = answer.get("data", {}).get("data") if isinstance(answer.get("data"), dict) and "metadata" in answer["data"] else None
        if not isinstance(fields, dict):
            raise VaultFailed(f"{place} does not answer as a key-value engine of version 2. `vault kv enable-versioning {reference.mount}` makes it one.")
        return fields

    def _log_in(self) -> None:
        """By AppRole."""
        invalid = "VAULT_ROLE_ID or VAULT_SECRET_ID is not valid, or was used up. `vault write -f auth/approle/role/NAME/secret-id` makes a new one."
        words = dict.fromkeys((400, 401, 403), invalid)
        words[404] = "it knows no AppRole at auth/approle (404). Enable it with `vault auth enable approle`."
        self._client.token = ""  # what has ended is not sent
        self._note_lease(self._ask(lambda: self._client.auth.approle.login(self._access.role_id, self._access.secret_id), words))

    def _note_lease(self, answer: dict[str, Any]) -> None:
        lease_s = (answer.get("auth") or {}).get("lease_duration")
        if not isinstance(lease_s, int):
            raise VaultFailed("it answered without a lease. Is VAULT_ADDR the address of Vault?")
        self._lease_s = float(lease_s)
        self._longest_s = max(self._longest_s, self._lease_s)

    def _keep(self) -> None:
        wait_s = self._pause_s()
        while wait_s is not None and not self._stopping.wait(wait_s):
            try:
                if self._lease_s is None:
                    self._look_up()
                else:
                    self._prolong()
                wait_s = self._pause_s()
            except VaultFailed as problem:
                log.warning("Vault's token was not renewed, and it is tried again in %.0f s: %s", AGAIN_S, problem)
                wait_s = AGAIN_S

    def _pause_s(self) -> float | None:
        """Until the token is seen to; None: it does not end, or nothing can be done about it."""
        if self._lease_s is None:
            return 0.0
        return max(SHORTEST_S, self._lease_s * RENEWED_AT) if self._lease_s else None

    def _look_up(self) -> None:
        """How long the given token lives."""
        answer = self._ask(self._client.auth.token.lookup_self, {403: "the token is not valid any more (403)."})
        found = answer.get("data") or {}
        self._lease_s = max(float(found.get("ttl") or 0), SHORTEST_S) if found.get("expire_time") else 0.0

    def _prolong(self) -> None:
        """Renews the token, or gets another one where it cannot be renewed. Vault shortens the leases towards the end of a token's longest life."""
        words = {400: "it cannot be renewed (400)", 403: "it is not valid any more (403)"}
        try:
            self._note_lease(self._ask(self._client.auth.token.renew_self, words))
            if self._lease_s > self._longest_s * SHORTENED:
                return
            problem = "its longest life is nearly over"
        except _Refused as refused:
            problem = str(refused)
        if self._access.role_id:
            return self._log_in()
        log.error("VAULT_TOKEN is not renewed any more: %s. Set a new one before the next start.", problem)
        self._lease_s = 0.0

    def _ask(self, ask: Callable[[], Any], words: dict[int, str]) -> dict[str, Any]:
        """The answer as Vault gives it. Raises VaultFailed, with `words` for what some statuses mean here; _Refused for these."""
        try:
            answer = ask()
        except VaultError as problem:
            status = _status_of(problem)
            if status in words:
                raise _Refused(words[status]) from problem
            raise VaultFailed(_STATUS.get(status, f"it answered with an error ({status or 'of another kind'}). See its log.")) from problem
        except (requests.RequestException, OSError) as problem:
            raise VaultFailed(_unreached(problem, self._access)) from problem
        except (KeyError, TypeError) as problem:  # hvac 2.4 takes the token out of whatever came
            raise VaultFailed("it answered without a token. Is VAULT_ADDR the address of Vault?") from problem
        if not isinstance(answer, dict):
            status = getattr(answer, "status_code", 0)
            raise VaultFailed(f"it did not answer as Vault does ({status}). Is VAULT_ADDR its address, and that of the active server?")
        return answer


class _Refused(VaultFailed):
    """Vault says no, and would say so again."""


def _status_of(problem: VaultError) -> int:
    """hvac 2.4 has a class for each status, and keeps the number nowhere."""
    for status in (400, 401, 403, 404, 429, 500, 501, 502, 503):
        if type(problem) is type(VaultError.from_status(status)):
            return status
    return 0


def _unreached(problem: Exception, access: VaultAccess) -> str:
    if isinstance(problem, requests.exceptions.SSLError):
        return f"the certificate of {access.url} is not trusted. Set VAULT_CACERT to the file of the authority that signed it."
    if isinstance(problem, requests.Timeout):
        return f"{access.url} did not answer in {ANSWER_S:.0f} s. Is it reachable from here?"
    if isinstance(problem, requests.RequestException):
        return f"{access.url} cannot be reached. Is it running, and is VAULT_ADDR right?"
    return f"VAULT_CACERT is {access.ca_cert!r}, which cannot be read. Check the path."
