"""Removing a person or a tenant with what they wrote and added, under one receipt. In steps that may be repeated: one that broke off is run again.

Each step leaves its rows in the audit log, as acts of the admin who asked for it.
"""

from __future__ import annotations

import asyncio

from maisale.access import keys
from maisale.chat.replies import Replies
from maisale.contracts import Transaction
from maisale.library import deletion
from maisale.records import Caller, Scope, Tenant, User
from maisale.store import accounts, audit, conversations, documents, erasures, jobs


async def delete_user(replies: Replies, user: User, caller: Caller, erasure_id: str = "") -> str:
    """Keys end first; then go the conversations and the private documents. What the team reads stays, as the caller's. Returns the receipt's id.

    erasure_id: of the receipt of something larger, on which it counts.
    """
    services, scope = replies.services, user.scope
    asked = Scope(user.tenant_id, caller.user.id)  # for the admins of the person's own tenant to see
    receipt = erasure_id or await services.db.awrite(lambda tx: erasures.begin(tx, asked, "user", user.id, accounts.came_at(tx, user.id)))
    await _shut_out(replies, user, caller)
    while held := await asyncio.to_thread(conversations.list_conversations, services.db, scope):
        for conversation in held:
            await replies.delete_conversation(scope, conversation.id, caller.scope, receipt)
    private = await asyncio.to_thread(documents.private_documents, services.db, scope)
    await asyncio.to_thread(deletion.erase_documents, services, caller.scope, private, receipt)
    await services.db.awrite(lambda tx: documents.hand_over(tx, scope, caller.user.id))

    def leave(tx: Transaction) -> None:
        erasures.count(tx, receipt, users=1, keys=accounts.delete_user(tx, user.id))
        audit.note(tx, caller.scope, "user_delete", "user", user.id, tenant_id=user.tenant_id)

    await services.db.awrite(leave)
    if not erasure_id:
        await asyncio.to_thread(deletion.end, services, (), (), receipt)
    return receipt


async def delete_tenant(replies: Replies, tenant: Tenant, caller: Caller) -> str:
    """Everybody in it, then every document and collection. Returns the receipt's id."""
    services, db = replies.services, replies.services.db
    receipt = await db.awrite(lambda tx: erasures.begin(tx, caller.scope, "tenant", tenant.id, tenant.created_at))
    people = await asyncio.to_thread(accounts.list_users, db, tenant.id)
    for user in people:  # all are shut out before the first one's things go
        await _shut_out(replies, user, caller)
    for user in people:
        await delete_user(replies, user, caller, receipt)
    held = await asyncio.to_thread(documents.documents_of_tenant, db, tenant.id)
    await asyncio.to_thread(deletion.erase_documents, services, caller.scope, held, receipt)

    def leave(tx: Transaction) -> None:
        went = documents.delete_collections(tx, tenant.id)
        erasures.count(tx, receipt, tenants=1, collections=went, jobs=jobs.forget_tenant(tx, tenant.id))
        accounts.delete_tenant(tx, tenant.id)
        audit.note(tx, caller.scope, "tenant_delete", "tenant", tenant.id, tenant_id=tenant.id)

    await db.awrite(leave)
    await asyncio.to_thread(deletion.end, services, (), (), receipt)
    return receipt


async def _shut_out(replies: Replies, user: User, caller: Caller) -> None:
    db = replies.services.db
    for key in await asyncio.to_thread(accounts.list_keys, db, user.id):
        await db.awrite(lambda tx, key_id=key.id: keys.end(tx, key_id, caller.scope))
    await db.awrite(lambda tx: accounts.end_sessions(tx, user.id))
