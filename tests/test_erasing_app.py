"""A deletion from outside: a file goes in through Gradio's own upload, and its bytes are out of data/ after `compact` beside the running app."""

import json
import threading
import time

import httpx
from running import ADMIN_KEY, RunningApp

MARK, INSIDE = "Vexillotrope", b"exillotrop"
TEXT = f"# Seals\n\nThe purifier bears the {MARK} seal and is under warranty for 24 months."
FILTERS = b"# Filters\n\nThe Brackenwald filter of the softener lasts six months."


def until(condition, wait_s=240.0):
    ends = time.monotonic() + wait_s
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.1)
    return found


def test_its_bytes_leave_the_data_folder_beside_the_running_app(tmp_path):
    with RunningApp(tmp_path) as app, httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=30) as http:
        data = tmp_path / "data"

        def holding():
            return sorted({path.relative_to(data).parts[0] for path in data.rglob("*") if path.is_file() and INSIDE in path.read_bytes()})

        (path,) = http.post("/gradio_api/upload", files={"files": ("seals.md", TEXT.encode())}).json()
        event = http.post("/gradio_api/call/v2/add_document", json={"file": {"path": path, "orig_name": "seals.md"}}).json()["event_id"]
        added = http.get(f"/gradio_api/call/v2/add_document/{event}").text
        document = json.loads(added.split("data: ")[1].splitlines()[0])[0]["id"]
        kept = http.post("/v1/documents", files={"file": ("filters.md", FILTERS)}).json()["id"]
        for one in (document, kept):
            until(lambda one=one: http.get(f"/v1/documents/{one}").json()["stage"] == "complete")
        talk = http.post("/v1/conversations", json={"title": "Talk"}).json()["id"]
        reply = http.post(f"/v1/conversations/{talk}/messages", json={"text": "How long is the purifier under warranty?"}).json()["reply_id"]
        answer = until(lambda: (found := http.get(f"/v1/replies/{reply}").json())["done"] and found)
        assert document in {one["document_id"] for one in answer["citations"]}
        assert {"files", "gradio"} < set(holding()) and {"sqlite.db", "sqlite.db-wal"} & set(holding())

        receipt = http.delete(f"/v1/documents/{document}").json()["erasure_id"]
        assert MARK not in http.get("/v1/search", params={"q": f"{MARK} seal"}).text
        assert MARK not in http.get(f"/v1/conversations/{talk}").text
        assert http.get(f"/v1/erasures/{receipt}").json()["state"] == "pending" and holding()

        stop, asked = threading.Event(), []

        def ask():
            while not stop.is_set():
                asked.append(http.post(f"/v1/conversations/{http.post('/v1/conversations', json={}).json()['id']}/messages", json={"text": "And the filter?"}))
                time.sleep(0.2)

        asking = threading.Thread(target=ask)
        asking.start()
        done = app.command("compact")
        stop.set()
        asking.join()
        assert done.returncode == 0, done.stderr
        assert asked and {one.status_code for one in asked} == {202}  # people go on
        assert http.get(f"/v1/erasures/{receipt}").json()["state"] == "erased"
        assert holding() == []
        found = http.get("/v1/search", params={"q": "Brackenwald filter"}).json()
        assert found[0]["document_id"] == kept
        verified = app.command("verify")
        assert verified.returncode == 0, verified.stdout
