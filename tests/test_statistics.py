"""The numbers of METHODS section 9, and honesty where there is little to go by."""

import math
import random
import subprocess
import sys

import pytest

from autoflow.statistics import holm, mean_interval, one_sided, paired, sample_size, verdict, wilson


def _half_width(p: float, n: int) -> float:
    # METHODS prints the plain half-width, 1.96 standard errors.
    return 100 * 1.96 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize(
    ("n", "at_60", "at_90"),
    [
        (33, 16.7, 10.2),
        (50, 13.6, 8.3),
        (128, 8.5, 5.2),
        (200, 6.8, 4.2),
        (264, 5.9, 3.6),
        (500, 4.3, 2.6),
        (800, 3.4, 2.1),
        (1055, 3.0, 1.8),
    ],
)
def test_interval_of_an_accuracy_has_the_published_width(n: int, at_60: float, at_90: float) -> None:
    for share, expected in ((0.6, at_60), (0.9, at_90)):
        assert _half_width(share, n) == pytest.approx(expected, abs=0.051)
        low, high = wilson(share, n)
        assert 50 * (high - low) == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize(("difference", "tasks"), [(0.02, 3923), (0.05, 626), (0.10, 155), (-0.10, 155)])
def test_sample_sizes_of_methods(difference: float, tasks: int) -> None:
    assert sample_size(0.2, difference) == tasks


@pytest.mark.parametrize(("psi", "difference"), [(0.2, 0.0), (0.01, 0.2), (1.5, 0.2)])
def test_impossible_sample_size_is_refused(psi: float, difference: float) -> None:
    with pytest.raises(ValueError, match="cannot come from"):
        sample_size(psi, difference)


def test_zeros_and_ones_get_wilson() -> None:
    from scipy.stats import binomtest

    interval = mean_interval([1.0] * 9 + [0.0] * 4, seed=0)
    expected = binomtest(9, 13).proportion_ci(method="wilson")
    assert (interval.method, interval.n) == ("wilson", 13)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_all_right_is_not_certainty() -> None:
    interval = mean_interval([1.0] * 13, seed=0)
    assert interval.mean == interval.high == 1.0
    assert interval.low == pytest.approx(0.7719, abs=1e-4)
    assert mean_interval([0.0] * 13, seed=0).high == pytest.approx(0.2281, abs=1e-4)


def test_between_zero_and_one_is_bootstrapped_over_tasks_and_seeded() -> None:
    values = [0.1, 0.2, 0.4, 0.4, 0.5, 0.55, 0.6, 0.7, 0.7, 0.8, 0.9, 1.0, 1.0]
    first, second = mean_interval(values, seed=3), mean_interval(values, seed=3)
    assert first == second != mean_interval(values, seed=4)
    assert first.method == "bootstrap"
    assert 0 <= first.low < first.mean < first.high <= 1


def test_bootstrap_covers_the_truth_for_a_dozen_tasks() -> None:
    rng = random.Random(1)
    hits = 0
    for trial in range(300):
        values = [rng.betavariate(2, 2) for _ in range(13)]
        interval = mean_interval(values, seed=trial)
        hits += interval.low <= 0.5 <= interval.high
    assert hits / 300 >= 0.92


@pytest.mark.parametrize("values", [[0.7], [0.7] * 13, [0.4, 0.6]])
def test_few_or_equal_values_get_a_wide_interval(values: list[float]) -> None:
    interval = mean_interval(values, seed=0)
    assert interval.method == "bounded"
    assert (interval.low, interval.high) == wilson(interval.mean, len(values))
    assert interval.high - interval.low > 0.3


def test_many_values_need_no_bootstrap() -> None:
    rng = random.Random(0)
    interval = mean_interval([rng.random() for _ in range(5_000)], seed=0)
    assert interval.method == "normal"
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 5_000), rel=0.03)


@pytest.mark.parametrize("values", [[], [1.2, 0.5], [math.nan, 0.5]])
def test_no_values_or_no_scores_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no values|\[0, 1\]"):
        mean_interval(values, seed=0)


def test_six_flips_all_one_way_are_the_least_to_reach_significance() -> None:
    def flips(count: int) -> float:
        return paired([1.0] * count + [0.0] * (30 - count), [0.0] * 30, seed=0).p_value

    assert flips(5) == pytest.approx(0.0625)
    assert flips(6) == pytest.approx(0.03125)


def test_binary_pairs_get_exact_mcnemar() -> None:
    from scipy.stats import binomtest

    comparison = paired([1.0] * 10 + [0.0] * 10, [1.0] * 3 + [0.0] * 14 + [1.0] * 3, seed=0)
    assert comparison.test == "mcnemar"
    assert comparison.differing == 10
    assert comparison.p_value == pytest.approx(binomtest(3, 10).pvalue)
    assert comparison.difference == pytest.approx(0.2)
    assert comparison.low < 0.2 < comparison.high
    assert paired([1.0, 0.0], [0.0, 1.0], seed=0).p_value == 1.0


