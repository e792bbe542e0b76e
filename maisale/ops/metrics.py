"""What /metrics says: what this process measured (maisale/metrics.py), and at each scrape what the database tells of jobs and documents.

The worker needs no port of its own: whatever it does is in the database. With several apps on one database each tells the same of that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from maisale import metrics
from maisale.services import Services, process_lives
from maisale.store import documents, jobs, ledger

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HOUR_S = 3600.0


def exposition(services: Services) -> bytes:
    """In Prometheus's text format. Blocking; some milliseconds."""
    stored = CollectorRegistry()
    stored.register(_Stored(services))
    ProcessCollector(registry=stored)
    return generate_latest(metrics.REGISTRY) + generate_latest(stored)


class _Stored:
    """A collector of prometheus_client, for one scrape."""

    def __init__(self, services: Services):
        self._services = services

    def collect(self) -> Iterator[Metric]:
        db, settings = self._services.db, self._services.settings
        status = self._services.models.status
        yield _one("maisale_worker_up", "Whether a worker runs.", int(process_lives(settings, "worker")))
        yield _one("maisale_model_server_up", "Whether the model server answered when it was last asked.", int(status.reachable))
        lanes = jobs.lanes(db)
        yield _by("maisale_jobs_waiting", "Jobs that wait, by lane.", "lane", {lane: found.waiting for lane, found in lanes.items()})
        yield _by("maisale_jobs_running", "Jobs that are being done, by lane.", "lane", {lane: found.running for lane, found in lanes.items()})
        words = "How long the oldest job has waited that is due, by lane; 0: none is."
        yield _by("maisale_jobs_oldest_seconds", words, "lane", {lane: found.oldest_s for lane, found in lanes.items()})
        yield _one("maisale_dead_letters", "Jobs that were given up and nobody has retried or skipped.", jobs.counts(db)["dead"])
        yield _by("maisale_documents", "Documents, by the stage at which they stand.", "stage", documents.stage_counts(db))
        stages = ledger.durations(db, time.time() - HOUR_S)
        counted = {stage: found.number for stage, found in stages.items()}
        yield _by("maisale_stage_documents_last_hour", "Documents that reached the stage within the last hour.", "stage", counted)
        mean = {stage: found.mean_s for stage, found in stages.items()}
        yield _by("maisale_stage_mean_seconds_last_hour", "How long that took them from the stage before, on average.", "stage", mean)
        longest = {stage: found.longest_s for stage, found in stages.items()}
        yield _by("maisale_stage_longest_seconds_last_hour", "The same, the longest.", "stage", longest)


def _one(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _by(name: str, words: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for of, value in sorted(values.items()):
        family.add_metric([of], value)
    return family
