"""Intervals and paired tests over tasks. Average epochs per task first: n is tasks, never draws.

Scores lie in [0, 1]. All intervals are 95 %, all tests two-sided but `one_sided`. Equal seeds give equal numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
DRAWS = 10_000

_Z = 1.959963984540054
_Z_POWER = 0.8416212335729143
# Normal quantiles at 0.975 and at 0.8, the power that sample sizes are worked out for.

_FEW = 5
"""Below this many values a bootstrap only re-deals what little there is; its interval would be far too narrow."""

_MANY = 5_000
"""From here on the normal interval equals the bootstrap to all digits that anyone prints."""

_EXACT = 16
_BATCH = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int
    method: str
    """"wilson", "bootstrap", "normal", or "bounded": for few or unvarying values, Wilson's interval at their mean,
    which holds for any values in [0, 1] because none vary more than zeros and ones."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two candidates on the tasks scored for both; `difference` is the first's mean less the second's."""

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    test: str
    """"mcnemar", "permutation (exact)" or "permutation"."""

    differing: int
    """Tasks on which the two differ."""

    needed: int | None
    """Tasks that would show a difference of this size with power 0.8; `None` where there is none."""

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05."""
        return self.p_value < 1 - CONFIDENCE


def wilson(mean: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share of `n`."""
    spread = _Z * math.sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    middle = mean + _Z**2 / (2 * n)
    # At 0 and 1 the bound is exact; rounding must not move it inside.
    low = 0.0 if mean == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if mean == 1 else min(1.0, (middle + spread) / scale)
    return low, high


def mean_interval(values: Sequence[float], *, seed: int) -> Interval:
    """The mean of one value a task: Wilson for zeros and ones, else a bootstrap over tasks.

    The bootstrap is the percentile one with its quantiles moved out to Student's t (Hesterberg, The American
    Statistician 69, 2015, section 4.3): plain percentiles are too narrow for a dozen tasks.

    Raises:
        ValueError: For no values, or one outside [0, 1].
    """
    n = len(values)
    if n == 0:
        raise ValueError("there is no mean of no values")
    if not all(0.0 <= value <= 1.0 for value in values):
        raise ValueError("scores lie in [0, 1]")
    mean = _mean(values)
    if all(value in (0, 1) for value in values):
        return Interval(mean, *wilson(mean, n), n, "wilson")
    if n < _FEW or min(values) == max(values):
        return Interval(mean, *wilson(mean, n), n, "bounded")
    low, high, method = _resampled(values, seed)
    return Interval(mean, low, high, n, method)


def paired(a: Sequence[float | None], b: Sequence[float | None], *, seed: int) -> Comparison:
    """Compare two candidates task by task; a task with `None` on either side is left out.

    Where all scores are zeros and ones: exact McNemar. Otherwise a sign-flip permutation test: exact while at most 16
    tasks differ, else 10,000 draws. The interval of the difference is bootstrapped over tasks.

    Raises:
        ValueError: If the lengths differ or no task is scored for both.
    """
    pairs = _scored_for_both(a, b)
    gaps = [x - y for x, y in pairs]
    n = len(gaps)
    moved = [gap for gap in gaps if gap != 0]
    difference = _mean(gaps)
    if _binary(pairs):
        test, p_value = "mcnemar", _mcnemar(sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps))
    elif len(moved) <= _EXACT:
        test, p_value = "permutation (exact)", _flips_exact(moved, _as_far)
    else:
        test, p_value = "permutation", _flips_drawn(moved, _as_far, seed)
    low, high = _gap_interval(gaps, difference, seed)
    psi = _mean([gap * gap for gap in gaps])
    needed = None if difference == 0 else sample_size(psi, difference)
    return Comparison(difference, low, high, p_value, n, test, len(moved), needed)


def one_sided(a: Sequence[float | None], b: Sequence[float | None], *, seed: int) -> float:
    """The p-value of `a` being no worse than `b`: small where `a` is clearly worse. The tests are those of `paired`.

    Raises:
        ValueError: If the lengths differ or no task is scored for both.
    """
    pairs = _scored_for_both(a, b)
    moved = [x - y for x, y in pairs if x != y]
    if _binary(pairs):
        return _tail(sum(gap > 0 for gap in moved), len(moved))
    if len(moved) <= _EXACT:
        return _flips_exact(moved, _as_low)
    return _flips_drawn(moved, _as_low, seed)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: each may be read against 0.05 as if it were the only one."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def sample_size(psi: float, difference: float) -> int:
    """Tasks for a paired comparison to find `difference` with power 0.8 at 0.05, two-sided.

    `psi` is the share of tasks on which the two differ; for scores between 0 and 1, the mean squared difference.

    Raises:
        ValueError: If `difference` is 0 or no `psi` allows it.
    """
    d = abs(difference)
    # A hair of slack: a mean of equal squares and the square of their mean can differ in the last digit.
    if d == 0 or psi > 1 or d * d > psi * (1 + 1e-9):
        raise ValueError(f"a difference of {difference:g} cannot come from a share of {psi:g}")
    return math.ceil((_Z * math.sqrt(psi) + _Z_POWER * math.sqrt(max(0.0, psi - d * d))) ** 2 / d**2)


