"""The disk becomes full, the folder read-only, the database stays locked, the clock jumps. Refusals are right there, with words; losses are not."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from maisale.ops.drill import Ground
from maisale.ops.drill_instance import DrillFailed

DAY_S = 86_400.0


def disk_full(ground: Ground) -> None:
    """Not a byte is free while people work; then there is room again."""
    load = ground.begin_load()
    time.sleep(_s(ground, 2, 10))
    ground.place.room.fill()
    time.sleep(_s(ground, 3, 30))
    ground.place.room.free()
    ground.healthy()
    time.sleep(_s(ground, 1, 5))
    ground.must(load.refused, "nothing was refused while the disk was full")


def read_only(ground: Ground) -> None:
    """Nothing is opened for writing any more while people work, and a worker that dies cannot start again; then it can."""
    load = ground.begin_load()
    time.sleep(_s(ground, 2, 10))
    ground.place.room.freeze()
    try:
        ground.instance.kill_worker()
        time.sleep(_s(ground, 4, 30))
        if not ground.short:
            _start_read_only(ground)
    finally:
        ground.place.room.thaw()
    ground.healthy()
    ground.must(load.refused, "no file was refused while the folder was read-only")


def _start_read_only(ground: Ground) -> None:
    """An app that cannot write says so and ends."""
    with ground.watch.down():
        ground.instance.kill()
        try:
            ground.instance.start()
            ground.must(False, "the app started on a folder that it cannot write to")
            ground.instance.stop()
        except DrillFailed as problem:
            ground.must("cannot be written to" in str(problem) and "Traceback" not in str(problem), f"a read-only folder is not said: {problem}")
        ground.place.room.thaw()
        ground.instance.start()
        ground.place.room.freeze()


def locked_database(ground: Ground) -> None:
    """Another program holds the database's write lock: what is sent waits, or is refused when it takes longer than half a minute."""
    load = ground.begin_load()
    time.sleep(1)
    with closing(sqlite3.connect(ground.instance.data / "sqlite.db", timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(_s(ground, 4, 40))
        other.execute("ROLLBACK")
    ground.healthy()
    time.sleep(1)
    ground.must(ground.short or load.refused, "nothing was refused although the database was locked for 40 s")


def clock_jump(ground: Ground) -> None:
    """The wall clock jumps a day ahead, back again, and an hour back, while jobs are in flight."""
    ground.begin_load(paragraphs=40)
    for ahead_s in (DAY_S, 0.0, -3600.0):
        time.sleep(_s(ground, 1, 10))
        ground.place.clock.jump(ahead_s)
        ground.healthy()
    time.sleep(_s(ground, 1, 10))


def _s(ground: Ground, short: float, long: float) -> float:
    return short if ground.short else long
