"""The functions of the page, called by name and by number with the owner's things as their arguments.

Named ones stand in a table. Any other gets the owner's ids in every input and in the event of a panel, with all verbs that panels know; what a
function wants beyond that is in ACTS. All are judged by what they show, and by whether the owner's things are unchanged afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maisale.ops.probe_calls import HOST_FILE
from maisale.ops.probe_wire import Answer, Caller
from maisale.ops.probe_world import World, mark

OTHERS_S, OWNER_S = 3.0, 20.0  # for which a function's answer is read: the owner has to be shown something, also by a busy server
WAYS = ("call", "call/v2", "queue/join", "run")
IDS = ("conversation_id", "reply_id", "document_id", "file_id", "key_id", "user_id", "tenant_id")
TEXTS = 10  # inputs of a function that nobody has described
VERBS = ("open", "delete", "remove", "retry", "rename", "revoke", "rotate", "show")


@dataclass(frozen=True)
class Trial:
    """One call of a function. needs: the permission, of a named one. refused: others are refused in words. at_gate: before the function is called."""

    arguments: Mapping[str, Any] = field(default_factory=dict)  # of a named function, all of them in order
    needs: str = ""
    refused: bool = False
    at_gate: bool = False
    makes: bool = False  # something that the caller keeps
    shows: str = ""
    event: Mapping[str, str] | None = None  # of a page's function: what its panel sends
    texts: tuple[str, ...] = ("{conversation_id}",)  # of a page's function: its text inputs; those behind are empty
    files: bool = False  # of a page's function: its box of questions holds the owner's upload


_UPLOAD = {"path": "{path}", "meta": {"_type": "gradio.FileData"}}
_HOST = {"path": HOST_FILE, "orig_name": "host.txt", "meta": {"_type": "gradio.FileData"}}
_ASKS = {"question": "What is the code of {topics}?", "conversation_id": None, "collections": None, "documents": None}
_SEEKS = {"query": "{topics}", "limit": 50, "collections": None, "conversation_id": None}
NAMED: dict[str, tuple[Trial, ...]] = {
    "ask": (
        Trial({**_ASKS, "conversation_id": "{conversation_id}"}, "chat", refused=True),
        Trial({**_ASKS, "documents": ["{document_id}"]}, "chat", makes=True),
        Trial({**_ASKS, "collections": ["{collection}"]}, "chat", makes=True),
        Trial(_ASKS, "chat", makes=True),
    ),
    "new_conversation": (Trial({"title": "My own"}, "chat", makes=True),),
    "list_conversations": (Trial({"limit": 1000}, "read", shows="title"),),
    "get_conversation": (Trial({"conversation_id": "{conversation_id}"}, "read", refused=True, shows="title question document"),),
    "rename_conversation": (Trial({"conversation_id": "{conversation_id}", "title": "Taken over"}, "chat", refused=True),),
    "delete_conversation": (Trial({"conversation_id": "{conversation_id}"}, "chat", refused=True),),
    "search": (
        Trial(_SEEKS, "read", shows="document shared"),
        Trial({**_SEEKS, "conversation_id": "{conversation_id}"}, "read", refused=True, shows="file"),
        Trial({**_SEEKS, "collections": ["{collection}"]}, "read", refused=True, shows="document"),
    ),
    "list_documents": (
        Trial({"conversation_id": None}, "read", shows="document_name shared_name"),
        Trial({"conversation_id": "{conversation_id}"}, "read", refused=True, shows="file_name"),
    ),
    "add_document": (
        Trial({"file": _UPLOAD, "collection": None, "conversation_id": None}, refused=True, at_gate=True),
        Trial({"file": _HOST, "collection": None, "conversation_id": None}, refused=True, at_gate=True),
        Trial({"file": {"path": HOST_FILE, "orig_name": "host.txt"}, "collection": None, "conversation_id": None}, refused=True, at_gate=True),
        Trial({"file": {"path": ""}, "collection": None, "conversation_id": "{conversation_id}"}, "write", refused=True),
    ),
}
_CHOSEN = '[[], ["{document_id}", "{file_id}"]]'  # what a tab has chosen to search
ACTS: dict[str, tuple[Trial, ...]] = {
    "load": (Trial(shows="title question document file_name key comment"), Trial(texts=("", _CHOSEN)), Trial(texts=("{conversation_id}", _CHOSEN))),
    "follow": (Trial(shows="question document"), Trial(texts=("{running_conversation_id}",))),
    "stop": (Trial(texts=("{running_conversation_id}",)),),
    "rail_acts": tuple(Trial(event={"do": verb, "id": "{conversation_id}", "title": "Taken over"}) for verb in ("open", "rename", "delete")),
    "ask": (Trial(), Trial(files=True, at_gate=True)),
    "add": (Trial(at_gate=True),),
    "ask_again": (Trial(event={"again": "{reply_id}"}),),
    "judge": tuple(Trial(event={"reply": "{reply_id}", "verdict": verdict, "comment": "Taken over"}) for verdict in ("down", "")),
    "show_sources": tuple(Trial(event={"reply": "{short_reply_id}", "why": name}) for name in ("", "x.md")),
    "choose": (
        Trial(event={"names": "{collection}", "documents": "{document_id}\n{file_id}"}),
        Trial(event={"names": "{collection}", "documents": "{document_id}\n{file_id}"}, texts=()),
    ),
    "page_acts": (
        *(Trial(event={"do": do, "id": one}) for do in ("remove", "retry", "cancel") for one in ("{document_id}", "{shared_id}", "{file_id}")),
        *(Trial(event={"do": do, "id": "{document_id}"}) for do in ("retry-job", "skip-job")),
        Trial(event={"do": "steps", "id": "{document_id}", "opened": "{document_id}"}, shows="document_name"),
        Trial(event={"do": "show", "after": "{shared_id}", "letters": "1"}),
    ),
    "attached_acts": tuple(Trial(event={"do": do, "id": "{file_id}"}) for do in ("remove", "retry", "cancel")),
    "suggested": (Trial(event={"ask": "What is the code?"}),),
    "set_language": (Trial(event={"language": "en"}),),
    "tick": (Trial(texts=("{conversation_id}", "", "", "documents"), shows="title document_name"),),
}


@dataclass(frozen=True)
class Function:
    """As the server lists it."""

    number: int
    name: str
    public: bool
    inputs: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"fn {self.name}"

    @property
    def known_as(self) -> str:
        """Without the number that Gradio gives to a second function of the same name."""
        return re.sub(r"_\d+$", "", self.name)

    def trials(self) -> tuple[Trial, ...] | None:
        """None: it is named, and the table does not know it."""
        if self.public:
            return NAMED.get(self.name)
        return ACTS.get(self.known_as) or tuple(_any_act())


def _any_act() -> Iterator[Trial]:
    """For a function that nobody has described: every id of the owner's with every verb."""
    for one in IDS:
        value = "{" + one + "}"
        sent = {**dict.fromkeys(("title", "name"), "Taken over"), "role": "tenant_admin"}
        sent |= dict.fromkeys(("id", "reply", "again", "document", "key", "user", "tenant"), value)
        yield from (Trial(event={"do": verb, **sent}, texts=(value,) * TEXTS) for verb in VERBS)