def verdict(comparison: Comparison) -> str:
    """One honest sentence, without a full stop."""
    c = comparison
    tasks = "1 task" if c.n == 1 else f"{c.n} tasks"
    numbers = f"[{c.low:+.2f}, {c.high:+.2f}], {p_text(c.p_value)}, n = {c.n}"
    if c.significant:
        return f"{'better' if c.difference > 0 else 'worse'} by {abs(c.difference):.2f} {numbers}"
    if c.needed is None:
        return f"no difference that {tasks} can show: {c.difference:+.2f} {numbers}"
    return (
        f"no difference that {tasks} can show: {c.difference:+.2f} {numbers};"
        f" to show one of this size takes about {max(c.needed, c.n + 1):,} tasks"
    )


def p_text(value: float) -> str:
    """A p-value as reports write it."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _scored_for_both(a: Sequence[float | None], b: Sequence[float | None]) -> list[tuple[float, float]]:
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if not pairs:
        raise ValueError("no task is scored for both")
    return pairs


def _binary(pairs: Sequence[tuple[float, float]]) -> bool:
    return all(x in (0, 1) and y in (0, 1) for x, y in pairs)


def _mcnemar(gains: int, losses: int) -> float:
    return min(1.0, 2 * _tail(min(gains, losses), gains + losses))


def _tail(gains: int, flips: int) -> float:
    """P[Bin(flips, 1/2) <= gains]."""
    # In whole numbers: exact for any number of tasks.
    return float(sum(math.comb(flips, count) for count in range(gains + 1)) / 2**flips)


_SLACK = 1e-9
# Sums of the same gaps in another order differ in the last digits; ties must count as ties.


def _as_far(sums: "NDArray[Any]", observed: float) -> "NDArray[np.bool_]":
    far: NDArray[np.bool_] = abs(sums) >= abs(observed) - _SLACK
    return far


def _as_low(sums: "NDArray[Any]", observed: float) -> "NDArray[np.bool_]":
    low: NDArray[np.bool_] = sums <= observed + _SLACK
    return low


_Reached = Callable[["NDArray[Any]", float], "NDArray[np.bool_]"]


def _flips_exact(moved: Sequence[float], reached: _Reached) -> float:
    import numpy as np

    sums = np.zeros(1)
    for gap in moved:
        sums = np.concatenate([sums + gap, sums - gap])
    return float(np.mean(reached(sums, math.fsum(moved))))


def _flips_drawn(moved: Sequence[float], reached: _Reached, seed: int) -> float:
    import numpy as np

    rng = np.random.default_rng(seed)
    gaps = np.asarray(moved)
    count = 0
    for size in _batches(len(moved)):
        signs = rng.integers(0, 2, size=(size, len(moved)), dtype=np.int8) * 2 - 1
        count += int(np.sum(reached(signs @ gaps, math.fsum(moved))))
    # The observed arrangement is one of the draws: a p of 0 cannot come from finitely many.
    return (count + 1) / (DRAWS + 1)


def _gap_interval(gaps: Sequence[float], difference: float, seed: int) -> tuple[float, float]:
    n = len(gaps)
    if all(gap == 0 for gap in gaps):
        # The mean gap is at most the share of tasks that differ, and 0 of n bounds that share.
        bound = wilson(0.0, n)[1]
        return -bound, bound
    if n < _FEW or min(gaps) == max(gaps):
        low, high = wilson(min(1.0, max(0.0, (difference + 1) / 2)), n)
        return 2 * low - 1, 2 * high - 1
    low, high, _ = _resampled(gaps, seed)
    return low, high


def _resampled(values: Sequence[float], seed: int) -> tuple[float, float, str]:
    import numpy as np
    from scipy import stats

    n = len(values)
    data = np.asarray(values, dtype=float)
    if n >= _MANY:
        spread = _Z * float(np.std(data, ddof=1)) / math.sqrt(n)
        return _mean(values) - spread, _mean(values) + spread, "normal"
    tail = float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)))
    low, high = np.quantile(_means(data, seed), [tail, 1 - tail])
    return float(low), float(high), "bootstrap"


def _means(data: "NDArray[Any]", seed: int) -> "NDArray[np.float64]":
    import numpy as np

    rng = np.random.default_rng(seed)
    n = len(data)
    return np.concatenate([data[rng.integers(0, n, size=(count, n))].mean(axis=1) for count in _batches(n)])


def _batches(width: int) -> list[int]:
    # At a fixed size, so that memory is bounded and the draws do not depend on the machine.
    size = max(1, _BATCH // width)
    return [min(size, DRAWS - start) for start in range(0, DRAWS, size)]
