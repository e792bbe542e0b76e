"""Mai-Sale's search as LangChain's retriever, over HTTP: needs langchain-core and httpx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, PrivateAttr, SecretStr

from maisale.client import MaiSale


class MaiSaleRetriever(BaseRetriever):
    """What the person of this key would be answered from, best first. metadata: title, place, heading, document_id, score and its parts."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    url: str
    key: SecretStr  # in no trace and no repr
    k: int = 3
    collections: Sequence[str] = ()
    _maisale: MaiSale = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._maisale = MaiSale(self.url, self.key.get_secret_value())

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = self._maisale.search(query, self.k, self.collections)
        return [Document(page_content=one.pop("text"), id=one.pop("key"), metadata=one) for one in found]
