"""What is counted, and what is made of it."""

import pytest

from maisale.metrics import ACK_BOUNDS_S, LastHour, quantile_s

BOUNDS_S = (0.1, 0.2, 0.4)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("counts", "p95_s"),
    [
        ([0, 0, 0, 0], None),
        ([100, 0, 0, 0], 0.095),
        ([90, 10, 0, 0], 0.15),
        ([0, 0, 0, 7], 0.4),  # longer than the last bound: at least that
        ([0, 1, 0, 0], 0.195),
        ([95, 0, 0, 5], 0.1),
    ],
)
def test_a_quantile_is_read_from_counts_as_prometheus_does(counts, p95_s):
    found = quantile_s(counts, BOUNDS_S)
    assert found == (None if p95_s is None else pytest.approx(p95_s))


def test_an_hour_forgets_what_is_older():
    clock = Clock()
    hour = LastHour(BOUNDS_S, clock)
    for at_s, seconds in ((0, 0.05), (30, 0.2), (60 * 59, 9.0)):
        clock.now = at_s
        hour.observe(seconds)
    assert hour.minutes() == {0: [1, 1, 0, 0], 59: [0, 0, 0, 1]}
    clock.now = 60 * 60
    hour.observe(0.3)
    assert hour.minutes() == {59: [0, 0, 0, 1], 60: [0, 0, 1, 0]}


def test_the_goal_is_a_bound_of_its_own():
    assert 0.2 in ACK_BOUNDS_S
