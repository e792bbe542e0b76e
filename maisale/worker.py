"""The worker: Huey's consumer, and the only process that has the vector index open. `huey_consumer maisale.worker.huey`, or the app's own child.

Importing this opens nothing. The consumer opens the services before its threads start and closes them after they ended: a job that is being done is
finished, or handed to the next worker. What a job does is library/indexing.py's.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from huey.api import Huey
from huey.consumer import Consumer, Scheduler
from huey.consumer_options import OptionParserHandler

from maisale.bell import make_huey, register, use_redis
from maisale.config import Settings
from maisale.contracts import Held
from maisale.errors import MaiSaleError, Misconfigured
from maisale.library import upkeep
from maisale.library.embedders import Embedders
from maisale.logs import formatter, log_to_stderr
from maisale.ops import audit_chain, erasing, scheduled_backups
from maisale.services import ClosedIndex, Services, open_index, open_services, read_settings, serve_index
from maisale.store import jobs
from maisale.tasks import SWEEP_S, Work

log = logging.getLogger(__name__)

HANDS = 4  # threads, when WORKERS is 0 because the app is to start none of its own
POLL_S = 0.3  # at most between two looks at the queue; Huey's own 10 s would be felt
NICE = 15  # people who ask, and what is decided for them, go before documents that are read
INDEX_AGAIN_S = 5.0  # after the index could not be opened
TURN_S = 2.0  # between two looks whether another worker has filled it
FINISH_S = 7.0  # for jobs that are being done at SIGTERM; with the rest under 10 s


@functools.cache
def settings() -> Settings:
    return read_settings(os.environ)


class Shift:
    """What the worker has open while it runs."""

    def __init__(self, given: Settings, hands: int, queue: Huey):
        self._settings = given
        self._queue = queue
        self._hands = hands
        self.stopping = threading.Event()
        self._services: Services | None = None
        self._keeper: threading.Thread | None = None
        self._backup: threading.Thread | None = None
        self._erasing: threading.Thread | None = None
        self._lead: Held | None = None
        self.work: Work | None = None

    def begin(self) -> None:
        """Raises Misconfigured when another worker runs or a folder stands in the way."""
        self._services = open_services(self._settings, "worker")
        if self._settings.redis_url:
            self._services.bell.hear_itself(self._queue)
        # Beside other workers, what one of them left behind is taken when its lease has passed.
        left = 0 if self._settings.on_postgres else self._services.db.write(jobs.take_over)
        if left:
            log.info("%d jobs of an earlier worker are taken over", left)
        self.work = Work(self._services, Embedders(self._services), self._hands, self.stopping, self._leads)
        if self._services.vectors is not None:
            self._keeper = threading.Thread(target=self._keep_index, name="index-keeper", daemon=True)
            self._keeper.start()

    def end(self) -> None:
        """After the hands have stopped, or the time for it is over."""
        self.stopping.set()
        if self._services is None:
            return
        self.work.put_back()
        if self._keeper:
            self._keeper.join(FINISH_S)
        if self._lead:
            self._lead.__exit__(None, None, None)
        self._services.close()

    def sweep(self) -> None:
        """What is looked at every few seconds. Of several workers one makes the backups and erases, however many look."""
        self.work.sweep()
        self.keep_witness()
        if self._leads():
            self.back_up_if_due()
            self.erase_if_due()

    def _leads(self) -> bool:
        """Whether this worker is the one of all that does what only one may do; it is until it ends, or its lease is lost."""
        if self._lead and self._lead.lost:
            self._lead.__exit__(None, None, None)
            self._lead = None
        if self._lead is None and (held := self._services.shared.locks.hold("scheduler")):
            self._lead = held
            log.info("this worker makes the backups and tends the embedders")
            if not (self._backup and self._backup.is_alive()):
                scheduled_backups.sweep(self._settings)
        return self._lead is not None

    def back_up_if_due(self) -> None:
        """In a thread: jobs go on meanwhile."""
        if self._backup and self._backup.is_alive():
            return
        if scheduled_backups.due(self._settings):
            self._backup = threading.Thread(target=scheduled_backups.run, args=(self._services.db, self._settings), name="backup", daemon=True)
            self._backup.start()

    def erase_if_due(self) -> None:
        """In a thread, as above."""
        if self._erasing and self._erasing.is_alive():
            return
        if erasing.due(self._services.db, self._settings):
            self._erasing = threading.Thread(target=erasing.run, args=(self._services, self.stopping), name="erasing", daemon=True)
            self._erasing.start()

    def keep_witness(self) -> None:
        audit_chain.keep_witness(self._services.db, self._settings)

    def _keep_index(self) -> None:
        """In a thread: loading Chroma takes seconds, opening its folder may take longer, and files are read meanwhile.

        Begins anew when it cannot be opened, or breaks off: a disk that was full has room again later.
        """
        while not self.stopping.is_set():
            try:
                self._serve_index()
            except (MaiSaleError, OSError) as problem:
                log.error("exact search answers everything, and the index is tried again in %.0f s: %s", INDEX_AGAIN_S, problem)
                self._services.vectors = ClosedIndex(f"it could not be opened ({problem})")
                self.stopping.wait(INDEX_AGAIN_S)

    def _serve_index(self) -> None:
        """Until the shift ends."""
        with ExitStack() as opened:
            index = open_index(self._settings)
            opened.callback(index.release)
            opened.callback(serve_index(self._settings, index).close)
            self._services.vectors = index
            upkeep.keep(self._services.db, index, self.stopping, opened=self.work.go_on, turn=self._turn_at_index)

    @contextmanager
    def _turn_at_index(self) -> Iterator[None]:
        """One that several workers have in common is compared and filled by one of them after the other."""
        if self._settings.index != "pgvector" and not self._settings.on_chroma_server:
            yield
            return
        while (held := self._services.shared.locks.hold("index")) is None:
            if self.stopping.wait(TURN_S):
                yield  # to nothing: it ends
                return
        with held:
            yield


class _Sweeper(Scheduler):
    """Huey's scheduler, which also sweeps for jobs whose ring was lost."""

    shift: Shift
    _swept_at = float("-inf")

    def loop(self, now: Any = None) -> None:
        if time.monotonic() - self._swept_at >= SWEEP_S:
            self._swept_at = time.monotonic()
            try:
                self.shift.sweep()
            except MaiSaleError as problem:
                log.error("the sweep failed: %s", problem)
        super().loop(now)


