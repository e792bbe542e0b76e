"""The tables, as numbered migrations in SQL that SQLite and Postgres both take. Word-search tables belong to the lexical back end.

Times are seconds since 1970 (UTC); ids are UUIDs as text; JSON is text. A migration is never edited after a release: add one.
"""

import re

AUDIT = "audit"  # the table whose rows are only added

MIGRATIONS: list[tuple[str, list[str]]] = [
    (
        "001_first",
        [
            "CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at DOUBLE PRECISION NOT NULL)",
            """CREATE TABLE users (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenants(id), name TEXT NOT NULL, role TEXT NOT NULL,
                language TEXT NOT NULL DEFAULT 'en', created_at DOUBLE PRECISION NOT NULL, UNIQUE (tenant_id, name))""",
            """CREATE TABLE keys (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL REFERENCES users(id), name TEXT NOT NULL,
                secret_hash TEXT NOT NULL, permissions TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL,
                expires_at DOUBLE PRECISION, revoked_at DOUBLE PRECISION, last_used_at DOUBLE PRECISION)""",
            "CREATE INDEX keys_user ON keys(user_id)",
            """CREATE TABLE sessions (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL REFERENCES users(id), key_id TEXT NOT NULL,
                created_at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION NOT NULL)""",
            """CREATE TABLE links (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL REFERENCES users(id), kind TEXT NOT NULL,
                created_at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION NOT NULL, used_at DOUBLE PRECISION)""",
            """CREATE TABLE conversations (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL, title TEXT NOT NULL, named INTEGER NOT NULL DEFAULT 0,
                created_at DOUBLE PRECISION NOT NULL, updated_at DOUBLE PRECISION NOT NULL)""",
            "CREATE INDEX conversations_user ON conversations(tenant_id, user_id, updated_at)",
            """CREATE TABLE messages (
                id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
                sender TEXT NOT NULL, text TEXT NOT NULL, tokens_estimate INTEGER NOT NULL, metadata TEXT NOT NULL,
                tenant_id TEXT NOT NULL, user_id TEXT NOT NULL, turn INTEGER NOT NULL, created_at DOUBLE PRECISION NOT NULL)""",
            "CREATE UNIQUE INDEX messages_conversation ON messages(conversation_id, turn)",
            """CREATE TABLE replies (
                id TEXT PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE, question_id TEXT NOT NULL,
                conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL,
                state TEXT NOT NULL, step TEXT NOT NULL DEFAULT '', thinking TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT '',
                cause TEXT NOT NULL DEFAULT '', citations TEXT NOT NULL DEFAULT '[]', trace TEXT NOT NULL DEFAULT '',
                lease_until DOUBLE PRECISION NOT NULL)""",
            "CREATE INDEX replies_open ON replies(conversation_id) WHERE state IN ('waiting', 'running')",
            """CREATE TABLE collections (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, owner_id TEXT NOT NULL, name TEXT NOT NULL, visibility TEXT NOT NULL,
                created_at DOUBLE PRECISION NOT NULL, UNIQUE (tenant_id, owner_id, name))""",
            """CREATE TABLE documents (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, owner_id TEXT NOT NULL, collection_id TEXT NOT NULL,
                conversation_id TEXT REFERENCES conversations(id) ON DELETE CASCADE, title TEXT NOT NULL, source TEXT NOT NULL,
                media_type TEXT NOT NULL, size BIGINT NOT NULL, content_hash TEXT NOT NULL, received_at DOUBLE PRECISION NOT NULL,
                modified_at DOUBLE PRECISION, stage TEXT NOT NULL, chunks INTEGER NOT NULL DEFAULT 0, cause TEXT NOT NULL DEFAULT '')""",
            "CREATE INDEX documents_collection ON documents(collection_id, source)",
            """CREATE TABLE chunks (
                key TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, owner_id TEXT NOT NULL, collection_id TEXT NOT NULL, document_id TEXT,
                message_id TEXT, conversation_id TEXT, position INTEGER NOT NULL, title TEXT NOT NULL, heading TEXT NOT NULL, place TEXT NOT NULL,
                text TEXT NOT NULL, tokens INTEGER NOT NULL, dated_at DOUBLE PRECISION NOT NULL)""",
            "CREATE INDEX chunks_document ON chunks(document_id)",
            "CREATE INDEX chunks_message ON chunks(message_id)",
            "CREATE INDEX chunks_collection ON chunks(collection_id)",
            # The embeddings themselves: the vector index is built from them and can be thrown away.
            """CREATE TABLE vectors (
                key TEXT NOT NULL, embedder TEXT NOT NULL, tenant_id TEXT NOT NULL, kind TEXT NOT NULL, collection_id TEXT NOT NULL,
                document_id TEXT NOT NULL, vector BYTEA NOT NULL, indexed INTEGER NOT NULL DEFAULT 0, changed_at DOUBLE PRECISION NOT NULL,
                PRIMARY KEY (embedder, key))""",
            "CREATE INDEX vectors_collection ON vectors(embedder, kind, collection_id, changed_at)",
            "CREATE INDEX vectors_waiting ON vectors(embedder) WHERE indexed = 0",
            """CREATE TABLE jobs (
                id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject_id TEXT NOT NULL, tenant_id TEXT NOT NULL, lane TEXT NOT NULL, state TEXT NOT NULL,
                attempts INTEGER NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0, lease_until DOUBLE PRECISION NOT NULL DEFAULT 0,
                next_at DOUBLE PRECISION NOT NULL, payload TEXT NOT NULL DEFAULT '', cause TEXT NOT NULL DEFAULT '',
                created_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION)""",
            "CREATE INDEX jobs_due ON jobs(state, lane, next_at)",
            "CREATE INDEX jobs_subject ON jobs(subject_id)",
            # One row a name: which embedder answers, what a restart must know.
            "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, changed_at DOUBLE PRECISION NOT NULL)",
        ],
    ),
    (
        "002_feedback",
        [
            # The question, citations and trace as they were when the answer was judged; they go when the conversation goes.
            """CREATE TABLE feedback (
                reply_id TEXT PRIMARY KEY REFERENCES replies(id) ON DELETE CASCADE, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL,
                conversation_id TEXT NOT NULL, verdict TEXT NOT NULL, comment TEXT NOT NULL DEFAULT '', question TEXT NOT NULL,
                citations TEXT NOT NULL, trace TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL)""",
            "CREATE INDEX feedback_tenant ON feedback(tenant_id, created_at)",
            "CREATE INDEX feedback_conversation ON feedback(conversation_id)",
        ],
    ),
    (
        "003_vectors_of_documents",
        # Each document in a list says how many of its passages are indexed; without this each one reads all vectors.
        ["CREATE INDEX vectors_document ON vectors(document_id, indexed, key)"],
    ),
    (
        "004_one_door",
        [
            # A fresh key lives for minutes and may do what cannot be undone; so may a session in which the key was typed again.
            "ALTER TABLE keys ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE sessions ADD COLUMN fresh_until DOUBLE PRECISION NOT NULL DEFAULT 0",
            "CREATE INDEX sessions_key ON sessions(key_id)",
            "CREATE INDEX replies_conversation ON replies(conversation_id)",
            "CREATE INDEX documents_owner ON documents(owner_id)",
        ],
    ),
    (
        "005_replaced_in_one_step",
        [
            # The passages of a long document's new version until all are there: its readers see the old version or the new one.
            """CREATE TABLE incoming_chunks (
                key TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, owner_id TEXT NOT NULL, collection_id TEXT NOT NULL,
                document_id TEXT, message_id TEXT, conversation_id TEXT, position INTEGER NOT NULL, title TEXT NOT NULL, heading TEXT NOT NULL,
                place TEXT NOT NULL, text TEXT NOT NULL, tokens INTEGER NOT NULL, dated_at DOUBLE PRECISION NOT NULL)""",
            "CREATE INDEX incoming_chunks_document ON incoming_chunks(document_id)",
            # Of the text that a vector was made from: the same text in a tenant is embedded once.
            "ALTER TABLE vectors ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
            "CREATE INDEX vectors_digest ON vectors(embedder, tenant_id, digest) WHERE digest <> ''",
        ],
    ),
    (
        "006_ledger_of_documents",
        [
            # When the present reading of a document reached which stage; a new reading begins anew. What was read before this table existed has none.
            """CREATE TABLE stages (
                document_id TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE, stage TEXT NOT NULL, reached_at DOUBLE PRECISION NOT NULL,
                counted INTEGER, attempts INTEGER NOT NULL DEFAULT 0, cause TEXT NOT NULL DEFAULT '', PRIMARY KEY (document_id, stage))""",
            "ALTER TABLE documents ADD COLUMN was_complete INTEGER NOT NULL DEFAULT 0",
            "UPDATE documents SET was_complete = 1 WHERE stage = 'complete'",
            "ALTER TABLE documents ADD COLUMN cancelled TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE documents ADD COLUMN failed_after TEXT NOT NULL DEFAULT ''",
        ],
    ),
    (
        "007_redaction",
        [
            "ALTER TABLE tenants ADD COLUMN redact INTEGER NOT NULL DEFAULT 1",
            "ALTER TABLE tenants ADD COLUMN model_sees_originals INTEGER NOT NULL DEFAULT 1",
            # Title, heading and text as search reads them, without personal data; empty where they hold none.
            "ALTER TABLE chunks ADD COLUMN searched TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE incoming_chunks ADD COLUMN searched TEXT NOT NULL DEFAULT ''",
            # JSON: how many of each kind the passages hold; empty: not looked for yet.
            "ALTER TABLE documents ADD COLUMN identifiers TEXT NOT NULL DEFAULT ''",
            # What an earlier version indexed with personal data in it is gone through once.
            """INSERT INTO jobs (id, kind, subject_id, tenant_id, lane, state, next_at, created_at)
               SELECT 'redact-' || tenant_id, 'redact_tenant', tenant_id, tenant_id, 'bulk', 'pending', 0, max(dated_at) FROM chunks GROUP BY tenant_id""",
        ],
    ),
    (
        "008_audit",
        [
            # Ids only and no references: its rows stay when people and things go. That none is changed is the back end's (Database.append_only).
            """CREATE TABLE audit (
                number INTEGER PRIMARY KEY, at DOUBLE PRECISION NOT NULL, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL, key_id TEXT NOT NULL,
                address TEXT NOT NULL, door TEXT NOT NULL, action TEXT NOT NULL, subject_kind TEXT NOT NULL, subject_id TEXT NOT NULL,
                detail TEXT NOT NULL, result TEXT NOT NULL, before_hash TEXT NOT NULL, hash TEXT NOT NULL)""",
            "CREATE INDEX audit_tenant ON audit(tenant_id, number)",
        ],
    ),
    (
        "009_erasures",
        [
            # A receipt of each deletion: what went, and whether the files still hold it. since: from when on a backup may hold it.
            """CREATE TABLE erasures (
                id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, user_id TEXT NOT NULL, kind TEXT NOT NULL, subject_id TEXT NOT NULL,
                since DOUBLE PRECISION NOT NULL, asked_at DOUBLE PRECISION NOT NULL, counts TEXT NOT NULL DEFAULT '{}',
                state TEXT NOT NULL DEFAULT 'pending', erased_at DOUBLE PRECISION)""",
            "CREATE INDEX erasures_tenant ON erasures(tenant_id, asked_at)",
            "CREATE INDEX erasures_pending ON erasures(asked_at) WHERE state = 'pending'",
            "CREATE INDEX erasures_subject ON erasures(subject_id)",
            # The backups that were made, between when and when, so that a receipt can name those that still hold what was deleted.
            """CREATE TABLE backups (
                path TEXT PRIMARY KEY, began_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION NOT NULL, by_itself INTEGER NOT NULL DEFAULT 0)""",
        ],
    ),
    (
        "010_quota",
        [
            # What the model spent for a person on a day (UTC, as 2026-01-31), when TOKENS_PER_DAY is set.
            """CREATE TABLE token_use (
                tenant_id TEXT NOT NULL, user_id TEXT NOT NULL, day TEXT NOT NULL, tokens BIGINT NOT NULL, PRIMARY KEY (tenant_id, user_id, day))""",
        ],
    ),
    (
        "011_runners_of_replies",
        [
            # Which process answers, until lease_until, and whether somebody asked another one to stop it.
            "ALTER TABLE replies ADD COLUMN runner TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE replies ADD COLUMN stop_asked INTEGER NOT NULL DEFAULT 0",
        ],
    ),
]


def primary_keys() -> dict[str, tuple[str, ...]]:
    """The tables, each behind those that it refers to, with the columns of their keys."""
    found = {}
    for _, statements in MIGRATIONS:
        for statement in statements:
            if made := re.match(r"\s*CREATE TABLE (\w+)", statement):
                several = re.search(r"PRIMARY KEY \(([\w, ]+)\)", statement)
                one = re.search(r"(\w+) (?:TEXT|INTEGER) PRIMARY KEY", statement)
                found[made[1]] = tuple(several[1].split(", ")) if several else (one[1],)
    return found
