"""Texts without personal data: each find of identifiers.py becomes a typed placeholder, ‹phone›. Pure.

What word search reads has a word more in each, ‹phone zp0123456789abcdefz›: a keyed hash of the number, the same for every way to write it, so
that its exact digits find it again. Without the instance's key nobody computes that word from a number. Vectors, models and logs get none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache

from maisale.identifiers import Identifier, could_be, find
from maisale.records import FIELDS_APART, Chunk
from maisale.text import HASH_WORD, indexed_text

# What stands for each kind. English in every text: people and models read them, and both languages write these words.
NAMES = {
    "email": "email",
    "phone": "phone",
    "card": "card",
    "iban": "iban",
    "citizen_id": "citizen id",
    "tax_code": "tax code",
    "ip": "ip address",
    "secret": "secret",
}
Known = Callable[[Collection[str]], Collection[str]]  # given hash words, those that an index holds
NOWHERE = f"zp{16 * '0'}z"  # a hash word that no text holds
_HASHED = re.compile(rf" {HASH_WORD}(?=›)")


def hash_word(normal: str, key: bytes) -> str:
    """One folded word that no stemmer changes. normal: of an Identifier; its kind is left out, for a question does not always tell it."""
    return f"zp{hmac.new(key, normal.encode(), hashlib.sha256).hexdigest()[:16]}z"


def redacted(text: str, key: bytes) -> tuple[str, Counter[str]]:
    """`text` with placeholders and hash words, and how many of each kind there are."""
    found = find(text)
    return _replaced(text, found, key), Counter(one.kind for one in found)


def plain(text: str) -> str:
    """`text` with placeholders alone: for vectors, and for a model that is not to see originals."""
    found = find(text := _HASHED.sub("", text))
    return _HASHED.sub("", _replaced(text, found, b"")) if found else text


def searched(title: str, heading: str, text: str, key: bytes, known: Known | None = None) -> tuple[str, Counter[str]]:
    """What Chunk.searched holds, empty when nothing was found; and the counts of `text` alone, for title and heading stand in many chunks.

    known: of a message, in which people name a number without saying what it is, as in a question.
    """
    title, heading = title.replace(FIELDS_APART, " "), heading.replace(FIELDS_APART, " ")
    of_title, of_heading, of_text = as_indexed((title, heading, text), key, known) if known else (title, heading, text)
    of_text, counts = redacted(of_text, key)
    fields = (_line(of_title, key), _line(of_heading, key), of_text)
    return "" if fields == (title, heading, text) else FIELDS_APART.join(fields), counts


def counts_of(lines: Collection[str]) -> Counter[str]:
    """Of titles and headings."""
    return sum((Counter(one.kind for one in find(line)) for line in lines), Counter())


def words_text(chunk: Chunk) -> str:
    """What word search reads of a chunk."""
    return indexed_text(*chunk.sought)


def vector_text(chunk: Chunk) -> str:
    """What an embedder reads of a chunk."""
    return _HASHED.sub("", words_text(chunk)) if chunk.searched else words_text(chunk)


def as_indexed(texts: Sequence[str], key: bytes, known: Known) -> list[str]:
    """Questions as the words of an index may meet them: a number whose hash word it holds becomes that word, every other one stays as it was typed.

    A passage says "MST" before a tax code, a question often does not: whether a number was replaced, only the index knows.
    """
    found = [could_be(text) for text in texts]
    held = known({hash_word(one.normal, key) for some in found for one in some}) if any(found) else ()
    return [_replaced(text, _apart([one for one in some if hash_word(one.normal, key) in held]), key) for text, some in zip(texts, found, strict=True)]


def hash_words(texts: Sequence[str], key: bytes) -> set[str]:
    """Of everything in them that could identify somebody."""
    return {hash_word(one.normal, key) for text in texts for one in could_be(text)}


def _apart(found: Sequence[Identifier]) -> list[Identifier]:
    """Those that do not overlap one before them."""
    kept: list[Identifier] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def _replaced(text: str, found: Sequence[Identifier], key: bytes) -> str:
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], f"‹{NAMES[one.kind]} {hash_word(one.normal, key)}›"]
        at = one.end
    return "".join([*parts, text[at:]])


@lru_cache(maxsize=256)  # every chunk of a document has its title
def _line(line: str, key: bytes) -> str:
    return redacted(line, key)[0]
