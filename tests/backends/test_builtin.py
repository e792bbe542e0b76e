"""The built-in embedder."""

import numpy as np
import pytest

from maisale.backends.builtin import HashEmbedder

TEXTS = ["The warranty lasts 24 months.", "Máy lọc nước RO-9", "", "!!!", "the of and"]


def nearness(question, text):
    embedder = HashEmbedder()
    return float(embedder.query_vector([(question, 1.0)], lambda _word: 1.0) @ embedder.vectors([text])[0])


def test_every_vector_has_unit_length_even_of_a_text_without_words():
    made = HashEmbedder().vectors(TEXTS)
    assert made.shape == (len(TEXTS), 1024) and made.dtype == np.float32
    assert np.linalg.norm(made, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_no_texts_make_no_vectors():
    assert HashEmbedder().vectors([]).shape == (0, 1024)


def test_the_same_text_has_the_same_vector_in_every_process():
    places = HashEmbedder().vectors(["warranty"])[0].nonzero()[0].tolist()
    assert places == [1, 58, 242, 269, 272, 288, 305, 330, 396, 471, 510, 591, 594, 702, 777, 811, 865, 880, 916, 917, 918, 1001]


def test_other_endings_and_typing_errors_stay_near():
    assert nearness("waranty of purifiers", "The warranty of the purifier") > nearness("waranty of purifiers", "Opening hours of the shop") + 0.3


def test_marks_do_not_matter():
    assert nearness("bao hanh", "bảo hành") == pytest.approx(nearness("bảo hành", "bảo hành"))


def test_rare_words_lead_a_question():
    embedder = HashEmbedder()
    rarity = {"purifier": 0.1, "returns": 5.0}
    asked = embedder.query_vector([("purifier returns", 1.0)], lambda word: rarity[word])
    one, other = embedder.vectors(["purifier cleaning", "returns counter"])
    assert asked @ other > asked @ one


def test_an_earlier_turn_counts_by_its_weight():
    embedder = HashEmbedder()
    asked = embedder.query_vector([("returns", 1.0), ("warranty", 0.3)], lambda _word: 1.0)
    one, other = embedder.vectors(["returns", "warranty"])
    assert asked @ one > asked @ other > 0.1


def test_langchain_gets_lists_of_floats():
    embedder = HashEmbedder()
    assert len(embedder.embed_query("warranty")) == len(embedder.embed_documents(["warranty"])[0]) == 1024
