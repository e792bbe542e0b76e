"""Our measures agree with trec_eval's own code, and the bootstrap says what a coin would."""

import random

import pytest
import pytrec_eval

from maisale.ops import measures


def random_runs(seed):
    source = random.Random(seed)
    documents = [f"d{number}" for number in range(30)]
    for number in range(50):
        grades = {document: source.choice([0, 0, 0, 1, 2]) for document in source.sample(documents, 12)}
        ranked = source.sample(documents, 20)
        if any(grades.values()):
            yield f"q{number}", grades, ranked


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("recall_5", lambda ranked, grades: measures.recall(ranked, grades, 5)),
        ("ndcg_cut_5", lambda ranked, grades: measures.ndcg(ranked, grades, 5)),
        ("recip_rank", lambda ranked, grades: measures.reciprocal_rank(ranked, grades, 20)),
    ],
)
def test_rankings_are_judged_as_trec_eval_judges_them(theirs, ours):
    runs = list(random_runs(7))
    judge = pytrec_eval.RelevanceEvaluator({query: grades for query, grades, _ in runs}, {"recall.5", "ndcg_cut.5", "recip_rank"})
    judged = judge.evaluate({query: {document: 100.0 - rank for rank, document in enumerate(ranked)} for query, _, ranked in runs})
    for query, grades, ranked in runs:
        assert ours(ranked, grades) == pytest.approx(judged[query][theirs]), query


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [([2, 3], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([1, 1], [1], 0.5), ([1, 3], [2], 0.5), ([1], [], None)],
)
def test_the_area_under_the_curve_counts_pairs(positive, negative, expected):
    assert measures.auroc(positive, negative) == expected


def test_a_difference_counts_only_when_the_questions_agree():
    noise = random.Random(3)
    before = [noise.random() for _ in range(300)]
    difference, low, high = measures.paired_bootstrap(before, [value + 0.02 for value in before])
    assert difference == pytest.approx(0.02) and 0 < low <= high
    _, low, high = measures.paired_bootstrap(before, [value + noise.choice([-0.1, 0.1]) for value in before])
    assert low < 0 < high
