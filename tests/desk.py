"""One person's library and questions, in this process: documents are read at once, answers are quotations."""

import asyncio

from maisale.chat.explain import explain
from maisale.chat.replies import Replies
from maisale.errors import NotFound
from maisale.library.documents import add_document
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.records import Caller
from maisale.store import accounts, conversations, jobs

WARRANTY = "# Warranty\n\nThe RO-9 purifier is under warranty for 24 months from the date of purchase."
QUESTION = "How long is the RO-9 purifier under warranty?"


class Desk:
    """One person's library and questions."""

    def __init__(self, services, folder):
        self.services, self.folder = services, folder
        try:
            self.user = accounts.find_user(services.db, "shop", "Linh")
        except NotFound:
            self.user = services.db.write(lambda tx: accounts.add_user(tx, "shop", "Linh"))

    @property
    def caller(self):
        return Caller(self.user, "", ())

    def add(self, name, text, read=True, **place):
        path = self.folder / name
        path.write_text(text, "utf-8")
        document = add_document(self.services, self.user.scope, path, name, **place)
        indexing = Indexing(self.services, Embedders(self.services))
        while read and (due := jobs.due(self.services.db, 10)):
            for job_id in due:
                indexing.do(jobs.claim(self.services.db, job_id))
        return document.id

    def ask(self, question=QUESTION, **where):
        async def story():
            replies = Replies(self.services)
            ack = await replies.ask(self.user.scope, question, **where)
            async for _ in replies.tail(self.user.scope, ack.reply_id):
                pass
            await replies.close()
            return ack

        return asyncio.run(story())

    def sources(self, ack):
        """The documents that the answer may cite, each once."""
        return list(dict.fromkeys(one.document_id for one in conversations.get_reply(self.services.db, self.user.scope, ack.reply_id).citations))

    def explain(self, ack, document_id):
        return explain(self.services, self.user.scope, ack.reply_id, document_id)