def test_graded_pairs_get_the_exact_permutation_test() -> None:
    from scipy.stats import permutation_test

    a = [0.9, 0.5, 0.7, 0.6, 0.8, 0.4, 0.9, 0.3]
    b = [0.5, 0.4, 0.6, 0.7, 0.5, 0.4, 0.6, 0.3]
    comparison = paired(a, b, seed=0)
    reference = permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis=axis), permutation_type="samples", vectorized=True
    )
    assert comparison.test == "permutation (exact)"
    assert comparison.p_value == pytest.approx(reference.pvalue)


def test_many_graded_pairs_are_drawn() -> None:
    rng = random.Random(5)
    b = [rng.random() * 0.5 for _ in range(60)]
    better = paired([value + 0.3 + 0.1 * rng.random() for value in b], b, seed=0)
    assert better.test == "permutation"
    assert 0 < better.p_value < 0.001
    assert better.low > 0.2
    same = paired([value + (0.1 if index % 2 else -0.1) for index, value in enumerate(b)], b, seed=0)
    assert same.p_value > 0.9


def test_one_sided_binary_pairs_get_the_exact_sign_test() -> None:
    from scipy.stats import binomtest

    a, b = [1.0] * 3 + [0.0] * 14 + [1.0] * 3, [1.0] * 10 + [0.0] * 10
    assert one_sided(a, b, seed=0) == pytest.approx(binomtest(3, 10, alternative="less").pvalue)
    assert one_sided(b, a, seed=0) == pytest.approx(binomtest(7, 10, alternative="less").pvalue)
    assert one_sided(a, a, seed=0) == 1.0
    with pytest.raises(ValueError, match="scored for both"):
        one_sided([None], [1.0], seed=0)


def test_one_sided_graded_pairs_get_the_permutation_test() -> None:
    from scipy.stats import permutation_test

    a = [0.5, 0.4, 0.6, 0.7, 0.5, 0.4, 0.6, 0.3]
    b = [0.9, 0.5, 0.7, 0.6, 0.8, 0.4, 0.9, 0.3]
    reference = permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        alternative="less",
    )
    assert one_sided(a, b, seed=0) == pytest.approx(reference.pvalue)
    assert one_sided(b, a, seed=0) > 0.5
    rng = random.Random(5)
    many = [rng.random() * 0.5 for _ in range(60)]
    more = [value + 0.3 * rng.random() for value in many]
    assert 0 < one_sided(many, more, seed=0) < 0.001
    assert one_sided(more, many, seed=0) > 0.999


def test_unscored_tasks_are_left_out_of_a_comparison() -> None:
    with_gaps = paired([1.0, None, 0.0, 1.0], [0.0, 1.0, None, 1.0], seed=0)
    assert with_gaps.n == 2
    with pytest.raises(ValueError, match="scored for both"):
        paired([None], [1.0], seed=0)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        paired([1.0], [1.0, 0.0], seed=0)


def test_equal_candidates_are_not_known_to_be_equal() -> None:
    comparison = paired([0.5] * 13, [0.5] * 13, seed=0)
    assert comparison.p_value == 1.0
    assert comparison.needed is None
    assert comparison.high == -comparison.low == pytest.approx(0.2281, abs=1e-4)


@pytest.mark.parametrize("n", [1, 3, 20])
def test_a_constant_difference_is_not_certain(n: int) -> None:
    comparison = paired([0.6] * n, [0.5] * n, seed=0)
    assert comparison.difference == pytest.approx(0.1)
    assert comparison.high - comparison.low > 0.2


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_verdicts_say_what_was_shown() -> None:
    better = paired([1.0] * 12 + [0.0], [0.0] * 13, seed=0)
    assert verdict(better).startswith("better by 0.92 [")
    assert verdict(better).endswith("p < 0.001, n = 13")
    worse = paired([0.0] * 13, [1.0] * 8 + [0.0] * 5, seed=0)
    assert verdict(worse).startswith("worse by 0.62 [-0.")
    unclear = paired([1.0] * 3 + [0.0] * 10, [0.0] * 2 + [1.0] * 1 + [0.0] * 10, seed=0)
    assert verdict(unclear).startswith("no difference that 13 tasks can show: +0.15 [")
    assert "p = 0.500, n = 13; to show one of this size takes about" in verdict(unclear)
    assert verdict(paired([1.0], [1.0], seed=0)).startswith("no difference that 1 task can show: +0.00 [")


def test_importing_statistics_loads_no_scipy() -> None:
    code = "import sys, autoflow.statistics; print('scipy' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
