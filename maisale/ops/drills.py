"""All drills, and how they are run: each on its place, watched, settled and counted. Short ones share a place, long ones have their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from maisale.errors import MaiSaleError
from maisale.ops import drill_crowds, drill_index, drill_kills, drill_model, drill_models, drill_storage
from maisale.ops.drill import Drill, Ground, Outcome, Place
from maisale.ops.drill_clock import Clock
from maisale.ops.drill_instance import DrillFailed, Instance, NotRun
from maisale.ops.drill_model import ModelServer
from maisale.ops.drill_room import Room

ROOM_MB = 200

DRILLS = (
    Drill("100-uploads", "a hundred files at the same instant", "plain", drill_crowds.uploads_at_once),
    Drill("locked-database", "another program holds the database's write lock", "plain", drill_storage.locked_database),
    Drill("index-twice", "a second worker on the same index", "plain", drill_index.opened_twice),
    Drill("index-corrupted", "Chroma's files are overwritten", "plain", drill_index.corrupted),
    Drill("index-deleted", "Chroma's folder is deleted", "plain", drill_index.deleted),
    Drill("backup", "a backup taken under load, restored elsewhere", "plain", drill_crowds.backup),
    Drill("large-file", "a file of 50 MB", "plain", drill_crowds.large_file),
    Drill("kills", "kill -9 of worker and app at random moments", "plain", drill_kills.kills),
    Drill("kills-persist", "kill -9 while Chroma writes its files", "plain", drill_kills.kills_at_a_persist),
    Drill("small-files", "ten thousand small files", "plain", drill_crowds.small_files),
    Drill("disk-full", "no byte is free", "room", drill_storage.disk_full),
    Drill("read-only", "the folder cannot be written to", "room", drill_storage.read_only),
    Drill("clock-jump", "the clock jumps a day ahead, and back", "clock", drill_storage.clock_jump),
    Drill("model-500", "Ollama answers with status 500", "model", drill_models.misbehaving(drill_model.ERROR)),
    Drill("model-nan", "Ollama makes NaN of every text", "model", drill_models.misbehaving(drill_model.NAN)),
    Drill("model-zero", "Ollama gives zero vectors", "model", drill_models.misbehaving(drill_model.ZERO)),
    Drill("model-dimension", "Ollama gives vectors of another length", "model", drill_models.misbehaving(drill_model.WRONG)),
    Drill("model-slow", "Ollama is slow", "model", drill_models.misbehaving(drill_model.SLOW)),
    Drill("model-away", "Ollama is away", "model", drill_models.away),
)


class Grounds(AbstractContextManager):
    """Runs drills in `folder`; what their instances inherit is `environ`. A place stays open while the next drill needs the same one."""

    def __init__(self, folder: Path, environ: Mapping[str, str], short: bool):
        self._folder, self._environ, self._short = folder, environ, short
        self._places: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
            "plain": self._plain,
            "room": self._room,
            "clock": self._clock,
            "model": self._model,
        }
        self._open: tuple[str, Place] | None = None
        self._opened = ExitStack()
        self._number = 0

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run(self, drill: Drill) -> Outcome:
        """Never raises for what the drill finds: that is in the outcome, as is what kept it from being run."""
        began = time.monotonic()
        self._number += 1
        try:
            ground = Ground(drill.name, self._place(drill.place), self._folder / f"{self._number}-{drill.name}", self._short)
        except NotRun as problem:
            return Outcome(drill.name, not_run=str(problem))
        except DrillFailed as problem:
            return Outcome(drill.name, wrong=[str(problem)])
        ground.watch.start()
        try:
            drill.work(ground)
            ground.settle()
            ground.watch.stop()
            ground.count()
            self._verify(ground)
        except NotRun as problem:
            return Outcome(drill.name, not_run=str(problem))
        except MaiSaleError as problem:  # the instance is not fit for the next drill either
            ground.must(False, str(problem))
            self._leave()
        finally:
            ground.end_load()
            ground.watch.stop()
        ground.outcome.seconds = round(time.monotonic() - began, 1)
        return ground.outcome

    def _verify(self, ground: Ground) -> None:
        """Everything is read once. Not in the short form, which counts its documents by searching for each: `verify` takes seconds to start."""
        if self._short:
            return
        found = ground.instance.command("verify")
        ground.must(found.returncode == 0, f"verify: {found.stderr.strip()[-500:]}")

    def _place(self, name: str) -> Place:
        if self._open and self._open[0] == name and self._short:
            return self._open[1]
        self._leave()
        place = self._opened.enter_context(self._places[name](self._folder / f"{self._number}-{name}"))
        self._open = name, place
        return place

    def _leave(self) -> None:
        self._opened.close()
        self._opened, self._open = ExitStack(), None

    @contextmanager
    def _plain(self, folder: Path) -> Iterator[Place]:
        with _running(Instance(folder, self._environ)) as instance:
            yield Place(instance)

    @contextmanager
    def _room(self, folder: Path) -> Iterator[Place]:
        room = Room(folder / "data", ROOM_MB)
        try:
            with _running(Instance(folder, self._environ, room.inside, room.seen)) as instance:
                yield Place(instance, room=room)
        finally:
            room.close()

    @contextmanager
    def _clock(self, folder: Path) -> Iterator[Place]:
        clock = Clock(folder / "clock")
        with _running(Instance(folder, clock.environ(self._environ))) as instance:
            yield Place(instance, clock=clock)

    @contextmanager
    def _model(self, folder: Path) -> Iterator[Place]:
        model = ModelServer()
        try:
            with _running(Instance(folder, self._environ, OLLAMA_HOST=model.url)) as instance:
                yield Place(instance, model=model)
        finally:
            model.close()


@contextmanager
def _running(instance: Instance) -> Iterator[Instance]:
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()
