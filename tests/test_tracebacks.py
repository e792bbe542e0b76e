"""What a log tells of a failure, and what it does not."""

import logging

from maisale.logs import Formatter
from maisale.tracebacks import where


def failure(number="0912 345 678", address="anna@example.com"):
    try:
        try:
            int(number)
        except ValueError as problem:
            raise KeyError(address) from problem
    except KeyError as problem:
        return problem


def test_a_traceback_names_places_and_kinds_and_quotes_nobody():
    told = where(failure())
    assert "ValueError" in told and told.endswith("KeyError") and "in failure" in told
    assert "0912" not in told and "anna" not in told


def test_a_log_line_with_an_exception_is_told_so_too():
    problem = failure()
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "it failed", (), (type(problem), problem, problem.__traceback__))
    line = Formatter("%(message)s").format(record)
    assert line.startswith("it failed\n") and "invalid literal" not in line
