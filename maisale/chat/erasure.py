"""Removing a person or a tenant with what they wrote and added, under one receipt. In steps that may be repeated: one that broke off is run again."""

from __future__ import annotations

import asyncio
import time

from maisale.chat.replies import Replies
from maisale.contracts import Transaction
from maisale.library import deletion
from maisale.records import Scope, Tenant, User
from maisale.store import accounts, conversations, documents, erasures, jobs


async def delete_user(replies: Replies, user: User, heir: User, erasure_id: str = "") -> str:
    """Keys end first; then go the conversations and the private documents. What the team reads stays, as `heir`'s. Returns the receipt's id.

    erasure_id: of the receipt of something larger, on which it counts.
    """
    services, scope = replies.services, user.scope
    asked = Scope(user.tenant_id, heir.id)  # for the admins of the person's own tenant to see
    receipt = erasure_id or await services.db.awrite(lambda tx: erasures.begin(tx, asked, "user", user.id, accounts.came_at(tx, user.id)))
    await _shut_out(replies, user)
    while held := await asyncio.to_thread(conversations.list_conversations, services.db, scope):
        for conversation in held:
            await replies.delete_conversation(scope, conversation.id, receipt)
    private = await asyncio.to_thread(documents.private_documents, services.db, scope)
    await asyncio.to_thread(deletion.erase_documents, services, scope, private, receipt)
    await services.db.awrite(lambda tx: documents.hand_over(tx, scope, heir.id))

    def leave(tx: Transaction) -> None:
        erasures.count(tx, receipt, users=1, keys=accounts.delete_user(tx, user.id))

    await services.db.awrite(leave)
    if not erasure_id:
        await asyncio.to_thread(deletion.end, services, (), (), receipt)
    return receipt


async def delete_tenant(replies: Replies, tenant: Tenant, heir: User) -> str:
    """Everybody in it, then every document and collection. Returns the receipt's id."""
    services, db = replies.services, replies.services.db
    receipt = await db.awrite(lambda tx: erasures.begin(tx, heir.scope, "tenant", tenant.id, tenant.created_at))
    people = await asyncio.to_thread(accounts.list_users, db, tenant.id)
    for user in people:  # all are shut out before the first one's things go
        await _shut_out(replies, user)
    for user in people:
        await delete_user(replies, user, heir, receipt)
    held = await asyncio.to_thread(documents.documents_of_tenant, db, tenant.id)
    await asyncio.to_thread(deletion.erase_documents, services, heir.scope, held, receipt)

    def leave(tx: Transaction) -> None:
        went = documents.delete_collections(tx, tenant.id)
        erasures.count(tx, receipt, tenants=1, collections=went, jobs=jobs.forget_tenant(tx, tenant.id))
        accounts.delete_tenant(tx, tenant.id)

    await db.awrite(leave)
    await asyncio.to_thread(deletion.end, services, (), (), receipt)
    return receipt


async def _shut_out(replies: Replies, user: User) -> None:
    db, now = replies.services.db, time.time()
    for key in await asyncio.to_thread(accounts.list_keys, db, user.id):
        await db.awrite(lambda tx, key_id=key.id: accounts.revoke_key(tx, key_id, now))
    await db.awrite(lambda tx: accounts.end_sessions(tx, user.id))
