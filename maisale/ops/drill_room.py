"""A small disk for one instance alone: a tmpfs in a mount namespace that ends with the drill. The machine's own disks are not touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from maisale.ops.drill_instance import ROOT, NotRun

PIECE = bytes(64 * 1024)
TRIES = 20
# The last program holds the namespace until its standard input is closed.
MOUNT = 'mount -t tmpfs -o "size=$1m,mode=700" drill "$0" && echo mounted && exec cat'


class Room:
    """A folder that can become full or read-only. inside: a command that starts another one where the folder is. seen: the folder from here."""

    def __init__(self, folder: Path, size_mb: int):
        """Raises NotRun where the kernel or the container does not allow a namespace."""
        folder.mkdir(parents=True, exist_ok=True)
        as_root = os.geteuid() == 0
        command = ["unshare", *([] if as_root else ["--user", "--map-root-user"]), "--mount", "sh", "-c", MOUNT, str(folder), str(size_mb)]
        try:
            self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError as problem:
            raise NotRun("a disk of its own needs the command unshare (util-linux)") from problem
        if self._holder.stdout.readline() != "mounted\n":
            said = self._holder.stderr.read().strip()
            self._holder.wait()
            raise NotRun(f"this machine gives the drill no disk of its own ({said})")
        pid = str(self._holder.pid)
        self.inside = ["nsenter", "--target", pid, "--mount", f"--wd={ROOT}", *([] if as_root else ["--user", "--preserve-credentials"])]
        self._folder, self.seen = folder, Path(f"/proc/{pid}/root{folder.resolve()}")

    def fill(self) -> None:
        """Not a byte more goes onto the disk."""
        with (self.seen / "ballast").open("ab", buffering=0) as ballast:
            size = len(PIECE)
            while size:
                try:
                    ballast.write(PIECE[:size])
                except OSError:
                    size //= 2

    def free(self) -> None:
        (self.seen / "ballast").unlink()

    def freeze(self) -> None:
        """Nothing is opened for writing any more; what is open stays so. Holds for root as well, to whom permission bits mean nothing."""
        for left in reversed(range(TRIES)):
            self._within("mount", "--bind", str(self._folder), str(self._folder))
            try:
                return self._within("mount", "-o", "remount,bind,ro", str(self._folder))
            except subprocess.CalledProcessError:  # busy: between the two somebody opened a file for writing
                self.thaw()
                if not left:
                    raise

    def thaw(self) -> None:
        self._within("umount", "--lazy", str(self._folder))

    def close(self) -> None:
        self._holder.stdin.close()
        self._holder.wait()

    def _within(self, *command: str) -> None:
        subprocess.run([*self.inside, *command], check=True, capture_output=True)
