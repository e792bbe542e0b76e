"""Other processes that decide answers while many wait: every core, behind the event loop. Started when they are needed, ended after a rest.

Each opens what a command opens, reads, and hands the decision back; streams, stores and acknowledges nothing. Whatever happens to them, the app
decides by itself.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from maisale.chat.ask import Turn, decide_answer
from maisale.chat.deciding import Gone
from maisale.child import environment
from maisale.config import Settings
from maisale.errors import MaiSaleError
from maisale.flow.state import Decision
from maisale.logs import formatter, log_to_stderr
from maisale.pipes import receive
from maisale.records import Reply, Scope, Writer
from maisale.services import open_services, read_settings

log = logging.getLogger(__name__)

START_S = 60.0
ANSWER_S = 30.0
REST_S = 120.0  # after the last decision; then its memory is given back
AGAIN_S = 30.0  # after a failure, until the next try
MODEL_LOOK_S = 4.0  # for its first look at the model server: before it nothing is known of an embedding model
NICE = 10  # behind the event loop, in front of the worker
MOST = 4  # processes; each takes the memory of a worker


class DeciderProcesses:
    """chat.deciding.Elsewhere: a process for each core, up to MOST, each with one question at a time."""

    def __init__(self, settings: Settings, number: int | None = None):
        self.at_a_time = number or min(MOST, os.cpu_count() or 1)
        self._each = [DeciderProcess(settings) for _ in range(self.at_a_time)]
        self._choosing = threading.Lock()

    @property
    def ready(self) -> bool:
        return any(one.ready for one in self._each)

    def want(self) -> None:
        """One after the other: their starting takes seconds of a core from those who ask."""
        for one in self._each:
            one.want()
            if not one.ready:
                return

    def decide(self, scope: Scope, reply: Reply | Turn, writer: Writer | None) -> Decision:
        with self._choosing:
            ready = [one for one in self._each if one.ready]
            if not ready:
                raise Gone("none runs")
            chosen = next((one for one in ready if not one.asked), ready[0])
            chosen.asked += 1
        try:
            return chosen.decide(scope, reply, writer)
        finally:
            with self._choosing:
                chosen.asked -= 1

    def rest(self) -> None:
        for one in self._each:
            one.rest()

    def close(self) -> None:
        for one in self._each:
            one.close()


class DeciderProcess:
    """One of them."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self.asked = 0  # questions that it has or that wait for it
        self._timer: threading.Timer | None = None
        self._failed_at = float("-inf")
        self._closed = False
        self.ready = False

    def want(self) -> None:
        with self._lock:
            self._wake()
            if self._process or self._closed or time.monotonic() - self._failed_at < AGAIN_S:
                return
            command = [sys.executable, "-m", "maisale.decider"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(self._settings), bufsize=0)
            with suppress(OSError):  # it has ended, which is noticed below, or this process stands further behind itself
                os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)  # from its first import on
            threading.Thread(target=self._await_ready, args=(self._process,), name="decider-start", daemon=True).start()

    def decide(self, scope: Scope, reply: Reply | Turn, writer: Writer | None) -> Decision:
        try:
            with self._asking:
                process = self._process
                _write(process.stdin, (scope, reply, writer))
                kind, answer = _read(process.stdout, ANSWER_S)
        except (OSError, EOFError, TimeoutError, AttributeError, pickle.PickleError) as problem:
            self._fail()
            raise Gone(type(problem).__name__) from problem
        if kind == "refused":
            raise answer
        return answer

    def rest(self) -> None:
        with self._lock:
            self._wake()
            if self._process:
                self._timer = threading.Timer(REST_S, self._end)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        self._closed = True
        self._wake()
        self._end()

    def _await_ready(self, process: subprocess.Popen) -> None:
        try:
            _read(process.stdout, START_S)
            self.ready = self._process is process
        except (OSError, EOFError, TimeoutError, pickle.PickleError) as problem:
            log.warning("the process that would decide beside the app did not start: %s", type(problem).__name__)
            self._fail()

    def _wake(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _fail(self) -> None:
        self._failed_at = time.monotonic()
        self._end()

    def _end(self) -> None:
        self.ready = False
        process, self._process = self._process, None
        if process:
            process.kill()  # it writes nothing
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()


def _write(pipe: Any, what: object) -> None:
    data = pickle.dumps(what, protocol=pickle.HIGHEST_PROTOCOL)
    view = memoryview(len(data).to_bytes(8, "big") + data)
    while view:
        view = view[pipe.write(view) :]


def _read(pipe: Any, wait_s: float) -> Any:
    """Raises TimeoutError, or EOFError when the other side ended. What is unpickled comes from our own process only."""
    ends = time.monotonic() + wait_s
    return pickle.loads(receive(pipe, int.from_bytes(receive(pipe, 8, ends), "big"), ends))


def _serve() -> None:
    """Decides what is asked for on standard input until its end, which comes with the app's."""
    questions, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints must not be taken for an answer
    settings = read_settings(os.environ)
    log_to_stderr(formatter(settings.log_format, "decider", "decider %(levelname)s %(name)s: %(message)s"))
    services = open_services(settings, "cli")
    ends = time.monotonic() + MODEL_LOOK_S
    while not services.models.status.checked_at and time.monotonic() < ends:
        time.sleep(0.02)
    _write(answers, "ready")
    with suppress(EOFError):
        while True:
            scope, reply, writer = _read(questions, float("inf"))
            try:
                answer = ("decided", decide_answer(services, scope, reply, writer))
            except MaiSaleError as problem:
                answer = ("refused", problem)
            _write(answers, answer)


if __name__ == "__main__":
    _serve()
