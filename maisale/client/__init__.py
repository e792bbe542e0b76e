"""Mai-Sale from any Python program: needs httpx and nothing else of the server.

    with MaiSale("http://127.0.0.1:7860", key) as maisale:
        answer = maisale.ask("How long is the warranty?")
        print(answer["text"], answer["citations"])
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx


class Refused(Exception):
    """What the server says against it, in a sentence. kind: such as NotFound or TooOften. retry_after_s: when trying again may help."""

    def __init__(self, words: str, status: int, kind: str, retry_after_s: float | None = None):
        super().__init__(words)
        self.status, self.kind, self.retry_after_s = status, kind, retry_after_s


class MaiSale:
    """A connection with a key. timeout_s: of silence; a stream says something every 15 s. Raises Refused, or httpx's errors when nobody answers."""

    def __init__(self, url: str, key: str, timeout_s: float = 60.0):
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/v1", headers={"X-API-Key": key}, timeout=timeout_s)

    def __enter__(self) -> MaiSale:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ask(self, question: str, conversation_id: str = "", collections: Sequence[str] = (), documents: Sequence[str] = ()) -> dict[str, Any]:
        """The whole answer: text with [n], citations, conversation_id to go on with, and how the sources were found.

        conversation_id: goes on there; without it a new conversation begins. collections (by name), documents (by id): only these.
        """
        conversation_id = conversation_id or self._send("POST", "/conversations", json={})["id"]
        sent = {"text": question, "collections": list(collections), "documents": list(documents)}
        reply_id = self._send("POST", f"/conversations/{conversation_id}/messages", json=sent)["reply_id"]
        answer = self._ended(reply_id)
        if answer["state"] == "failed":
            raise Refused(answer["error"], 502, "ModelFailed")
        return answer

    def search(self, query: str, limit: int = 10, collections: Sequence[str] = (), conversation_id: str = "") -> list[dict[str, Any]]:
        """Passages without an answer, best first: title, place, text, score and more. conversation_id: that conversation's files too."""
        return self._send("GET", "/search", params={"q": query, "limit": limit, "collection": list(collections), "conversation_id": conversation_id})

    def _ended(self, reply_id: str) -> dict[str, Any]:
        while True:
            with self._http.stream("GET", f"/replies/{reply_id}/events") as stream:
                if stream.is_error:
                    stream.read()
                    _checked(stream)
                for line in stream.iter_lines():
                    if line.startswith("data: "):
                        event = json.loads(line[6:])
                        if event.get("done"):
                            return event

    def _send(self, method: str, path: str, **what: Any) -> Any:
        return _checked(self._http.request(method, path, **what)).json()


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        said = answer.json()
        words, kind = said["error"], said["kind"]
    except (ValueError, KeyError, TypeError):
        words, kind = f"The server answered {answer.status_code}. Is this the address of Mai-Sale?", "Unknown"
    wait = answer.headers.get("retry-after", "")
    raise Refused(words, answer.status_code, kind, float(wait) if wait.isdecimal() else None)
