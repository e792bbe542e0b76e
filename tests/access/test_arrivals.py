"""The id of a request: taken when it looks like one, and never what could be a person's or a secret."""

import asyncio
import re

import pytest

from maisale.access.arrivals import Arrivals, request_id_of
from maisale.spans import origin

SANE = ["d644638eca1c47ba9a72c9a423c41c39", "7b0c3f9e-6a55-4c1d-9a6e-2f4f6a3f1b10", "01JDQ8Z5Y7F3K9M2N4P6R8S0TV", "req_1a2b3c4d5e6f7a8b"]
REPLACED = [
    "", "short1", "a" * 32, "1234567890123456", "4111111111111111", "0912345678", "anna.nguyen1@example.com", "a1 b2 c3 d4 e5 f6 g7", "a1" * 21,
    "a1b2c3d4e5f6a7b8\r\nX-Evil: 1", "DE89370400440532013000", "sk-proj-a1b2c3d4e5f6a7b8c9", "msk_0123456789abcdef_" + "a" * 43, "số1-" + "a" * 16,
]  # fmt: skip


def id_of(given):
    return request_id_of({"headers": [(b"host", b"x"), (b"x-request-id", given.encode())]})


@pytest.mark.parametrize("given", SANE)
def test_an_id_of_a_proxy_is_taken(given):
    assert id_of(given) == given


@pytest.mark.parametrize("given", REPLACED)
def test_what_is_no_id_is_replaced(given):
    assert re.fullmatch("[0-9a-f]{32}", id_of(given)) and id_of(given) != given


def test_the_answer_names_the_id_and_what_happens_within_belongs_to_it():
    seen, sent = {}, []

    async def inner(scope, _receive, send):
        seen.update(began=scope["began"], id=origin.get().request_id, kept=scope["origin"].request_id)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})

    async def send(message):
        sent.append(message)

    asyncio.run(Arrivals(inner)({"type": "http", "method": "GET", "path": "/", "headers": [(b"x-request-id", SANE[0].encode())]}, None, send))
    assert seen["began"] > 0 and seen["id"] == seen["kept"] == SANE[0]
    assert dict(sent[0]["headers"])[b"x-request-id"] == SANE[0].encode()
    assert origin.get().request_id == ""
