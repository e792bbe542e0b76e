"""A library of any size to measure on, made of real text: what a folder's files hold and, behind that, edited copies of it.

Near-equal neighbours are what an approximate index loses the right chunk among. The rows are those that indexing writes, in larger steps;
the worker's upkeep then fills the vector index from SQL, as it does after a damage.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from maisale.contracts import Embedder, Transaction
from maisale.errors import BadInput, NotFound, Unreadable
from maisale.library.chunking import Piece, chunk_text
from maisale.library.embedders import Embedders
from maisale.library.indexing import document_chunks
from maisale.library.reading import ENDINGS, read
from maisale.records import Chunk, Scope
from maisale.redaction import vector_text
from maisale.services import Services
from maisale.store import accounts, chunks, documents, privacy

COLLECTIONS = 10
DOCUMENT_PIECES = 40  # a longer file becomes several documents
EDITED = 0.1  # of the words of a copy: half of them replaced by a word of the same text, half dropped
FLUSH = 200  # chunks in one transaction
COPIES = "copies/"  # what the source of an edited copy begins with
SEED = 7
Progress = Callable[[str, int, int], None]  # what is done, how many, of how many
_WORD = re.compile(r"[^\W\d_]+")
_READER = ("bench", "reader")


@dataclass(frozen=True)
class _Text:
    """A document before it is stored."""

    source: str
    pieces: tuple[Piece, ...]


def reader(services: Services) -> Scope:
    """The person who asks; made when it is missing."""
    try:
        return accounts.find_user(services.db, *_READER).scope
    except NotFound:
        return services.db.write(lambda tx: accounts.add_user(tx, *_READER)).scope


def fill(services: Services, source: Path, wanted: int, progress: Progress) -> float:
    """Makes the library hold `wanted` chunks in ten collections, all of them embedded; returns the seconds, 0 when it does already.

    Raises BadInput when it holds another number or other people's chunks, or the folder no text.
    """
    foreign = "SELECT 1 FROM chunks WHERE tenant_id NOT IN (SELECT id FROM tenants WHERE name = :name) LIMIT 1"
    if services.db.rows(foreign, name=_READER[0]):
        raise BadInput("This database holds a library that people use. Give an empty one.")
    there = services.db.rows("SELECT count(*) AS n FROM chunks")[0]["n"]
    if there == wanted:
        return 0.0
    if there:
        raise BadInput(f"The data folder holds {there} chunks, not {wanted}. Ask for {there}, or give another folder.")
    began, scope = time.perf_counter(), reader(services)
    Embedders(services).active()
    embedder, done = services.embedder, 0
    places = services.db.write(lambda tx: [documents.collection_named(tx, scope, f"Bench {number}") for number in range(COLLECTIONS)])
    for group in _groups(_texts(source, wanted), FLUSH):
        _store(services, scope, embedder, [(places[_number(text.source) % COLLECTIONS], text) for text in group])
        done += sum(len(text.pieces) for text in group)
        progress("chunks", done, wanted)
    return time.perf_counter() - began


def questions(services: Services, number: int) -> list[str]:
    """Runs of 6 to 12 words out of the real chunks, some words dropped: the same ones for the same library."""
    sql = f"""SELECT c.text FROM chunks AS c JOIN documents AS d ON d.id = c.document_id
              WHERE d.source NOT LIKE '{COPIES}%' ORDER BY d.source, c.position"""
    texts = [found for row in services.db.rows(sql) if len(found := [word for word in row["text"].split() if _WORD.search(word)]) >= 6]
    if not texts:
        raise BadInput("The real chunks are too short to make questions of. Give a folder with sentences.")
    chance, made = random.Random(SEED), []
    while len(made) < number:
        found, length = chance.choice(texts), chance.randint(6, 12)
        start = chance.randrange(max(1, len(found) - length + 1))
        run = found[start : start + length]
        made.append(" ".join([word for word in run if chance.random() > 0.2] or run))
    return made


def _texts(source: Path, wanted: int) -> Iterator[_Text]:
    """Documents with `wanted` pieces together."""
    real = list(_cut_at(_real(source), wanted))
    if not real:
        raise BadInput(f"{source} holds no file with text.")
    copies = (_edited(text, number) for number in count(1) for text in real)
    yield from _cut_at(chain(real, copies), wanted)


def _real(source: Path) -> Iterator[_Text]:
    if not source.is_dir():
        raise BadInput(f"{source} is not a folder. Give one that holds the text.")
    for path in sorted(one for one in source.rglob("*") if one.suffix.lower() in ENDINGS and one.is_file()):
        try:
            pieces = chunk_text(read(path, path.name))
        except Unreadable:
            continue
        name = path.relative_to(source).as_posix()
        for number, part in enumerate(_groups_of(pieces, DOCUMENT_PIECES)):
            yield _Text(f"{name}#{number}" if number else name, tuple(replace(piece, position=at) for at, piece in enumerate(part)))


def _cut_at(texts: Iterable[_Text], wanted: int) -> Iterator[_Text]:
    for text in texts:
        if wanted <= 0:
            return
        yield replace(text, pieces=text.pieces[:wanted])
        wanted -= len(text.pieces)


def _edited(text: _Text, number: int) -> _Text:
    source = f"{COPIES}{number}/{text.source}"
    chance = random.Random(f"{SEED} {source}")
    return _Text(source, tuple(replace(piece, text=_reworded(piece.text, chance)) for piece in text.pieces))


def _reworded(text: str, chance: random.Random) -> str:
    known = _WORD.findall(text)

    def other(word: re.Match) -> str:
        drawn = chance.random()
        return word[0] if drawn > EDITED else chance.choice(known) if drawn > EDITED / 2 else ""

    # A text of which nothing would be left stays as it is: an empty chunk is none.
    return _WORD.sub(other, text).strip() or text


def _store(services: Services, scope: Scope, embedder: Embedder, group: Sequence[tuple[str, _Text]]) -> None:
    def receive(tx: Transaction) -> list[dict[str, Any]]:
        ids = [str(uuid.uuid4()) for _ in group]
        for document_id, (place, text) in zip(ids, group, strict=True):
            body = "\n".join(piece.text for piece in text.pieces).encode()
            about = {"title": Path(text.source).name, "source": text.source, "media_type": "text/plain", "size": len(body)}
            documents.receive_document(tx, scope, place, document_id=document_id, content_hash=hashlib.sha256(body).hexdigest(), **about)
        return [documents.document_row(tx, document_id) for document_id in ids]

    def index(tx: Transaction) -> None:
        for document_id, made in by_document.items():
            chunks.insert_chunks(tx, scope.user_id, made)
            services.words.add(tx, made)
            documents.set_stage(tx, document_id, "complete", chunks=len(made))
        chunks.save_vectors(tx, embedder.name, vectors)

    rows, key = services.db.write(receive), privacy.key_to_redact(services.db, scope.tenant_id)
    by_document = {row["id"]: document_chunks(row, text.pieces, key)[0] for row, (_, text) in zip(rows, group, strict=True)}
    made = [chunk for some in by_document.values() for chunk in some]
    vectors = list(zip(made, _vectors(embedder, made), strict=True))
    services.db.write(index, bulk=True)


def _vectors(embedder: Embedder, made: Sequence[Chunk]) -> Iterator[Any]:
    for some in _groups_of(made, 32):
        yield from embedder.vectors([vector_text(chunk) for chunk in some])


def _groups(texts: Iterable[_Text], pieces: int) -> Iterator[list[_Text]]:
    """Documents in order, in groups of at least so many pieces."""
    group: list[_Text] = []
    for text in texts:
        group.append(text)
        if sum(len(one.pieces) for one in group) >= pieces:
            yield group
            group = []
    if group:
        yield group


def _groups_of(items: Sequence, size: int) -> Iterator[Sequence]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _number(source: str) -> int:
    """The same for a text and its copies: near-equal chunks stand in one collection."""
    return int(hashlib.sha256(source.removeprefix(COPIES).split("/", 1)[-1].encode()).hexdigest()[:8], 16)
