"""What a piece of work belongs to: the request that it came with, named in every line of the log, and spans of it for whoever traces.

Without a tracer, which services.py sets when OTEL_EXPORTER_OTLP_ENDPOINT is given, a span costs nothing. A span says what was done, how long it
took and of what kind it was; never what was asked, found or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol


class Tracer(Protocol):
    def begin(self, name: str, parent: Any, attributes: Mapping[str, str | int], ago_s: float) -> Any:
        """A span that began so long ago, below `parent` or, when that is None, of a trace of its own."""

    def end(self, span: Any, attributes: Mapping[str, str | int], ago_s: float, failed: str) -> None:
        """failed: the kind of its error; empty: none."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Carried by what a request starts, also after its end: an answer's lines of the log name the request that asked."""

    request_id: str = ""
    span: Any = None


NO_REQUEST = Origin()
origin: ContextVar[Origin] = ContextVar("origin", default=NO_REQUEST)
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """For this process."""
    global _tracer
    _tracer = tracer


def traced() -> bool:
    return _tracer is not None


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[dict[str, str | int]]:
    """What happens within. Yields a dict for attributes that are known at its end."""
    later: dict[str, str | int] = {}
    if _tracer is None:
        yield later
        return
    tracer, here = _tracer, origin.get()
    begun = tracer.begin(name, here.span, attributes, 0.0)
    before, failed = origin.set(replace(here, span=begun)), ""
    try:
        yield later
    except BaseException as problem:
        failed = type(problem).__name__
        raise
    finally:
        origin.reset(before)
        tracer.end(begun, later, 0.0, failed)


def past_steps(milliseconds: Mapping[str, float]) -> None:
    """Spans of steps that came one after the other and have just ended, perhaps in another process."""
    if _tracer is None:
        return
    left_s, parent = sum(milliseconds.values()) / 1000, origin.get().span
    for name, took_ms in milliseconds.items():
        begun = _tracer.begin(name, parent, {}, left_s)
        left_s -= took_ms / 1000
        _tracer.end(begun, {}, left_s, "")
