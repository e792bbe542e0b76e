"""What goes in and comes out of /v1, as pydantic models; their descriptions are the OpenAPI document's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from maisale.access import gate, keys
from maisale.chat.ask import QUESTION_CHARACTERS
from maisale.records import Caller

TITLE_CHARACTERS = 200
NAME_CHARACTERS = 200
NAMES = 50
PASSAGES = 50
LIST = 1000
DAYS = 3650

Permission = Literal["chat", "read", "write", "admin"]
Role = Literal["member", "tenant_admin", "instance_admin"]


def _line(text: str) -> str:
    """On one line, without control characters and outer blanks."""
    if not (line := " ".join("".join(char if char.isprintable() else " " for char in text).split())):
        raise ValueError("it is empty or holds no readable character")
    return line


Line = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS), AfterValidator(_line)]
Names = Annotated[list[Line], Field(max_length=NAMES)]
Id = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]+$")]


class Sent(BaseModel):
    """A body. Strict: a number is no text, and an unknown field is a slip of the pen."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewConversation(Sent):
    title: Line | None = Field(None, description="Without one it is named after its first question.")


class Renamed(Sent):
    title: Line


class Question(Sent):
    text: Annotated[str, Field(min_length=1, max_length=QUESTION_CHARACTERS)]
    collections: Names = Field([], description="Search only in these, by name.")
    documents: Annotated[list[Id], Field(max_length=NAMES)] = Field([], description="Search only in these, by id.")


class NewKey(Sent):
    name: Annotated[str, Field(min_length=1, max_length=80)] = Field("key", description="What it is for.")
    permissions: Annotated[list[Permission], Field(max_length=4)] = Field([], description="Empty: chat, read and write, as far as the key that asks has them.")
    days: Annotated[float, Field(gt=0, le=DAYS)] | None = Field(None, description="How long it is valid; without it until it is revoked.")


class Rotation(Sent):
    overlap_s: Annotated[float, Field(ge=0, le=604_800)] = Field(float(keys.OVERLAP_S), description="How long the old key goes on, in seconds.")


class FreshKey(Sent):
    lasts_s: Annotated[float, Field(gt=0, le=keys.FRESH_S)] = Field(float(keys.FRESH_S), description="In seconds.")


class TypedKey(Sent):
    key: Annotated[str, Field(min_length=1, max_length=400)]


class NewUser(Sent):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    role: Role = "member"
    tenant: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(None, description="Its name; only the instance's admin names another.")


class NewRole(Sent):
    role: Role


class NewTenant(Sent):
    name: Annotated[str, Field(min_length=1, max_length=80)]


class NewPrivacy(Sent):
    redact: bool | None = Field(None, description="Vectors and indexes hold placeholders in the place of personal data.")
    model_sees_originals: bool | None = Field(None, description="The model that answers reads passages and questions as they are.")


class Refusal(BaseModel):
    error: str
    detail: str
    kind: str


class Deleted(BaseModel):
    deleted: str


class Erased(Deleted):
    erasure_id: str = Field(description="Of the receipt: GET /v1/erasures/{erasure_id} says when no file holds it any more.")


class Accepted(BaseModel):
    """The question is durable; its answer follows by itself."""

    conversation_id: str
    message_id: str
    reply_id: str


class ConversationOut(BaseModel):
    id: str
    title: str
    created_at: float
    updated_at: float


class Answer(BaseModel):
    conversation_id: str
    message_id: str = Field(description="of the question")
    reply_id: str
    state: Literal["waiting", "running", "done", "stopped", "interrupted", "failed"]
    step: str = Field(description="While it runs: searching, queued (all models are writing for others), reading or writing.")
    place_in_line: int = Field(description="While it is queued: 1 is next.")
    text: str
    citations: list[dict[str, Any]]
    retrieval: dict[str, Any] | None = Field(description="How the sources were found; null until then.")
    model: str
    error: str = Field(description="Why it failed, in words.")
    done: bool


