"""The drills in their short form; `python -m maisale drill` is the long one. What a drill is stands in maisale/ops/drill.py. Some run always.

Kills aimed at Chroma's persist, which comes every 2,000 vectors, are made in the long form only.
"""

import os

import pytest

from maisale.ops.drill import Outcome
from maisale.ops.drills import DRILLS, Grounds

ALWAYS = ("index-deleted", "large-file", "kills", "small-files", "model-away")


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drills")
    with Grounds(folder, {**os.environ, "KNOWLEDGE_DIR": str(folder / "empty")}, short=True) as opened:
        yield opened


def rows():
    for drill in DRILLS:
        if drill.name != "kills-persist":
            yield pytest.param(drill, id=drill.name, marks=() if drill.name in ALWAYS else pytest.mark.long)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("drill", list(rows()))
def test_everything_acknowledged_ends_once_and_the_page_answers(grounds, drill):
    outcome = grounds.run(drill)
    if outcome.not_run:
        pytest.skip(outcome.not_run)
    assert outcome.held, outcome
    assert outcome.accepted >= 4


@pytest.mark.parametrize(
    "seen",
    [
        {"ended": 4},
        {"lost": 1},
        {"doubled": 1},
        {"wrong": ["the page did not answer"]},
        {"accepted": 0, "ended": 0},
        {"not_run": "this machine gives the drill no disk of its own"},
    ],
)
def test_a_drill_has_not_held_when_anything_is_missing_or_it_was_not_run(seen):
    assert Outcome("a drill", accepted=5, ended=5).held
    assert not Outcome("a drill", **{"accepted": 5, "ended": 5, **seen}).held
