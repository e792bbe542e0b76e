"""What OpenAI's clients send and read, as far as Mai-Sale takes it. Fields that are not here are taken and change nothing, as with other such servers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from maisale.chat.ask import QUESTION_CHARACTERS

MESSAGES = 2_000
INPUTS = 256


def _texts(value: Any) -> Any:
    """In words what the schema says of `input`."""
    texts = value if isinstance(value, list) else [value]
    if value == [] or not all(isinstance(one, str) for one in texts):
        raise ValueError("send a text or a list of texts, not token numbers (in LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))")
    if len(texts) > INPUTS:
        raise ValueError(f"{len(texts):,} texts came; {INPUTS} is the most at a time")
    if longest := max((len(one) for one in texts if len(one) > QUESTION_CHARACTERS), default=0):
        raise ValueError(f"a text has {longest:,} characters; {QUESTION_CHARACTERS:,} is the most. Cut it into pieces")
    return value


class Taken(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class Part(Taken):
    type: str
    text: str | None = None


class Message(Taken):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(description="Only what user and assistant said is read.")
    content: str | list[Part] | None = None


class StreamOptions(Taken):
    include_usage: bool = False


class ResponseFormat(Taken):
    type: str


class Chat(Taken):
    model: Annotated[str, Field(min_length=1, max_length=300)] = Field(description="mai-sale, or mai-sale/COLLECTION to search only that one.")
    messages: Annotated[list[Message], Field(min_length=1, max_length=MESSAGES)] = Field(description="The whole conversation; the last one is the question.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    response_format: ResponseFormat | None = None


class Embed(Taken):
    model: Annotated[str, Field(min_length=1, max_length=300)] = Field(description="The current embedder's name, or mai-sale for whichever that is.")
    input: Annotated[
        Annotated[str, Field(max_length=QUESTION_CHARACTERS)]
        | Annotated[list[Annotated[str, Field(max_length=QUESTION_CHARACTERS)]], Field(min_length=1, max_length=INPUTS)],
        BeforeValidator(_texts),
    ]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None


class Usage(BaseModel):
    """Mai-Sale's own estimate, in tokens: of the messages that were sent, and of the answer. The passages that a model reads beside them are not counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Said(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: Said
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class Completion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    citations: list[dict[str, Any]] = Field(description="The sources, each with its number, title, place, text and url.")
    written_by: str = Field(description="The model that wrote, or `quotations`.")


class ModelOut(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "mai-sale"


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


class Embedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Numbers, or base64 of little-endian float32.")


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


class Problem(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str


class Refusals(BaseModel):
    error: Problem
