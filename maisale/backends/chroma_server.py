"""A Chroma server as the home of the vector index. It has no access control of its own: it belongs on a private network, behind a proxy that checks.

chromadb 1.5.9's server dies over torn HNSW files as its PersistentClient does; what it lost is brought again from SQL.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import chromadb
import httpx
from chromadb.config import Settings
from chromadb.errors import ChromaError

from maisale.errors import IndexUnavailable


class ChromaServer:
    """chroma.Home at a URL. Several workers may use it at once."""

    def __init__(self, url: str):
        self._url = url

    def look(self) -> bool:
        """False: others write to it too, so its keys are compared with SQL at each start."""
        return False

    def open(self, closed: bool) -> chromadb.ClientAPI:
        """Raises IndexUnavailable while it cannot be reached."""
        parts = urlsplit(self._url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        settings = Settings(_env_file=None, anonymized_telemetry=False)
        try:
            return chromadb.HttpClient(parts.hostname, port, ssl=parts.scheme == "https", settings=settings)
        except (ValueError, OSError, httpx.HTTPError, ChromaError) as problem:
            raise IndexUnavailable(f"The Chroma server {self._url} cannot be reached ({problem}).") from problem

    def empty(self) -> None:
        """Removes our indexes; others may keep their own there."""
        client = self.open(closed=True)
        for found in client.list_collections():
            if {"tenant", "embedder", "kind"} <= (found.metadata or {}).keys():
                client.delete_collection(found.name)

    def closed(self, well: bool) -> None:
        """Nothing to note."""

    def release(self) -> None:
        """Nothing to let go of."""