class MessageOut(BaseModel):
    id: str
    sender: Literal["user", "assistant"]
    text: str
    created_at: float
    reply: Answer | None = None


class WholeConversation(ConversationOut):
    messages: list[MessageOut]


class FoundConversation(ConversationOut):
    score: float
    message_id: str | None
    excerpt: str


class NamedOut(BaseModel):
    id: str
    name: str  # the file's, as it stands after an @
    title: str
    source: str
    collection: str  # empty for a conversation's file


class DocumentOut(BaseModel):
    id: str
    collection_id: str
    collection: str
    title: str
    source: str
    media_type: str
    size: int
    received_at: float
    modified_at: float | None
    stage: Literal["received", "read", "chunked", "searchable", "complete", "failed"]
    chunks: int
    embedded: int
    cause: str
    attempts: int
    identifiers: dict[str, int] | None = Field(
        description="How many of each kind its passages hold (email, phone, card, iban, citizen_id, tax_code, ip, secret); null: not looked for."
    )
    conversation_id: str | None
    failed_after: str = Field(description="The last stage that it reached before it failed.")
    cancelled: Literal["", "reading", "embedding"] = Field(description="What was cancelled and not done since.")
    running: bool = Field(description="A worker is at it now.")
    waits: str = Field(description="Why it is not gone on with at once, in words.")
    seconds_left: int | None = Field(description="Until it is complete, measured; null when it is not known.")
    searchable: bool
    ended: bool


class ReachedOut(BaseModel):
    stage: Literal["received", "read", "chunked", "redacted", "searchable", "embedding", "embedded", "complete", "failed", "cancelled", "halted"]
    reached_at: float
    counted: int | None = Field(
        description="read: characters; chunked, searchable: passages; redacted: identifiers; embedding, embedded: passages that have a vector."
    )
    attempts: int = Field(description="Of the job that failed.")
    cause: str


class LedgerOut(DocumentOut):
    stages: list[ReachedOut] = Field(description="When its present reading reached which stage, in order of time.")


class Cancelled(BaseModel):
    cancelled: str
    document: DocumentOut | None = Field(description="As it stays; null when it was deleted.")


class CollectionOut(BaseModel):
    id: str
    name: str
    visibility: Literal["private", "tenant", "public"]
    documents: int


class PassageOut(BaseModel):
    key: str
    document_id: str | None
    title: str
    place: str
    heading: str
    text: str
    score: float
    vector_score: float | None
    word_score: float
    meaning_score: float
    freshness: float


class KeyOut(BaseModel):
    id: str
    user_id: str
    name: str
    permissions: list[str]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    fresh: bool


class MadeKey(KeyOut):
    key: str = Field(description="The key itself, shown only now.")


class UserOut(BaseModel):
    id: str
    name: str
    role: str
    tenant_id: str
    tenant: str


class Invitation(BaseModel):
    user: UserOut
    link: str = Field(description="Makes the key, once, within 72 hours.")


class TenantOut(BaseModel):
    id: str
    name: str
    created_at: float
    users: int
    redact: bool
    model_sees_originals: bool


class Me(BaseModel):
    user: UserOut
    key_id: str
    permissions: list[str]
    expires_at: float | None
    fresh: bool


class RouteOut(BaseModel):
    method: str
    path: str


class FunctionOut(BaseModel):
    number: int
    name: str
    public: bool = Field(description="Called by name; the others by number only.")
    inputs: list[str] = Field(description="Kinds of its components, in order.")


class EverythingOut(BaseModel):
    routes: list[RouteOut]
    functions: list[FunctionOut]


def _caller(permission: str | None):
    async def find(request: Request) -> Caller:  # FastAPI takes any other function to a thread
        found = gate.caller(request)
        if permission:
            keys.require(found, permission)
        return found

    return Depends(find)


Anyone = Annotated[Caller, _caller(None)]
Reader = Annotated[Caller, _caller("read")]
Chatter = Annotated[Caller, _caller("chat")]
Writer = Annotated[Caller, _caller("write")]
