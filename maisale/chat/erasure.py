"""Removing a person or a tenant with what they wrote and added. In steps that may be repeated: one that broke off is run again.

Each step leaves its rows in the audit log, as acts of the admin who asked for it.
"""

from __future__ import annotations

import asyncio

from maisale.access import keys
from maisale.chat.replies import Replies
from maisale.contracts import Transaction
from maisale.library.documents import erase_documents
from maisale.records import Caller, Tenant, User
from maisale.store import accounts, audit, conversations, documents, jobs


async def delete_user(replies: Replies, user: User, caller: Caller) -> None:
    """Keys end first; then go the conversations and the private documents. What the team reads stays, as the caller's."""
    services, scope = replies.services, user.scope
    await _shut_out(replies, user, caller)
    while held := await asyncio.to_thread(conversations.list_conversations, services.db, scope):
        for conversation in held:
            await replies.delete_conversation(scope, conversation.id, caller.scope)
    await asyncio.to_thread(erase_documents, services, documents.private_documents(services.db, scope), caller.scope)
    await services.db.awrite(lambda tx: documents.hand_over(tx, scope, caller.user.id))

    def work(tx: Transaction) -> None:
        accounts.delete_user(tx, user.id)
        audit.note(tx, caller.scope, "user_delete", "user", user.id, tenant_id=user.tenant_id)

    await services.db.awrite(work)


async def delete_tenant(replies: Replies, tenant: Tenant, caller: Caller) -> None:
    """Everybody in it, then every document and collection."""
    services = replies.services
    people = await asyncio.to_thread(accounts.list_users, services.db, tenant.id)
    for user in people:  # all are shut out before the first one's things go
        await _shut_out(replies, user, caller)
    for user in people:
        await delete_user(replies, user, caller)
    await asyncio.to_thread(erase_documents, services, documents.documents_of_tenant(services.db, tenant.id), caller.scope)
    await services.db.awrite(lambda tx: documents.delete_collections(tx, tenant.id))
    await services.db.awrite(lambda tx: jobs.forget_tenant(tx, tenant.id))

    def work(tx: Transaction) -> None:
        accounts.delete_tenant(tx, tenant.id)
        audit.note(tx, caller.scope, "tenant_delete", "tenant", tenant.id, tenant_id=tenant.id)

    await services.db.awrite(work)


async def _shut_out(replies: Replies, user: User, caller: Caller) -> None:
    db = replies.services.db
    for key in await asyncio.to_thread(accounts.list_keys, db, user.id):
        await db.awrite(lambda tx, key_id=key.id: keys.end(tx, key_id, caller.scope))
    await db.awrite(lambda tx: accounts.end_sessions(tx, user.id))
