"""The Pareto front."""

from hypothesis import given
from hypothesis import strategies as st

from autoflow.core.front import dominates, front

POINTS = st.lists(st.tuples(*[st.one_of(st.none(), st.integers(0, 3))] * 3), min_size=1, max_size=8)


def test_better_in_one_and_no_worse_in_the_others_dominates() -> None:
    assert dominates((1, 2), (1, 1))
    assert not dominates((1, 2), (1, 2))
    assert not dominates((1, 0), (0, 1))


def test_what_is_unknown_is_not_compared() -> None:
    assert dominates((1, None), (0, 5))
    assert not dominates((None, None), (None, None))
    assert front([(1, None), (None, 1)]) == [0, 1]


def test_the_front_keeps_ties_and_order() -> None:
    assert front([(1, 1), (0, 2), (1, 1), (0, 1)]) == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_every_known_point_is_on_the_front_or_dominated_by_one_that_is(points: list[tuple[int, int]]) -> None:
    kept = front(points)
    assert kept
    for index, point in enumerate(points):
        assert (index in kept) != any(dominates(points[other], point) for other in kept)


@given(POINTS)
def test_nothing_dominates_itself(points: list[tuple[int | None, ...]]) -> None:
    assert not any(dominates(point, point) for point in points)
