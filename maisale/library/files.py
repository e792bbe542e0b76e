"""The bytes of documents on the disk: one file each under data/files, named by the document's id, and what is hashed on the way in."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from maisale.config import Settings
from maisale.errors import StorageFailed

log = logging.getLogger(__name__)

_PIECE = 1 << 20  # bytes


def keep_file(settings: Settings, path: Path, document_id: str) -> tuple[int, str]:
    """Copies `path` to the document's file, which changes in one step and survives a power cut once this returns. Gives (bytes, SHA-256).

    Raises StorageFailed; then the document's file is as it was.
    """
    kept = settings.files_dir / document_id
    coming = kept.with_name(f"{document_id}.{os.getpid()}.part")
    try:
        size, digest = _copy(path, coming)
        os.replace(coming, kept)
        _sync_folder(settings.files_dir)
    except OSError as problem:
        coming.unlink(missing_ok=True)
        raise StorageFailed(f"{path.name} could not be kept ({problem.strerror}); nothing was stored. Free some space and add it again.") from problem
    return size, digest


def remove_files(settings: Settings, document_ids: Sequence[str]) -> None:
    """What cannot be removed now is swept later, as it has no row."""
    for document_id in document_ids:
        try:
            (settings.files_dir / document_id).unlink(missing_ok=True)
        except OSError as problem:
            log.warning("the file of document %s stays until the next start: %s", document_id, problem)


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while piece := reader.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())
    return size, digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """A new name is durable only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
