"""The probe's calls of what other programs' clients use: OpenAI's routes below /v1 and the tools at /mcp."""

from __future__ import annotations

from typing import Any

from maisale.ops.probe_calls import ANYONE, MAKES, Call
from maisale.ops.probe_calls import json_of as _json

_SAID = {"messages": [{"role": "user", "content": "What is the code of {topics}?"}]}
OPENAI: tuple[Call, ...] = (
    Call("GET", "/v1/models", "read", shows={"owner": "collection shared_collection", "colleague": "shared_collection"}),
    Call("GET", "/v1/models/{model:path}", "read", 404, shows="collection"),
    Call("POST", "/v1/chat/completions", "chat", 200, _json(model="mai-sale", **_SAID), shows={"owner": "document shared", "colleague": "shared"}),
    Call("POST", "/v1/chat/completions", "chat", 200, _json(model="mai-sale", stream=True, **_SAID)),
    Call("POST", "/v1/chat/completions", "chat", 404, _json(model="{model}", **_SAID), shows="document"),
    Call("POST", "/v1/embeddings", "read", 200, _json(model="mai-sale", input="{topics}")),
)


def _tool(name: str, **arguments: Any) -> dict[str, Any]:
    return _json(jsonrpc="2.0", id=1, method="tools/call", params={"name": name, "arguments": arguments})


# A tool refuses inside of its answer, which is 200 all the same: what is shown counts.
_SPEAKS_MCP = {"Accept": "application/json, text/event-stream"}
_BOTH = {"owner": "document shared", "colleague": "shared"}
_ASKS = {**MAKES, "a key to chat": None}  # that key may ask, and is shown what its owner is
MCP: tuple[Call, ...] = (
    *(Call(method, "/mcp", ANYONE, 405) for method in ("GET", "HEAD", "DELETE")),
    Call("POST", "/mcp", ANYONE, 200, _json(jsonrpc="2.0", id=1, method="tools/list", params={}), headers=_SPEAKS_MCP),
    Call("POST", "/mcp", ANYONE, 200, _tool("search", query="{topics}", limit=50), headers=_SPEAKS_MCP, shows=_BOTH),
    Call("POST", "/mcp", ANYONE, 200, _tool("search", query="{topics}", collections=["{collection}"]), headers=_SPEAKS_MCP, shows="document"),
    Call(
        "POST",
        "/mcp",
        ANYONE,
        200,
        _tool("list_documents"),
        headers=_SPEAKS_MCP,
        shows={"owner": "document_name shared_name", "colleague": "shared_name"},
    ),  # fmt: skip
    Call("POST", "/mcp", ANYONE, 200, _tool("ask", question="What is the code of {topics}?"), _ASKS, headers=_SPEAKS_MCP, shows=_BOTH),
    Call("POST", "/mcp", ANYONE, 200, _tool("ask", question="And {topics}?", conversation_id="{conversation_id}"), _ASKS, headers=_SPEAKS_MCP),
    Call("POST", "/mcp", ANYONE, 200, _tool("ask", question="What is it?", documents=["{document_id}"]), _ASKS, headers=_SPEAKS_MCP),
)
