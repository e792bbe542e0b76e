"""Tracebacks for the log without what people wrote: the text of an exception may quote it, so they name places in the code and kinds of errors only."""

from __future__ import annotations

import logging
import sys
import traceback

log = logging.getLogger(__name__)


def where(problem: BaseException) -> str:
    """Where it was raised, and what it came from, the first cause first."""
    before = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
    earlier = f"{where(before)}\n" if before else ""
    return f"{earlier}{''.join(traceback.format_tb(problem.__traceback__))}{type(problem).__name__}"


def print_exc(*_: object, **__: object) -> None:
    """In the place of traceback.print_exc."""
    problem = sys.exc_info()[1]
    if problem:
        log.error("it failed:\n%s", where(problem))
