"""`python -m maisale.backends.chroma_check FOLDER`: whether a Chroma folder that was not closed can be used. Ends with 0 when it can.

In a process of its own: opening a folder whose HNSW files were torn by a kill may end the process (chromadb 1.5.9: segmentation fault).
count() and get() read SQLite and see every vector; only a query tells whether the graph still has it.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
from contextlib import suppress

import chromadb
from chromadb.config import Settings

SAMPLES = 64  # vectors of each index, half of them the latest: those are what a kill loses
MISSES = 2  # of them: HNSW itself may overlook one among near-equal vectors
SAME = 1e-3  # cosine distance
M_PERTURB, FILLING = -6, 0x55  # malloc.h; memory that is handed out gets the complement of FILLING, freed memory FILLING


def open_folder(folder: str) -> chromadb.ClientAPI:
    _fill_memory()
    # chromadb 1.5.9 would read the .env of the working folder, where DATA_DIR and others are ours.
    return chromadb.PersistentClient(folder, settings=Settings(_env_file=None, anonymized_telemetry=False))


def _fill_memory() -> None:
    """chromadb 1.5.9 writes room for vectors to come as it got it from the allocator: with what this process held there before, deleted ids and
    texts among it. glibc fills it instead, for some 5 % of an upsert's time; elsewhere nothing does.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_PERTURB, FILLING)


def missing(index: chromadb.Collection) -> int:
    """How many of the sampled vectors are not found by themselves."""
    keys = index.get(include=[])["ids"]
    if len(keys) != index.count():
        return SAMPLES
    if not keys:
        return 0
    latest = keys[-SAMPLES // 2 :]
    sample = list({*latest, *random.sample(keys, min(len(keys), SAMPLES // 2))})
    held = index.get(ids=sample, include=["embeddings"])
    found = index.query(query_embeddings=held["embeddings"], n_results=1, include=["distances"])
    answers = zip(held["ids"], found["ids"], found["distances"], strict=True)
    return sum(not ids or (ids[0] != key and distances[0] > SAME) for key, ids, distances in answers) + len(sample) - len(held["ids"])


def end_with_parent() -> None:
    """Standard input is a pipe of the worker's; when that was killed, nobody waits for the answer and the next worker needs the folder."""
    while os.read(0, 1024):
        pass
    os._exit(2)


def main(folder: str) -> int:
    threading.Thread(target=end_with_parent, daemon=True).start()
    client = open_folder(folder)
    lost = {listed.name: missing(client.get_collection(listed.name, embedding_function=None)) for listed in client.list_collections()}
    client.close()
    return int(any(count > MISSES for count in lost.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
