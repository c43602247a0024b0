"""The Pareto front: what no other point beats in everything. Source: the usual definition; ties stay."""

from collections.abc import Sequence

Point = Sequence[float | None]
"""One number an objective, higher better; `None` is unknown and beats nothing."""


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is at least as good as `b` in every objective and better in one.

    An objective that is unknown for either is not compared; without any known for both, nothing dominates.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other dominates, in order."""
    return [
        index
        for index, point in enumerate(points)
        if not any(dominates(other, point) for place, other in enumerate(points) if place != index)
    ]
