"""Fifty identifiers are uploaded and asked about in a running instance; then everything that it keeps is searched for each of them."""

import json
import re
import sqlite3
import time

import httpx
import pytest
from running import ADMIN_KEY, RunningApp

from fake_ollama import FakeOllama

PEOPLE = 5
# Where an original may stand: what people wrote and were answered, as they see it. Everything else is derived from it.
ORIGINALS = {
    "chunks.text", "chunks.title", "chunks.heading", "chunks.place", "messages.text", "messages.metadata", "conversations.title", "documents.title",
    "documents.source", "replies.citations", "replies.trace", "replies.thinking", "feedback.question", "feedback.citations", "feedback.trace",
    "feedback.comment",
}  # fmt: skip
NOTHING_WAITS = "SELECT count(*) FROM jobs WHERE state IN ('pending', 'running')"
KEPT_FILES = "data/files/"  # the uploaded bytes


def luhn(body):
    digits = [int(one) for one in body]
    doubled = [one if at % 2 else sum(divmod(2 * one, 10)) for at, one in enumerate(reversed(digits))]
    return f"{body}{-sum(doubled) % 10}"


def tax_code(number):
    weights = (31, 29, 23, 19, 17, 13, 7, 5, 3)
    check = 10 - sum(weight * int(digit) for weight, digit in zip(weights, number, strict=True)) % 11
    return f"{number}{check}" if check < 10 else None


def german_iban(account):
    bban = f"37040044{account:010d}"
    return f"DE{98 - int(bban + '131400') % 97:02d}{bban}"


def planted():
    """(kind, identifier) of five people and a few machines: fifty, each a run of characters that stands nowhere else."""
    taxes = (made for number in range(30_111_222, 30_111_999, 7) if (made := tax_code(f"{number:09d}")))
    for person in range(PEOPLE):
        yield "email", f"planted.person{person}@mailbox{person}.example"
        yield "phone", f"09{1 + person}7{person}{(person + 3) % 10}{person}618"
        yield "phone", f"+84 98{person} 42{person} 73{person}"
        yield "card", luhn(f"41112233{person}557799")
        yield "iban", german_iban(532_013_171 + 7919 * person)
        yield "citizen_id", f"0790850{person}7391{person}"[:12]
        yield "citizen_id", f"27{person}418{person}39"
        yield "tax_code", next(taxes)
        yield "ip", f"203.0.113.{201 + person}"
        yield "secret", f"sk-proj-pLaNtEd{person}x7Kd92mQpLz4Rt{person}"


PLANTED = list(dict.fromkeys(planted()))
SAYS = {
    "email": "Thư điện tử: {}", "phone": "Điện thoại {}", "card": "Thẻ {}", "iban": "IBAN {}", "citizen_id": "CCCD/CMND: {}", "tax_code": "MST {}",
    "ip": "Máy chủ IP {}", "secret": "API key: {}",
}  # fmt: skip


