"""The frozen records that cross every boundary of the house. Times are seconds since 1970 (UTC), ids are UUIDs as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

PUBLIC_TENANT = "public"  # owns the collections that every tenant of the instance may read
FIELDS_APART = "\x1f"  # the unit separator: in no title and no heading


@dataclass(frozen=True, slots=True)
class Way:
    """How an act came in, for the audit log."""

    door: str = "server"  # page, api, mcp, cli, or server: nobody asked, the process did it by itself
    address: str = ""  # of the network; through cli the operating system's user
    key_id: str = ""
    began: float = 0.0  # when it came, of time.perf_counter(); 0: nobody noted it


@dataclass(frozen=True, slots=True)
class Scope:
    """One person of one tenant: what a read may see, and who an act is noted as. Two are equal whichever way they came."""

    tenant_id: str
    user_id: str
    way: Way = field(default=Way(), compare=False)


SERVER = Scope("", "")  # what the process does by itself


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    name: str
    created_at: float
    users: int = 0  # how many people
    redact: bool = True  # vectors and indexes hold placeholders in the place of personal data
    model_sees_originals: bool = True  # the model that answers reads passages and questions as they are


@dataclass(frozen=True, slots=True)
class User:
    id: str
    tenant_id: str
    tenant: str  # its name
    name: str
    role: str = "member"  # member, tenant_admin or instance_admin
    language: str = "en"  # en or vi, of the page

    @property
    def scope(self) -> Scope:
        return Scope(self.tenant_id, self.id)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret, which is shown once and stored as a hash."""

    id: str
    user_id: str
    name: str
    permissions: tuple[str, ...]  # of chat, read, write, admin
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    fresh: bool = False  # minted for minutes, for what cannot be undone


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from, as the gate found it."""

    user: User
    key_id: str
    permissions: tuple[str, ...]
    session_id: str | None = None  # set when a cookie opened the gate; the hash, never the secret
    fresh: bool = False  # may do what cannot be undone
    expires_at: float | None = None  # of the key
    way: Way = Way()  # as gate.caller found it

    @property
    def scope(self) -> Scope:
        return Scope(self.user.tenant_id, self.user.id, self.way)


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    title: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of documents. A conversation's own messages and files stand in the collection that bears the conversation's id."""

    id: str
    tenant_id: str
    owner_id: str
    name: str
    visibility: str  # private, tenant or public
    documents: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    collection_id: str  # a collection, or the conversation it was dropped into
    collection: str  # its name; empty for a conversation's file
    title: str
    source: str  # where it came from: a path below the indexed folder, or the uploaded name
    media_type: str
    size: int  # bytes
    received_at: float
    modified_at: float | None
    stage: str  # received, read, chunked, searchable, complete or failed
    chunks: int = 0
    embedded: int = 0
    cause: str = ""  # why it failed or stays as it is, in words
    attempts: int = 0
    identifiers: Mapping[str, int] | None = None  # how many of each kind its passages hold; None: not looked for
    conversation_id: str | None = None
    failed_after: str = ""  # the last stage that it reached before it failed
    cancelled: str = ""  # reading or embedding, when somebody cancelled that and it was not done since
    running: bool = False  # a worker is at it now
    waits: str = ""  # why it is not gone on with at once, in words
    seconds_left: int | None = None  # until it is complete, measured; None: not known

    @property
    def searchable(self) -> bool:
        return self.stage in ("searchable", "complete")

    @property
    def ended(self) -> bool:
        """Nothing more happens by itself."""
        return self.stage in ("complete", "failed") or bool(self.cause)


@dataclass(frozen=True, slots=True)
class Outline:
    """A document as far as a long list of them is searched and counted."""

    id: str
    collection_id: str
    collection: str
    title: str
    source: str
    stage: str
    cause: str

    @property
    def kind(self) -> str:
        """failed, running (it goes on by itself), words (found by words only, for a cause) or complete."""
        if self.stage == "failed":
            return "failed"
        if self.stage != "complete" and not self.cause:
            return "running"
        return "words" if self.stage == "searchable" else "complete"


@dataclass(frozen=True, slots=True)
class Reached:
    """An entry of a document's ledger."""

    stage: str  # received, read, chunked, redacted, searchable, embedding (begun), embedded, complete, failed, cancelled or halted (it stays as it is)
    reached_at: float
    counted: int | None = None  # read: characters; chunked, searchable: passages; redacted: identifiers; embedding, embedded: passages that have a vector
    attempts: int = 0  # of the job that failed
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A document as people call it."""

    id: str
    title: str
    source: str
    collection: str  # its name; empty for a conversation's file


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document or of a message, and the unit of retrieval."""

    key: str  # {document_id}#chunk_{i} or {message_id}#chunk_{i}
    tenant_id: str
    collection_id: str
    title: str  # of the document, or of the conversation
    text: str
    position: int
    tokens: int  # estimate
    dated_at: float  # the source's modified date, else of receipt; of a message its date
    document_id: str | None = None
    message_id: str | None = None
    conversation_id: str | None = None  # set for a conversation's own messages and files
    heading: str = ""  # heading path, " > " between
    place: str = ""  # for people: "page 3", "sheet Retail", "section Returns"
    searched: str = ""  # title, heading and text without personal data, FIELDS_APART; empty when they hold none, or it is to stay

    @property
    def sought(self) -> tuple[str, str, str]:
        """Title, heading and text as search reads them."""
        if not self.searched:
            return self.title, self.heading, self.text
        title, heading, text = self.searched.split(FIELDS_APART, 2)
        return title, heading, text


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Where a search may look. Made by store.documents.searchable only, which applies the scope.

    tenants: the reader's own and PUBLIC_TENANT, for every tenant has its own index.
    documents: when not empty, only these.
    """

    tenants: tuple[str, ...]
    collections: tuple[str, ...]
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk's key and its score, as an index answers."""

    key: str
    score: float


