"""Somebody signed in with a key of theirs, and what the account page and the people page answer when called as Gradio calls them."""

import asyncio

import gradio as gr
from starlette.requests import Request

from maisale.access import keys, sessions
from maisale.access.limits import Limits
from maisale.chat.replies import Replies
from maisale.records import Caller
from maisale.store import accounts
from maisale.ui.people import People
from maisale.ui.screen import Screen


class Browser:
    """Somebody signed in with a key of theirs, and what the two pages answer."""

    def __init__(self, services, user, permissions=None, per_second=1000, language="en"):
        self.services, self.user = services, user
        self.key, self.text = keys.issue_key(services.db, user, "first key", permissions or keys.permissions_of(user))
        self.session = sessions.sign_in(services.db, self.text)
        self.limits = Limits(per_second)
        self.language = language

    @property
    def caller(self) -> Caller:
        return sessions.caller_of_session(self.services.db, self.session)

    def on(self, page, **sent) -> str:
        """The page after this was sent to it."""
        return self.calls(lambda replies: getattr(People(lambda: replies), f"{page}_acts")(self.request(), gr.EventData(None, sent)))[
            Screen.PARTS.index(page)
        ]

    def calls(self, handler):
        """What a handler answers. handler: from the running replies to what is awaited."""

        async def run():
            replies = Replies(self.services)
            try:
                return await handler(replies)
            finally:
                await replies.close()

        return asyncio.run(run())

    def request(self) -> gr.Request:
        headers = [(b"cookie", f"maisale_language={self.language}".encode()), (b"host", b"mai.test")]
        scope = {"type": "http", "scheme": "http", "path": "/gradio_api/queue/join", "client": ("10.0.0.7", 1), "query_string": b"", "headers": headers}
        return gr.Request(request=Request({**scope, "caller": self.caller, "limits": self.limits}), session_hash="tab")

    def type_again(self, **step) -> str:
        return self.on("people", do="fresh", key=self.text, **step)


def person(services, tenant, name, role="member"):
    return services.db.write(lambda tx: accounts.add_user(tx, tenant, name, role))
