"""Faults of our own: words and an incident for whoever asked, the cause for the log alone."""

import asyncio
import json
import re

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from maisale.access.mishaps import Mishaps

SECRET = "no such table: /srv/maisale/data/sqlite.db"


async def raises(_scope, _receive, _send):
    raise KeyError(SECRET)


async def raises_behind_starlette(scope, receive, send):
    await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
    raise KeyError(SECRET)


async def answers(scope, receive, send):
    await JSONResponse({"error": SECRET}, 500)(scope, receive, send)


async def breaks_off(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError(SECRET)


def served(app):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Mishaps(app)({"type": "http", "method": "GET", "path": "/v1/x"}, None, send))
    return sent


@pytest.mark.parametrize("app", [raises, raises_behind_starlette, answers])
def test_the_answer_and_the_log_name_the_same_incident(app, caplog):
    start, body = served(app)
    said = json.loads(body["body"])
    found = re.search(r"incident ([0-9a-f]{8})", said["error"])[1]
    assert start["status"] == 500 and said["kind"] == "Broken" and SECRET not in body["body"].decode() and "KeyError" not in body["body"].decode()
    (record,) = [one for one in caplog.records if f"incident {found}: GET '/v1/x'" in one.getMessage()]
    assert SECRET in f"{record.getMessage()} {record.exc_info}"


def test_what_had_begun_is_cut_off_so_that_nobody_takes_it_for_the_whole():
    with pytest.raises(KeyError):
        served(breaks_off)


def test_what_is_well_passes_untouched():
    start, body = served(JSONResponse({"fine": True}, 404))
    assert (start["status"], body["body"]) == (404, b'{"fine":true}')
