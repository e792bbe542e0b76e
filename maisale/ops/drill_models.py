"""The model server goes away, is slow, or answers nonsense for a while, under load; then it is well again."""

from __future__ import annotations

import time
from collections.abc import Callable

from maisale.ops import drill_model
from maisale.ops.drill import Ground


def away(ground: Ground) -> None:
    """No connection; jobs wait without an attempt, quotations answer."""
    load = ground.begin_load()
    time.sleep(_s(ground, 1, 10))
    ground.place.model.stop()
    try:
        time.sleep(_s(ground, 4, 60))
    finally:
        ground.place.model.start()
    ground.healthy()
    ground.must(not load.refused, f"questions or files were refused: {dict(load.refused)}")


def misbehaving(mode: str) -> Callable[[Ground], None]:
    """The drill for one mode of drill_model.py."""

    def drill(ground: Ground) -> None:
        load = ground.begin_load()
        time.sleep(_s(ground, 0.5, 10))
        ground.place.model.mode = mode
        try:
            time.sleep(_s(ground, 2, 30))
        finally:
            ground.place.model.mode = drill_model.WELL
        ground.healthy()
        ground.must(not load.refused, f"questions or files were refused: {dict(load.refused)}")
        _all_have_vectors(ground)

    return drill


def _all_have_vectors(ground: Ground) -> None:
    """A model that was ill leaves nothing behind that only words find; what was given up meanwhile is tried again."""
    ground.settle()
    given_up = ground.instance.rows("SELECT count(*) FROM jobs WHERE state = 'dead'")[0][0]
    ground.outcome.details["given_up"] = given_up
    if given_up:
        ground.instance.command("jobs", "retry", "all")
        ground.settle()
    left = ground.instance.rows("SELECT count(*) FROM documents WHERE stage = 'searchable'")[0][0]
    ground.must(not left, f"{left} documents are found by words only")


def _s(ground: Ground, short: float, long: float) -> float:
    return short if ground.short else long
