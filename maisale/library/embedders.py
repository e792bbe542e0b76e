"""Which embedder's vectors are searched, and which are made beside them. It changes only upward, and only when the new index is complete.

A fresh folder begins with Ollama's embedding model when it is there, else with the built-in one. Once Ollama has been well for some minutes,
what its model lacks is embedded in the bulk lane; the last piece switches. While the active embedder's model is away its jobs wait and words answer.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass

from maisale.contracts import Transaction
from maisale.errors import BadInput
from maisale.records import SERVER, Scope
from maisale.services import Services
from maisale.store import audit, chunks, facts, jobs

log = logging.getLogger(__name__)

WELL_S = 180.0  # how long Ollama must have been well before an index is built with it: flapping starts no rebuild
FIRST_LOOK_S = 4.0  # how long a fresh folder waits for the first word from Ollama
JOBS_AT_ONCE = 500  # of a build that wait in the table


@dataclass(frozen=True, slots=True)
class Made:
    """How far the vectors of one embedder are."""

    name: str
    vectors: int
    passages: int  # all there are
    searched: bool


def made(services: Services) -> list[Made]:
    """Of each embedder that has vectors, the one that is searched first."""
    db = services.db
    passages = db.rows("SELECT count(*) AS n FROM chunks")[0]["n"]
    active = facts.get_fact(db, facts.EMBEDDER)
    rows = db.rows("SELECT embedder, count(*) AS n FROM vectors GROUP BY embedder ORDER BY embedder")
    return sorted((Made(row["embedder"], row["n"], passages, row["embedder"] == active) for row in rows), key=lambda one: not one.searched)


def use(services: Services, name: str, by: Scope = SERVER) -> None:
    """Searches this embedder's vectors from now on, and lets no other take over. by: who chooses, for the audit log.

    Raises BadInput when they are not complete.
    """
    known = {one.name: one for one in made(services)}
    if name not in known:
        raise BadInput(f"There are no vectors of {name!r}; there are those of {', '.join(known) or 'none'}.")
    lacking = chunks.subjects_without_vectors(services.db, name, "no job has this payload", 1)
    if lacking:
        held = known[name]
        raise BadInput(f"{name} has vectors of {held.vectors:,} of {held.passages:,} passages; what is missing would not be found by meaning.")

    def work(tx: Transaction) -> None:
        facts.set_fact(tx, facts.EMBEDDER, name)
        facts.set_fact(tx, facts.PINNED, name)
        audit.note(tx, by, "embedder_use", "embedder", name)

    services.db.write(work)


def choose_by_itself(services: Services, by: Scope = SERVER) -> None:
    """Ends a choice of `use`: the better embedder takes over when it is complete. by: who wants it, for the audit log."""

    def work(tx: Transaction) -> None:
        facts.forget_fact(tx, facts.PINNED)
        audit.note(tx, by, "embedder_use", "embedder", "auto")

    services.db.write(work)


class Embedders:
    """The choice of embedders for one worker."""

    def __init__(self, services: Services, well_s: float = WELL_S):
        self._services = services
        self._well_s = well_s

    def well(self) -> bool:
        """Whether the active embedder can be used now."""
        return self._services.embedder_named(self.active()) is not None

    def active(self) -> str:
        """The name of the embedder that is searched; chosen now when this folder has none yet."""
        found = facts.get_fact(self._services.db, facts.EMBEDDER)
        return found or self._choose()

    def wanted(self) -> list[str]:
        """The names of the embedders that a new chunk needs vectors of, the active one first."""
        return [name for name in (self.active(), self.building()) if name]

    def building(self) -> str | None:
        """The name of the embedder that is to take over; None when there is nothing better, or not for long enough."""
        if facts.get_fact(self._services.db, facts.PINNED):
            return None
        remote, since = self._services.models.embedder(), self._services.models.status.well_since
        if remote is None or since is None or time.time() - since < self._well_s or remote.name == self.active():
            return None
        return remote.name

    def tend(self) -> None:
        """Wakes the jobs that waited for a model that is back; adds those that the embedder to come still needs, and lets it take over when
        nothing is missing. Called every few seconds."""
        self._wake_paused()
        name = self.building()
        if name is None:
            return
        db, payload = self._services.db, {"build": name}
        lacking = chunks.subjects_without_vectors(db, name, json.dumps(payload), JOBS_AT_ONCE)
        waiting = jobs.open_with(db, payload)
        if waiting < JOBS_AT_ONCE and lacking:
            kinds = {"documents": "embed_document", "messages": "embed_message"}
            db.write(lambda tx: [jobs.add(tx, tenant_id, kinds[kind], subject, "bulk", payload) for tenant_id, kind, subject in lacking], bulk=True)
            log.info("%d documents and messages are to be embedded with %s", len(lacking), name)
        elif not waiting and not lacking:
            db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, name))
            log.info("the index of %s is complete; it is searched from now on", name)

    def _wake_paused(self) -> None:
        """Not only when the model was seen away before: it may have gone and come back between two looks."""
        if self.well():
            jobs.hurry(self._services.db, ("embed_document", "embed_message"), beyond_s=2 * jobs.AWAY_S)

    def _choose(self) -> str:
        ends = time.monotonic() + FIRST_LOOK_S
        while not self._services.models.status.checked_at and time.monotonic() < ends:
            time.sleep(0.05)
        remote = self._services.models.embedder()
        name = remote.name if remote else self._services.builtin.name

        def keep_first(tx: Transaction) -> str:
            kept = facts.get_fact(tx, facts.EMBEDDER)
            if kept is None:
                facts.set_fact(tx, facts.EMBEDDER, name)
            return kept or name

        return self._services.db.write(keep_first)
