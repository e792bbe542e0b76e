"""Mai-Sale's search inside a LangChain program on the same machine: a retriever and an embedder over the data folder of the environment.

Works beside a running app, as the command line does. What a retriever sees is what the named person sees.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from langchain_core.embeddings import Embeddings

from maisale.errors import ModelUnavailable
from maisale.flow.search import KnowledgeRetriever
from maisale.services import Services, open_services, read_settings
from maisale.store import accounts


def retriever(user: str = "admin", tenant: str = "default", k: int = 3, collections: Sequence[str] = ()) -> KnowledgeRetriever:
    """What this person would be answered from. collections: only these, by name. Raises NotFound or Misconfigured."""
    services = _services()
    return KnowledgeRetriever(services=services, scope=accounts.find_user(services.db, tenant, user).scope, k=k, collections=tuple(collections))


def embeddings() -> Embeddings:
    """The embedder whose vectors are searched. Raises ModelUnavailable while its model is away."""
    found = _services().embedder
    if found is None:
        raise ModelUnavailable("The embedding model whose vectors are searched is away. Start Ollama and try again.")
    return found  # every contracts.Embedder is an Embeddings too


@cache
def _services() -> Services:
    return open_services(read_settings(os.environ), "cli")
