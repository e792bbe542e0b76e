"""[n] in an answer as a link to its source, and the sources as a client gets them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from maisale.records import Citation

# Inside of code nothing is a citation; a block that is still being written is code to its end.
_CODE_OR_MARK = re.compile(r"```.*?(?:```|\Z)|(?<!`)(`+)(?!`)(?:(?!\n\n).)*?(?<!`)\1(?!`)|(?<!\\)\[(?P<number>\d+)\]", re.DOTALL)


class Links:
    """address: where people open Mai-Sale, without a slash at its end."""

    def __init__(self, address: str):
        self._address = address

    def linked(self, text: str, citations: Sequence[Citation]) -> str:
        """`text` with [[n]](address) for each [n] whose source is a file. What was linked stays so when the text grows."""
        urls = {str(one.number): self._url(one) for one in citations if one.document_id}

        def link(found: re.Match[str]) -> str:
            url = urls.get(found["number"] or "")
            return f"[{found[0]}]({url})" if url else found[0]

        return _CODE_OR_MARK.sub(link, text)

    def sources(self, citations: Sequence[Citation]) -> list[dict[str, Any]]:
        plain = orjson.loads(orjson.dumps(list(citations), option=orjson.OPT_SERIALIZE_NUMPY))
        return [{**one, "url": self._url(citation)} for one, citation in zip(plain, citations, strict=True)]

    def _url(self, citation: Citation) -> str | None:
        return f"{self._address}/files/{citation.document_id}" if citation.document_id else None
