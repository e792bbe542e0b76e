"""A certificate authority of the tests' own (trustme), and servers' and clients' certificates signed by it, as files."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme


class Authority:
    """folder: where its files go; they are named after what they are for."""

    def __init__(self, folder: Path, name: str = "ca"):
        self._folder, self._ca = folder, trustme.CA()
        self.file = str(folder / f"{name}.pem")
        self._ca.cert_pem.write_to_path(self.file)

    def sign(self, name: str, *identities: str, days: float = 30) -> tuple[str, str]:
        """(certificate, key) for these host names and addresses. days: until it ends; negative: since."""
        ends = datetime.now(timezone.utc) + timedelta(days=days)
        made = self._ca.issue_cert(*(identities or ("127.0.0.1",)), not_before=ends - timedelta(days=90), not_after=ends)
        cert, key = str(self._folder / f"{name}.pem"), str(self._folder / f"{name}-key.pem")
        for number, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(cert, append=number > 0)
        made.private_key_pem.write_to_path(key)
        return cert, key

    def asking(self, *ours: str) -> ssl.SSLContext:
        """What a client asks with that trusts it. ours: certificate and key to show."""
        context = ssl.create_default_context(cafile=self.file)
        if ours:
            context.load_cert_chain(*ours)
        return context

    def serving(self, name: str = "server", *identities: str, days: float = 30, clients: Authority | None = None) -> ssl.SSLContext:
        """What a server serves with. clients: only those that show a certificate signed by it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign(name, *identities, days=days))
        if clients:
            context.load_verify_locations(clients.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