def spellings(kind, what):
    """How it could stand in a file: as it was written, without what parts it, and folded as words."""
    bare = re.sub(r"[^0-9A-Za-z]", "", what)
    folded = " ".join(re.findall(r"[^\W_]+", what.lower()))
    return {what, what.lower(), bare, bare.lower(), folded, *([what[4:]] if kind == "iban" else [])}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(the folder of an instance that has ended, what its model was sent): documents by upload, messages by chat, all complete."""
    folder = tmp_path_factory.mktemp("traces")
    with FakeOllama() as ollama, RunningApp(folder, ollama=ollama.url, VECTORS="chroma", KNOWLEDGE_DIR=str(folder / "knowledge")) as app:
        http = httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=60)
        tenant = http.get("/v1/me").json()["user"]["tenant_id"]
        assert http.patch(f"/v1/tenants/{tenant}", json={"model_sees_originals": False}).status_code == 200
        half = len(PLANTED) // 2
        for number in range(0, half, 5):
            lines = "\n\n".join(SAYS[kind].format(what) for kind, what in PLANTED[number : number + 5])
            files = {"file": (f"note{number}.md", f"# Notes {number}\n\n{lines}\n".encode())}
            assert http.post("/v1/documents", files=files).status_code == 202
        wait_for(folder, NOTHING_WAITS, 0)
        asked = [SAYS[kind].format(what) + f" thuộc về ai, câu {number}?" for number, (kind, what) in enumerate(PLANTED[half:])]
        for question in [*asked, *(f"{what} là của ai?" for _, what in PLANTED[:half])]:
            reply_id = ask(http, question)
            http.get(f"/v1/replies/{reply_id}/events")
            http.get("/v1/search", params={"q": question})
        wait_for(folder, NOTHING_WAITS, 0)
        assert {one["stage"] for one in http.get("/v1/documents").json()} == {"complete"}
        sent = json.dumps([request.body for request in ollama.requests if request.path != "/api/tags"], ensure_ascii=False, default=str)
    return folder, sent


def ask(http, question):
    conversation = http.post("/v1/conversations", json={}).json()["id"]
    answer = http.post(f"/v1/conversations/{conversation}/messages", json={"text": question})
    assert answer.status_code == 202, answer.text
    return answer.json()["reply_id"]


def wait_for(folder, sql, wanted, wait_s=120):
    ends, found = time.monotonic() + wait_s, None
    while time.monotonic() < ends:
        db = sqlite3.connect(folder / "data" / "sqlite.db", timeout=30)
        ((found,),) = db.execute(sql).fetchall()
        db.close()
        if found == wanted:
            return
        time.sleep(0.2)
    raise AssertionError(f"{found} and not {wanted} within {wait_s} s: {sql}")


def columns(path):
    """(table.column, all its values as one text) of a SQLite file; the tables of the word index by their words."""
    db = sqlite3.connect(path)
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        read = db.execute(f'SELECT * FROM "{table}"')
        names, rows = [one[0] for one in read.description], read.fetchall()
        for at, name in enumerate(names):
            values = (row[at] for row in rows)
            yield f"{table}.{name}", "\n".join(one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in values)
    db.close()


def held(text, kind, what):
    return any(one in text for one in spellings(kind, what))


def test_there_are_fifty_of_all_kinds():
    assert len(PLANTED) == 50 and {kind for kind, _ in PLANTED} == set(SAYS)


def test_only_the_columns_of_originals_hold_any(kept):
    folder, _ = kept
    found = {
        (column, kind)
        for path in (folder / "data").glob("*.db")
        for column, text in columns(path)
        for kind, what in PLANTED
        if column not in ORIGINALS and held(text, kind, what)
    }
    assert found == set()


def test_passages_and_messages_hold_every_original_and_answers_cite_it(kept):
    folder, _ = kept
    texts = dict(columns(folder / "data" / "sqlite.db"))
    assert [what for _, what in PLANTED if what not in texts["chunks.text"] or what not in texts["messages.text"]] == []
    cited = texts["replies.citations"]
    assert [what for _, what in PLANTED[: len(PLANTED) // 2] if what not in cited] == []


def test_no_file_beside_the_database_and_the_uploads_holds_any(kept):
    folder, _ = kept
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("sqlite.db")]
    assert any("chroma" in str(path) for path in files) and folder / "app.log" in files
    found = set()
    for path in files:
        name, text = path.relative_to(folder).as_posix(), path.read_bytes().decode("latin-1")
        if not name.startswith(KEPT_FILES):
            found |= {(name, kind, what) for kind, what in PLANTED if held(text, kind, what)}
    assert found == set()


def test_the_model_and_the_embedder_were_sent_none(kept):
    _, sent = kept
    assert "‹phone›" in sent and [what for kind, what in PLANTED if held(sent, kind, what)] == []


def test_every_document_reports_what_it_holds(kept):
    folder, _ = kept
    reports = [json.loads(one) for one in dict(columns(folder / "data" / "sqlite.db"))["documents.identifiers"].split("\n")]
    assert sum(sum(one.values()) for one in reports) == len(PLANTED) // 2
