"""Removing a person or a tenant with what they wrote and added. In steps that may be repeated: one that broke off is run again."""

from __future__ import annotations

import asyncio
import time

from maisale.chat.replies import Replies
from maisale.library.documents import erase_documents
from maisale.records import Tenant, User
from maisale.store import accounts, conversations, documents, jobs


async def delete_user(replies: Replies, user: User, heir: User) -> None:
    """Keys end first; then go the conversations and the private documents. What the team reads stays, as `heir`'s."""
    services, scope = replies.services, user.scope
    await _shut_out(replies, user)
    while held := await asyncio.to_thread(conversations.list_conversations, services.db, scope):
        for conversation in held:
            await replies.delete_conversation(scope, conversation.id)
    await asyncio.to_thread(erase_documents, services, documents.private_documents(services.db, scope))
    await services.db.awrite(lambda tx: documents.hand_over(tx, scope, heir.id))
    await services.db.awrite(lambda tx: accounts.delete_user(tx, user.id))


async def delete_tenant(replies: Replies, tenant: Tenant, heir: User) -> None:
    """Everybody in it, then every document and collection."""
    services = replies.services
    people = await asyncio.to_thread(accounts.list_users, services.db, tenant.id)
    for user in people:  # all are shut out before the first one's things go
        await _shut_out(replies, user)
    for user in people:
        await delete_user(replies, user, heir)
    await asyncio.to_thread(erase_documents, services, documents.documents_of_tenant(services.db, tenant.id))
    await services.db.awrite(lambda tx: documents.delete_collections(tx, tenant.id))
    await services.db.awrite(lambda tx: jobs.forget_tenant(tx, tenant.id))
    await services.db.awrite(lambda tx: accounts.delete_tenant(tx, tenant.id))


async def _shut_out(replies: Replies, user: User) -> None:
    db, now = replies.services.db, time.time()
    for key in await asyncio.to_thread(accounts.list_keys, db, user.id):
        await db.awrite(lambda tx, key_id=key.id: accounts.revoke_key(tx, key_id, now))
    await db.awrite(lambda tx: accounts.end_sessions(tx, user.id))
