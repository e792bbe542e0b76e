"""A small real Gradio page behind the door, with two people of one tenant, one of another, and their keys."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from door import Person, build_app, gr, serving

from maisale.access import gate, people
from maisale.backends.sqlite import SQLiteDatabase
from maisale.config import Settings
from maisale.store.schema import MIGRATIONS


def whoami(greeting: str, mark: str = "!", request: gr.Request = None) -> str:
    return f"{greeting} {gate.caller(request).user.name}{mark}"


async def count(to: int) -> int:
    for number in range(to):
        yield number
        await asyncio.sleep(0.1)


async def wait_silently(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def size_of(document: dict) -> int:
    with open(document["path"], "rb") as file:
        return len(file.read())


def hidden(word: str, request: gr.Request = None) -> str:
    return gate.caller(request).user.name


def complain(word: str):
    raise gr.Error(f"{word} is not allowed", print_exception=False)


def add_one(before: int):
    return before + 1, before + 1


def build_page() -> gr.Blocks:
    with gr.Blocks() as page:
        box = gr.Textbox()
        box.submit(complain, box, box, queue=False, api_visibility="private", api_name="complain")
        tally, number = gr.State(0), gr.Number(visible=False)
        gr.Button("Count").click(add_one, tally, [tally, number], api_name="tally")
        for function in (whoami, count, wait_silently, size_of):
            gr.api(function)
        gr.api(hidden, api_visibility="private")
    return page


@pytest.fixture(scope="session")
def door(tmp_path_factory):
    """The running server: url, db, page, and the people linh, minh (same tenant) and hoa (another one)."""
    folder = tmp_path_factory.mktemp("door")
    db = SQLiteDatabase(folder / "sqlite.db", MIGRATIONS)
    settings = Settings(data_dir=folder, admin_key="the admin's own key", rate_limit=1000)
    people.make_first_admin(db, settings)
    page = build_page()
    with serving(build_app(page, db, settings)) as url:
        known = {name: Person(url, *people.add_user(db, tenant, name)) for name, tenant in (("linh", "sales"), ("minh", "sales"), ("hoa", "support"))}
        numbers = {function.api_name: number for number, function in page.fns.items()}
        yield SimpleNamespace(url=url, db=db, page=page, numbers=numbers, anyone=httpx.Client(base_url=url, timeout=20), **known)
    db.close()


@pytest.fixture
def linh(door):
    return door.linh


@pytest.fixture(params=["minh", "hoa"])
def other(door, request):
    """Another person: of linh's tenant, and of another one."""
    return getattr(door, request.param)
