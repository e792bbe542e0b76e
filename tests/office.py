"""The gate, /v1 and the named functions over real services, served in this process; and people of two tenants who call it."""

import contextlib
import json
import time
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
from door import Person, build_app, gr, serving
from fastapi import FastAPI

from maisale.access import keys, people, sessions
from maisale.api import files, listing, mcp, v1
from maisale.api.endpoints import declare
from maisale.api.openai.refusals import AsOpenAI
from maisale.chat.replies import Replies
from maisale.config import Settings
from maisale.errors import Overloaded
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.services import Services, open_services
from maisale.store import jobs

ADMIN_KEY = "an admin key of the tests"
NOWHERE = "http://127.0.0.1:9"  # the discard port: answers are quotations
RETURNS = "# Returns\n\nA customer may return a filter within 30 days with the receipt."
QUESTION = "Within how many days may a customer return a filter?"


@dataclass
class Office:
    """admin: with X_API_KEY_ADMIN. mai: an admin of the tenant sales; linh and minh: its members. hoa: a member of support."""

    url: str
    services: Services
    page: gr.Blocks
    admin: Person
    mai: Person
    linh: Person
    minh: Person
    hoa: Person

    def anyone(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def with_key(self, text: str) -> httpx.Client:
        return self.anyone(**{"X-API-Key": text})

    def browser(self, key: str) -> httpx.Client:
        """Signed in by cookie, sending what our own page would."""
        client = self.anyone(**{"Sec-Fetch-Site": "same-origin"})
        assert client.post("/login", data={"key": key}).status_code == 303
        return client

    def fresh(self) -> httpx.Client:
        """The instance's admin with a fresh key."""
        return self.with_key(self.admin.http.post("/v1/keys/fresh", json={}).json()["key"])

    def hire(self, tenant: str, name: str, role: str = "member") -> Person:
        return Person(self.url, *people.add_user(self.services.db, tenant, name, role))

    def key_of(self, person: Person, **wanted) -> httpx.Client:
        return self.with_key(keys.issue_key(self.services.db, person.user, **wanted)[1])

    def work_off(self) -> None:
        """Does the background work that waits, as the worker would."""
        indexing = Indexing(self.services, Embedders(self.services))
        while due := jobs.due(self.services.db, 10):
            for job_id in due:
                if job := jobs.claim(self.services.db, job_id):
                    indexing.do(job)


@contextlib.contextmanager
def open_office(folder, ollama: str = NOWHERE, **settings):
    made = Settings(
        data_dir=folder / "data", admin_key=ADMIN_KEY, ollama_urls=(ollama,), **{"vectors": "exact", "upload_mb": 1, "rate_limit": 1000, **settings}
    )
    services = open_services(made, "app")
    admin = people.make_first_admin(services.db, made)
    life = SimpleNamespace(replies=None)

    def running() -> Replies:
        if life.replies is None:
            raise Overloaded("Mai-Sale is starting. Try again in a moment.")
        return life.replies

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        life.replies = Replies(services)
        yield
        await life.replies.close()

    with gr.Blocks() as page:
        declare(running)
    hired = {
        name: people.add_user(services.db, tenant, name, role)
        for name, tenant, role in (("mai", "sales", "tenant_admin"), ("linh", "sales", "member"), ("minh", "sales", "member"), ("hoa", "support", "member"))
    }
    def add_routes(app: FastAPI) -> None:
        app.include_router(files.router(running))
        app.router.routes.append(mcp.route(running))
        app.mount("/v1", v1.build(running, lambda: listing.everything(app, page)))

    with serving(AsOpenAI(build_app(page, services.db, made, lifespan, add_routes))) as url:
        yield Office(url, services, page, Person(url, admin, ADMIN_KEY), **{name: Person(url, *one) for name, one in hired.items()})
    services.close()


def ask(client: httpx.Client, text: str = QUESTION, conversation_id: str = "", **choice) -> dict:
    """Asks over REST, in a new conversation unless one is named; returns what acknowledged it."""
    conversation_id = conversation_id or client.post("/v1/conversations", json={}).json()["id"]
    answer = client.post(f"/v1/conversations/{conversation_id}/messages", json={"text": text, **choice})
    assert answer.status_code == 202, answer.text
    return answer.json()


def events(client: httpx.Client, reply_id: str, last_event_id: str | None = None):
    """(kind, data, id) of each event, as they come."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
    with client.stream("GET", f"/v1/replies/{reply_id}/events", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        event = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif "data" in event:
                yield event["event"], json.loads(event["data"]), event.get("id")
                event = {}


def answered(client: httpx.Client, text: str = QUESTION, conversation_id: str = "", **choice) -> dict:
    """The whole answer to a question."""
    kind, whole, _ = list(events(client, ask(client, text, conversation_id, **choice)["reply_id"]))[-1]
    assert kind == "done"
    return whole


def upload(client: httpx.Client, text: str | bytes = RETURNS, name: str = "returns.md", **form: str) -> httpx.Response:
    return client.post("/v1/documents", files={"file": (name, text)}, data=form)


def wait_for(condition, wait_s: float = 10):
    ends = time.monotonic() + wait_s
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)
    return found


def invitation_key(office: Office, user) -> str:
    """The key that an invitation of this person makes."""
    return sessions.use_link(office.services.db, sessions.make_invitation(office.services.db, user))[1]
