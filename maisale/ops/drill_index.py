"""The vector index is corrupted, deleted, and opened by a second worker. SQL has every vector: whatever happens, it is there again afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

from maisale.ops.drill import Ground
from maisale.ops.drill_instance import ROOT

REFUSED = "Another worker already has the vector index"
SECOND_S = 60.0


def corrupted(ground: Ground) -> None:
    """Every file of the folder is overwritten under the worker, which dies a little later."""
    ground.begin_load()
    ground.healthy(index=True)
    for path in ground.instance.settings().chroma_dir.rglob("*"):
        with suppress(OSError):
            if path.is_file() and (size := path.stat().st_size):
                with path.open("r+b") as file:
                    file.write(os.urandom(min(size, 1 << 20)))
    time.sleep(2 if ground.short else 15)
    ground.instance.kill_worker()
    ground.healthy(index=True)


def deleted(ground: Ground) -> None:
    """The folder is gone, under the running worker."""
    ground.begin_load()
    ground.healthy(index=True)
    shutil.rmtree(ground.instance.settings().chroma_dir, ignore_errors=True)
    time.sleep(2 if ground.short else 15)
    ground.healthy(index=True)


def opened_twice(ground: Ground) -> None:
    """A second worker is started on the same folder, and one of another data folder on the same index: both are refused in words."""
    ground.begin_load()
    ground.healthy(index=True)  # else the second may be the first one there
    if not ground.short:
        second = ground.instance.command("worker")
        ground.must(second.returncode == 1 and "Another worker already runs" in second.stderr, f"a second worker: {second.returncode} {second.stderr[-200:]}")
    ground.must(_is_refused(ground), f"a second worker was not told: {REFUSED}")
    ground.healthy(index=True)


def _is_refused(ground: Ground) -> bool:
    log = ground.folder / "second.log"
    environ = {**ground.instance.environ, "DATA_DIR": str(ground.folder / "other"), "CHROMA_PATH": str(ground.instance.settings().chroma_dir)}
    with log.open("wb") as out:
        second = subprocess.Popen([sys.executable, "-m", "maisale", "worker"], cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    ends = time.monotonic() + SECOND_S
    while REFUSED not in log.read_text(errors="replace") and second.poll() is None and time.monotonic() < ends:
        time.sleep(0.1)
    second.send_signal(signal.SIGTERM)
    second.wait()
    return REFUSED in log.read_text(errors="replace")
