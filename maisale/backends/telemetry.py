"""Spans to an OpenTelemetry collector by OTLP over HTTP. Loaded only when an endpoint is set."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Status, StatusCode

SEND_S = 2.0  # for one sending
CLOSING_S = 2.0  # for what is left at the end; whatever does not get through is lost
EVERY_MS = 2_000  # between two sendings


class OTLPTracer:
    """spans.Tracer. url: of the collector, to which /v1/traces is added. process: app, worker or cli. headers: such as a token of the collector's."""

    def __init__(self, url: str, process: str, headers: Sequence[tuple[str, str]]):
        session = requests.Session()
        session.trust_env = False  # no proxy from the environment: config.py alone reads it
        exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", headers=dict(headers), timeout=SEND_S, session=session)
        # Not Resource.create: it reads the environment.
        self._provider = TracerProvider(resource=Resource({"service.name": "maisale", "maisale.process": process}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_MS))
        self._tracer = self._provider.get_tracer("maisale")

    def begin(self, name: str, parent: Span | None, attributes: Mapping[str, str | int], ago_s: float) -> Span:
        above = trace.set_span_in_context(parent, Context()) if parent else Context()
        return self._tracer.start_span(name, above, attributes=dict(attributes), start_time=_then(ago_s))

    def end(self, span: Span, attributes: Mapping[str, str | int], ago_s: float, failed: str) -> None:
        span.set_attributes(dict(attributes))
        if failed:
            # The kind alone: the text of an exception may quote what people wrote.
            span.set_status(Status(StatusCode.ERROR, failed))
        span.end(_then(ago_s))

    def close(self) -> None:
        """Beside a collector that does not answer the process still ends in time."""
        closing = threading.Thread(target=self._provider.shutdown, name="spans-closing", daemon=True)
        closing.start()
        closing.join(CLOSING_S)


def _then(ago_s: float) -> int:
    return time.time_ns() - int(ago_s * 1e9)
