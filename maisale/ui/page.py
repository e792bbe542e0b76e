"""The page: one frame of three panes, and which event calls which handler. What handlers do is in chat.py, shelf.py and people.py, the look in theme.py.

Every panel is one gr.HTML: a small page keeps Gradio's sessions cheap. Nothing is read before the page is loaded by somebody signed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from maisale.api.endpoints import declare
from maisale.chat.ask import QUESTION_CHARACTERS
from maisale.chat.replies import Replies
from maisale.ui import theme
from maisale.ui.chat import Chat
from maisale.ui.people import People
from maisale.ui.scene import WorkerWatch
from maisale.ui.screen import Screen
from maisale.ui.shelf import CLOCK_S, Shelf

TITLE = "Mai-Sale"
BARE = {"container": False, "show_label": False}
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


def build(running: Callable[[], Replies]) -> gr.Blocks:
    """The page. running: the replies of the app's life, asked for at each event."""
    # Uploads are copied into the library at once; what Gradio kept of them goes after a day.
    with gr.Blocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        declare(running)  # first: an event of the page that bears an endpoint's name must not take it
        parts = _frame()
        worker = WorkerWatch()
        _wire(demo, parts, Chat(running, worker), Shelf(running, worker), People(running))
    return demo


def appearance() -> dict[str, Any]:
    """What gr.mount_gradio_app needs besides the page itself."""
    return {"theme": theme.theme(), "head": theme.head()}


def _frame() -> dict[str, Any]:
    """The components by name; those of Screen bear its names."""
    parts: dict[str, Any] = {}
    with gr.Row(elem_id="shell"):
        with gr.Column(elem_id="rail", min_width=0):
            parts["rail"] = _panel("rail", elem_id="rail-html")
        with gr.Column(elem_id="main", min_width=0):
            parts["header"] = _panel("header", elem_classes="for-chat")
            parts["banners"] = _panel("banners")
            parts["empty"] = _panel("empty", elem_id="empty", elem_classes="for-chat")
            parts["chat"] = gr.Chatbot(elem_id="chat", elem_classes="for-chat", height="100%", buttons=["copy"], latex_delimiters=[], **BARE)
            parts["verdicts"] = _panel("verdicts", elem_id="verdicts", elem_classes="hidden-field")
            with gr.Column(elem_id="composer-wrap", elem_classes="for-chat", min_width=0):
                parts["chosen"] = _panel("chosen")
                parts["attached"] = _panel("attached", elem_id="attached")
                parts["composer"] = gr.MultimodalTextbox(
                    elem_id="composer",
                    value={"text": "", "files": []},
                    sources=["upload"],
                    file_count="multiple",
                    max_lines=8,
                    max_plain_text_length=QUESTION_CHARACTERS,
                    **BARE,
                )
                parts["under"] = _panel("under")
            parts["documents"] = _panel("documents", elem_id="documents", elem_classes="for-documents")
            parts["account"] = _panel("account", elem_id="account", elem_classes="for-account")
            parts["people"] = _panel("people", elem_id="people", elem_classes="for-people")
            with gr.Column(elem_id="library-upload", elem_classes="hidden-field", min_width=0):
                parts["upload"] = gr.UploadButton(file_count="multiple")
            for name in ("conversation", "choice", "seen", "place"):
                parts[name] = gr.Textbox("", elem_classes="hidden-field", **BARE)
        with gr.Column(elem_id="sources-col", elem_classes="for-chat", min_width=0):
            parts["sources"] = _panel("sources")
    parts["clock"] = gr.Timer(CLOCK_S)
    return parts


def _panel(name: str, **where: Any) -> gr.HTML:
    return gr.HTML("", js_on_load=f"maisale.panel('{name}', element, trigger, watch)", apply_default_css=False, padding=False, **where)


def _wire(demo: gr.Blocks, parts: dict[str, Any], chat: Chat, shelf: Shelf, people: People) -> None:
    """Events to handlers. A question is accepted by one event and followed by the next: the answer outlives both."""
    screen = [parts[name] for name in Screen.PARTS]
    conversation, choice = parts["conversation"], parts["choice"]
    here = [conversation, choice]

    def follow(event: Any) -> None:
        event.then(chat.follow, [conversation], screen, trigger_mode="multiple", **QUIET)

    follow(demo.load(chat.load, here, screen, js="(c, choice) => [maisale.asked(), choice]", **QUIET))
    listed = parts["rail"].select(chat.rail_acts, here, screen, trigger_mode="multiple", **QUIET)
    listed.then(None, None, None, js="() => { maisale.listed(); }", trigger_mode="multiple", **QUIET)
    follow(listed)
    # A second question may be sent while the first is accepted: "once", Gradio's default, would drop it.
    sent, box = "(composed, c, choice) => maisale.sent(composed, c, choice)", [parts["composer"]]
    asked = parts["composer"].submit(chat.ask, [*box, *here], screen, js=sent, trigger_mode="multiple", **QUIET)
    follow(asked)
    asked.success(None, [parts["under"]], None, js="(under) => { maisale.taken(under); }", trigger_mode="multiple", **QUIET)
    asked.failure(None, None, None, js="() => { maisale.unsent(); }", trigger_mode="multiple", **QUIET)
    parts["under"].click(None, box, box, js="(now) => maisale.typed(now)", trigger_mode="multiple", **QUIET)
    follow(parts["empty"].select(chat.suggested, here, screen, **QUIET))
    follow(parts["sources"].retry(chat.ask_again, here, screen, **QUIET))
    parts["composer"].stop(chat.stop, [conversation], None, **QUIET)
    parts["sources"].select(chat.show_sources, [conversation], screen, **QUIET)
    parts["verdicts"].select(chat.judge, [conversation], screen, **QUIET)
    parts["header"].select(chat.choose, here, screen, **QUIET)
    parts["documents"].select(shelf.page_acts, None, screen, trigger_mode="multiple", **QUIET)  # "once" would drop the last letters of a search
    parts["attached"].select(shelf.attached_acts, [conversation], screen, **QUIET)
    parts["upload"].upload(shelf.add, [parts["upload"]], screen, **QUIET)
    # "once" would drop what leaves a page, and a secret with it.
    parts["account"].select(people.account_acts, None, screen, trigger_mode="multiple", **QUIET)
    parts["people"].select(people.people_acts, None, screen, trigger_mode="multiple", **QUIET)
    said = parts["account"].apply(shelf.set_language, None, None, **QUIET)
    said.then(None, None, None, js="() => location.reload()", **QUIET)
    conversation.change(None, [conversation], None, js="(id) => { maisale.opened(id); }", **QUIET)

    changing = [parts[name] for name in ("banners", "header", "attached", "documents", "seen")]
    parts["clock"].tick(
        shelf.tick, [*here, parts["seen"], parts["place"]], changing, js="(c, choice, seen) => [c, choice, seen, maisale.page()]", queue=False, **QUIET
    )
