"""Lines of the log: which request they belong to, and what of a failure they tell."""

import json
import logging

import pytest

from maisale import spans
from maisale.logs import JsonFormatter, formatter
from maisale.spans import Origin, origin


@pytest.fixture
def of_request():
    before = origin.set(Origin("0123456789abcdef"))
    yield
    origin.reset(before)


def record(words="%s broke", *args, problem=None):
    return logging.LogRecord("maisale.x", logging.WARNING, "x.py", 1, words, args or ("it",), problem and (type(problem), problem, problem.__traceback__))


def test_a_line_of_text_names_its_request(of_request):
    assert formatter("text", "app", "%(levelname)s %(name)s: %(message)s").format(record()) == "WARNING maisale.x: [0123456789abcdef] it broke"


def test_a_line_outside_of_requests_names_none():
    assert formatter("text", "app", "%(message)s").format(record()) == "it broke"
    assert "request_id" not in json.loads(JsonFormatter("worker").format(record()))


def test_a_line_of_json_is_one_object(of_request):
    told = json.loads(formatter("json", "app", "ignored").format(record("%s\n\"Chào\" %s", "one", "hai")))
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "warning", "process": "app", "logger": "maisale.x", "message": 'one\n"Chào" hai', "request_id": "0123456789abcdef"}


TYPED = "0912 345 678"


def test_a_traceback_in_json_quotes_nobody():
    try:
        int(TYPED)
    except ValueError as problem:
        line = JsonFormatter("app").format(record(problem=problem))
    assert json.loads(line)["traceback"].endswith("ValueError") and "0912" not in line and "\n" not in line


def test_a_span_without_a_tracer_is_nothing():
    before = origin.get()
    with spans.span("job", kind="x") as later:
        later["n"] = 1
        assert origin.get() is before
    spans.past_steps({"rank": 1.0})