@dataclass(frozen=True, slots=True)
class WordHit:
    """Scores of word search, each over its own maximum for the question: 0..1."""

    key: str
    words: float  # folded words and word pairs
    stems: float  # English stems


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that was considered for an answer, with every part of its score."""

    chunk: Chunk
    vector_score: float | None = None  # cosine, -1..1; None: it has no vector, or the question has none
    word_score: float = 0.0
    stem_score: float = 0.0
    sentence_coverage: float = 0.0  # 0..1, best sentence
    meaning_score: float = 0.0  # 0..1, how near in meaning; 0: it was not compared
    freshness: float = 0.0  # as added to the score
    boost: float = 0.0  # for this conversation's own chunks
    relevance: float = 0.0  # score without meaning, freshness and boost: what the judge reads
    score: float = 0.0  # final
    number: int | None = None  # [n], when it was used
    reason: str = ""  # why it was not used: below_cut, near_duplicate, budget, over_k

    def without_text(self) -> Candidate:
        return replace(self, chunk=replace(self.chunk, text="", searched=""))


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of an answer, kept as it was when the answer was given."""

    number: int
    key: str
    title: str
    place: str
    text: str
    score: float
    strength: str  # strong, good or weak
    document_id: str | None = None
    message_id: str | None = None
    heading: str = ""
    highlights: tuple[str, ...] = ()  # verbatim spans of text that carry the question's words
    cited: bool = False  # the answer names [number]
    unsupported: tuple[str, ...] = ()  # cited sentences that this passage does not bear out


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer was found: what the side panel shows. Stored with the reply."""

    question: str
    language: str  # en or vi
    path: str  # history or knowledge
    coverage: float  # of the question by this conversation, 0..1
    coverage_needed: float
    outcome: str  # answer, possible or abstain
    gate: float  # the judge's score
    gate_needed: float
    candidates: tuple[Candidate, ...] = ()  # without text, best first
    answered_by: dict[str, str] = field(default_factory=dict)  # {"vectors": "Chroma" | "exact" | "none: why", "words": "FTS5"}
    embedder: str = ""
    model: str = ""  # who answered: a model's name, or "quotations"
    closest: tuple[str, ...] = ()  # titles, when abstaining
    notes: tuple[str, ...] = ()  # what was degraded or cut, in words
    milliseconds: dict[str, float] = field(default_factory=dict)  # per step
    searched: tuple[str, ...] = ()  # names of the collections
    only_in: tuple[str, ...] = ()  # titles, when single documents were chosen


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, running or ended. Its id is that of the assistant's message."""

    id: str
    question_id: str
    conversation_id: str
    state: str  # waiting, running, done, stopped, interrupted or failed
    text: str
    step: str = ""  # while running: searching, queued (for a model), reading, writing
    place_in_line: int = 0  # while queued: 1 is next
    thinking: str = ""
    model: str = ""
    cause: str = ""  # why it failed, in words
    citations: tuple[Citation, ...] = ()
    trace: Trace | None = None

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person made of an answer, with the question, the sources and the trace as they were then."""

    reply_id: str
    conversation_id: str
    user_id: str
    verdict: str  # up or down
    comment: str
    question: str
    citations: tuple[Citation, ...]
    trace: Trace | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    conversation_id: str
    sender: str  # user or assistant
    text: str
    tokens_estimate: int
    metadata: dict[str, Any]
    created_at: float
    reply: Reply | None = None  # of an assistant's message


@dataclass(frozen=True, slots=True)
class Ack:
    """What is durable the moment a question is acknowledged."""

    conversation_id: str
    message_id: str
    reply_id: str


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    kind: str  # read_document, embed_document, embed_message, remove_vectors, redact_tenant
    subject_id: str
    lane: str  # people or bulk
    state: str  # pending, running, done or dead
    attempts: int
    cause: str = ""
    tenant_id: str = ""
    payload: Any = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt of a deletion."""

    id: str
    tenant_id: str  # of who asked
    user_id: str  # who asked
    kind: str  # message, conversation, document, user or tenant
    subject_id: str
    since: float  # when what was deleted came; an earlier backup does not hold it
    asked_at: float
    counts: dict[str, int]  # what went: passages, vectors, messages, documents, files, jobs, ...
    state: str = "pending"  # erased: no file of the data folder holds it any more
    erased_at: float | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """The model that is to write an answer."""

    name: str
    context_tokens: int


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What a model server offers now, or all of them together. Kept in memory: reading it never waits."""

    url: str
    reachable: bool
    generation: str | None  # the model's name when it can be used, else None
    embedding: str | None
    missing: tuple[str, ...] = ()  # models to `ollama pull`
    cause: str = ""
    checked_at: float = 0.0
    well_since: float | None = None  # reachable with the embedding model, without a break; not of a single server
    trouble: str = ""  # why a single server is not reachable: away, late, other (it is not Ollama), or as backends/ollama_tls.py has them
    servers: tuple[ModelStatus, ...] = ()  # each of them, of what they offer together


@dataclass(frozen=True, slots=True)
class VectorRow:
    key: str
    collection_id: str
    document_id: str  # "" for a message's chunk
    vector: np.ndarray  # float32, shape (dimensions,), unit length