async def call(world: World, caller: Caller, function: Function, trial: Trial, way: str) -> Answer:
    """The status of the call when it is refused at once, else all that the function answered."""
    session, read_s = mark(), OWNER_S if caller.kind == "owner" else OTHERS_S
    if function.public:
        positional = list(fill(trial.arguments, world).values())
    else:
        texts = iter(trial.texts)
        positional = [_input(kind, trial, texts, world) for kind in function.inputs]
    numbered: dict[str, Any] = {"fn_index": function.number, "data": positional, "session_hash": session}
    if trial.event is not None:
        numbered["event_data"] = fill(trial.event, world)
    if way == "run":
        return await world.line.send(caller, "POST", "/gradio_api/run/predict", json=numbered)
    if way == "queue/join":
        joined = await world.line.send(caller, "POST", "/gradio_api/queue/join", json=numbered)
        if joined.status != 200:
            return joined
        return await world.line.send(caller, "GET", "/gradio_api/queue/data", params={"session_hash": session}, read_s=read_s)
    named = {name: value for name, value in fill(trial.arguments, world).items() if value is not None}
    called = await world.line.send(caller, "POST", f"/gradio_api/{way}/{function.name}", json=named if way == "call/v2" else {"data": positional})
    if called.status != 200:
        return called
    return await world.line.send(caller, "GET", f"/gradio_api/{way}/{function.name}/{called.json()['event_id']}", read_s=read_s)


def was_refused(answer: Answer) -> bool:
    """Whether a function ended with an error, in any of the forms that Gradio gives it."""
    return answer.status >= 400 or "event: error" in answer.text or '"success":false' in answer.text.replace(" ", "")


def fill(value: Any, world: World) -> Any:
    """`value` with the owner's values in place of its {names}; a {name} alone becomes the value itself."""
    if isinstance(value, str):
        alone = re.fullmatch(r"\{(\w+)\}", value)
        if alone and alone[1] in world.values:
            return world.values[alone[1]]
        return re.sub(r"\{(\w+)\}", lambda found: str(world.values.get(found[1], found[0])), value)
    if isinstance(value, Mapping):
        return {name: fill(one, world) for name, one in value.items()}
    if isinstance(value, list):
        return [fill(one, world) for one in value]
    return value


def _input(kind: str, trial: Trial, texts: Iterator[str], world: World) -> Any:
    """A plausible value of a component, naming the owner's things."""
    if kind == "MultimodalTextbox":
        return {"text": fill("What is the code of {topics}?", world), "files": [fill(_UPLOAD, world)] if trial.files else []}
    if kind in ("UploadButton", "File"):
        return [fill(_UPLOAD, world)]
    return fill(next(texts, ""), world)


def as_sent(trial: Trial, world: World) -> str:
    """All that a trial sends, as text: what comes back of it is no finding."""
    return json.dumps([fill(trial.arguments, world), fill(trial.event or {}, world)], ensure_ascii=False)
