"""A real HTTP server that speaks the part of HashiCorp Vault's protocol that Mai-Sale uses, strictly: key-value engines of both versions, AppRole
login, lookup-self and renew-self.

Refused as Vault refuses: no token or a wrong one (403), a path that is not allowed (403) or not there (404), a deleted version (404 with metadata),
a used secret id (400), a token that is not renewable (400), a request without X-Vault-Request where that is asked for. Leases are whole seconds and
really end. Left out: policies beyond a list of paths, everything that Mai-Sale never calls.
"""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Token:
    ttl_s: int = 0  # 0: it does not end
    most_s: int = 0  # its longest life; 0: without one
    renewable: bool = True
    denied: tuple[str, ...] = ()  # paths of secrets
    made_at: float = field(default_factory=time.monotonic)
    renewed_at: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return self.renewed_at + self.lease_s - time.monotonic() if self.ttl_s else float("inf")

    @property
    def lease_s(self) -> int:
        """Vault cuts a lease at the end of the token's longest life."""
        return min(self.ttl_s, max(0, int(self.made_at + self.most_s - self.renewed_at))) if self.most_s else self.ttl_s


class FakeVault:
    """`with FakeVault() as vault:` serves `vault.url`. certificate: (chain with key, None) for HTTPS."""

    def __init__(self, certificate: Path | None = None, namespace: str = ""):
        self.namespace = namespace
        self.tokens: dict[str, Token] = {"hvs.root-of-the-test-vault": Token()}
        self.roles: dict[str, tuple[str, Token, int]] = {}  # role id -> secret id, what its tokens are like, uses left
        self.secrets: dict[str, dict] = {}  # mount/path -> fields
        self.deleted: set[str] = set()
        self.first_version: set[str] = set()  # mounts of engines of version 1
        self.sealed = False
        self.logins = 0
        self.renewed = threading.Semaphore(0)  # released at each renewal
        self.logged_in = threading.Semaphore(0)
        self.refused = threading.Semaphore(0)  # of renewals
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeVault:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def make_token(self, **like) -> str:
        made = f"hvs.{secrets.token_urlsafe(24)}"
        self.tokens[made] = Token(**like)
        return made

    def make_role(self, uses: int = 1000, **like) -> tuple[str, str]:
        role_id, secret_id = secrets.token_hex(16), secrets.token_hex(16)
        self.roles[role_id] = (secret_id, Token(**like), uses)
        return role_id, secret_id

    def answer(self, method: str, path: str, headers, body: dict | None) -> tuple[int, object]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get("X-Vault-Request") != "true":
            return 412, {"errors": ["missing header"]}
        if headers.get("X-Vault-Namespace", "") != self.namespace:
            return 404, {"errors": ["no handler for route"]}
        if (method, path) == ("POST", "/v1/auth/approle/login"):
            return self._log_in(body)
        token = self.tokens.get(headers.get("X-Vault-Token", ""))
        if token is None or token.left_s <= 0:
            if path == "/v1/auth/token/renew-self":
                self.refused.release()
            return 403, {"errors": ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}
        if (method, path) == ("GET", "/v1/auth/token/lookup-self"):
            ttl = 0 if not token.ttl_s else int(token.left_s)
            ends = "2026-11-27T12:00:00Z" if token.ttl_s else None
            return 200, {"data": {"ttl": ttl, "expire_time": ends, "renewable": token.renewable, "id": headers["X-Vault-Token"]}}
        if (method, path) == ("POST", "/v1/auth/token/renew-self"):
            return self._renew(token, headers["X-Vault-Token"])
        return self._read(path.removeprefix("/v1/"), token) if method == "GET" else (405, {"errors": []})

    def _log_in(self, body: dict | None) -> tuple[int, object]:
        if not isinstance(body, dict) or set(body) != {"role_id", "secret_id"}:
            return 400, {"errors": ["missing role_id"]}
        secret_id, like, uses = self.roles.get(body["role_id"], ("", None, 0))
        if not uses or body["secret_id"] != secret_id:
            return 400, {"errors": ["invalid role or secret ID"]}
        self.roles[body["role_id"]] = (secret_id, like, uses - 1)
        made = self.make_token(ttl_s=like.ttl_s, most_s=like.most_s, renewable=like.renewable, denied=like.denied)
        self.logins += 1
        self.logged_in.release()
        return 200, {"auth": {"client_token": made, "lease_duration": like.ttl_s, "renewable": like.renewable}}

    def _renew(self, token: Token, name: str) -> tuple[int, object]:
        if not token.ttl_s or not token.renewable:
            self.refused.release()
            return 400, {"errors": ["lease is not renewable"]}
        token.renewed_at = time.monotonic()
        self.renewed.release()
        return 200, {"auth": {"client_token": name, "lease_duration": token.lease_s, "renewable": True}}

    def _read(self, path: str, token: Token) -> tuple[int, object]:
        mount, _, rest = path.partition("/")
        if mount in self.first_version:
            found = self.secrets.get(f"{mount}/{rest}")
            return (200, {"data": found, "lease_duration": 2_764_800}) if found else (404, {"errors": []})
        if not rest.startswith("data/"):
            return 404, {"errors": [], "warnings": ["Invalid path for a versioned K/V secrets engine."]}
        place = f"{mount}/{rest.removeprefix('data/')}"
        if place in token.denied or mount not in {one.partition("/")[0] for one in self.secrets}:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        about = {"version": 1, "created_time": "2026-11-27T00:00:00Z", "deletion_time": "", "destroyed": False}
        if place in self.deleted:
            return 404, {"data": {"data": None, "metadata": {**about, "deletion_time": "2026-11-27T01:00:00Z"}}}
        if place not in self.secrets:
            return 404, {"errors": []}
        return 200, {"data": {"data": self.secrets[place], "metadata": about}, "lease_duration": 0, "renewable": False}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = vault.answer(self.command, unquote(urlsplit(self.path).path), self.headers, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

        return Handler
