"""THE POLICY: recall what this conversation knows; when that is enough, rank it; else search the knowledge and rank both. Judge the best:
a model composes an answer from them, or they are quoted, or the flow abstains. An answer from history that the judge doubts is widened to the knowledge.

The flow decides and never streams: closing the reader of a synchronous node does not stop it.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage
from langgraph.graph import END, START, StateGraph

from maisale.flow import nodes, ranking
from maisale.flow.state import AgentState, Decision, Sources
from maisale.records import Citation, Scope, SearchFilter


def enough_in_history(state: AgentState) -> str:
    """rank, when one passage of this conversation covers the question with its numbers and names; else search_knowledge."""
    return "rank" if state["coverage"] >= ranking.HISTORY_COVERAGE[state["question"].language] else "search_knowledge"


def how_to_answer(state: AgentState) -> str:
    if state["path"] == "history" and state["outcome"] != "answer":
        return "search_knowledge"
    if state["outcome"] == "abstain":
        return "abstain"
    return "compose" if state["model_name"] else "quote"


def _policy() -> StateGraph:
    policy = StateGraph(AgentState, context_schema=Sources)
    policy.add_node("recall", nodes.recall)
    policy.add_node("search_knowledge", nodes.search_knowledge)
    policy.add_node("rank", nodes.rank)
    policy.add_node("judge", nodes.judge)
    policy.add_node("compose", nodes.compose)
    policy.add_node("quote", nodes.quote)
    policy.add_node("abstain", nodes.abstain)

    policy.add_edge(START, "recall")
    policy.add_conditional_edges("recall", enough_in_history, ["rank", "search_knowledge"])
    policy.add_edge("search_knowledge", "rank")
    policy.add_edge("rank", "judge")
    policy.add_conditional_edges("judge", how_to_answer, ["search_knowledge", "compose", "quote", "abstain"])
    for last in ("compose", "quote", "abstain"):
        policy.add_edge(last, END)
    return policy


FLOW = _policy().compile()


def draw() -> str:
    """The policy as Mermaid text."""
    return FLOW.get_graph().draw_mermaid()


def decide(
    services: Sources,
    question: str,
    scope: Scope,
    where: SearchFilter,
    conversation_id: str,
    history: Sequence[BaseMessage] = (),
    earlier: Sequence[Citation] = (),
    model_name: str | None = None,
    context_tokens: int = 0,
    searched: tuple[str, ...] = (),
    said_is_source: bool = False,
) -> Decision:
    """What to answer to `question`. Blocking: about ten milliseconds and what the indexes take; run it in a thread.

    where: the readable collections and the conversation, as store.documents.searchable made it. earlier: what earlier answers cite, the
    latest first. said_is_source: what the history says may answer, for its client keeps the conversation and no index has it.
    model_name: who will write; None answers with quotations. context_tokens: what that model reads, its answer included.
    """
    state = AgentState(
        asked=question,
        scope=scope,
        where=where,
        conversation_id=conversation_id,
        history=list(history),
        said_is_source=said_is_source,
        earlier=list(earlier),
        model_name=model_name,
        context_tokens=context_tokens,
        searched=searched,
        notes=(),
        answered_by={},
        milliseconds={},
    )
    return FLOW.invoke(state, context=services, output_keys="decision")