class _WorkerConsumer(Consumer):
    """A consumer that opens the shift before its threads start, and closes it after them."""

    def __init__(self, huey: _WorkerHuey, shift: Shift, **options: Any):
        self._shift = shift
        super().__init__(huey, **options)
        # Huey's own reading of SIGTERM drops what runs, and of SIGHUP restarts by argv, which -m does not survive.
        self._signal_actions = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), (False, True))

    def _create_scheduler(self) -> _Sweeper:
        sweeper = _Sweeper(huey=self.huey, stop_flag=self.stop_flag, interval=self.scheduler_interval, periodic=self.periodic)
        sweeper.shift = self._shift
        return sweeper

    def run(self) -> None:
        """Until it is told to stop. Ends the process with one sentence when it cannot start."""
        try:
            self._shift.begin()
            super().run()
        except Misconfigured as problem:
            raise SystemExit(str(problem)) from problem
        finally:
            self._shift.end()

    def stop(self, graceful: bool = False) -> None:
        self._shift.stopping.set()
        super().stop(graceful)


class _WorkerHuey(Huey):
    """The queue as the consumer's command line finds it."""

    shift: Shift | None = None

    def create_consumer(self, **options: Any) -> Consumer:
        """Our own defaults, then what somebody typed: huey_consumer passes Huey's defaults as if they had been asked for."""
        try:
            given = settings()
        except Misconfigured as problem:
            raise SystemExit(str(problem)) from problem
        ours = {"workers": given.workers or HANDS, "initial_delay": 0.05, "max_delay": POLL_S, "shutdown_timeout": FINISH_S}
        # Threads always: what the shift has open cannot be shared with forked processes.
        chosen = {**options, **ours, **_typed(sys.argv), "graceful_signal": "TERM", "worker_type": "thread"}
        use_redis(self, given, listens=True)
        self.shift = Shift(given, chosen["workers"], self)
        return _WorkerConsumer(self, self.shift, **chosen)


def _typed(argv: list[str]) -> dict[str, Any]:
    """The options of `huey_consumer` that were really typed."""
    if not Path(argv[0]).name.startswith("huey_consumer"):
        return {}
    found, _ = OptionParserHandler().get_option_parser().parse_args(argv[1:])
    here = {"logfile", "verbose", "simple_log"}  # of the command, not of the consumer
    return {name: value for name, value in vars(found).items() if value is not None and name not in here}


def _working() -> Work:
    if huey.shift is None or huey.shift.work is None:
        raise RuntimeError("the worker is not open")
    return huey.shift.work


huey = make_huey(settings, _WorkerHuey)
run_job = register(huey, _working)


def run() -> int:
    """Works until SIGTERM or SIGINT, or until the process that started it through a pipe has ended."""
    os.nice(NICE)
    try:
        log_format = settings().log_format
    except Misconfigured as problem:
        raise SystemExit(str(problem)) from problem
    log_to_stderr(formatter(log_format, "worker", "%(asctime)s worker %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("huey").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    consumer = huey.create_consumer()
    if _has_parent_at_pipe():
        threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    consumer.run()
    return 0


def _has_parent_at_pipe() -> bool:
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode)
    return False


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    log.info("the app has ended, and so does its worker")
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(run())
