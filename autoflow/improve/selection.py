"""Which candidate is better: comparisons on validation, and the choice."""

from collections.abc import Callable, Sequence

from autoflow.core.strategy import Evaluation, Trial
from autoflow.core.workflow import Workflow
from autoflow.statistics import Comparison, paired

HAND_WRITTEN = "hand-written"
"""Id of the trial that holds the benchmark's own workflow."""

Cost = tuple[float, int, int]
"""Dollars, tokens, calls: where nothing is priced, tokens decide."""


def hand_written(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the benchmark's own workflow."""
    return next((trial for trial in trials if trial.round == 0), None)


def same(trials: Sequence[Trial], workflow: Workflow) -> Trial | None:
    """The first trial with this workflow."""
    fingerprint = workflow.fingerprint()
    return next(
        (item for item in trials if item.proposal.workflow and item.proposal.workflow.fingerprint() == fingerprint),
        None,
    )


def distinct(trials: Sequence[Trial]) -> list[Trial]:
    """The first trial of each workflow, in order."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.proposal.workflow is not None:
            first.setdefault(trial.proposal.workflow.fingerprint(), trial)
    return list(first.values())


def incumbent(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the highest mean over all validation tasks, the earliest among equals; `None` before the first."""
    best: tuple[float, Trial] | None = None
    for trial in trials:
        if trial.validation is not None and trial.validation.dropped is None and trial.validation.mean is not None:
            mean = round(trial.validation.mean, 9)
            if best is None or mean > best[0]:
                best = (mean, trial)
    return None if best is None else best[1]


def compared(a: Evaluation, b: Evaluation, seed: int) -> Comparison | None:
    """The first against the second on the tasks scored for both; `None` where there are none."""
    values = {result.task: result.value for result in b.results}
    return compared_values(
        [result.value for result in a.results], [values.get(result.task) for result in a.results], seed
    )


def compared_values(a: Sequence[float | None], b: Sequence[float | None], seed: int) -> Comparison | None:
    """As `paired`; `None` where no task is scored for both."""
    both = any(x is not None and y is not None for x, y in zip(a, b, strict=True))
    return paired(a, b, seed=seed) if both else None


def chosen(trials: Sequence[Trial], cost: Callable[[Trial], Cost], seed: int) -> list[str]:
    """Ids of the candidates that are better on validation than the hand-written workflow, the best first.

    Ranked by the mean difference over tasks scored for both; a tie goes to the cheaper. A candidate with unscored
    tasks never outranks one without; one that was dropped from a race is not among them.
    """
    baseline = hand_written(trials)
    ranked = []
    for order, trial in enumerate(distinct(trials)):
        if trial is baseline or trial.validation is None or trial.validation.mean is None:
            continue
        if trial.validation.dropped is not None:
            continue
        price = cost(trial)
        if baseline is None or baseline.validation is None or baseline.validation.mean is None:
            gain = trial.validation.mean
        else:
            comparison = compared(trial.validation, baseline.validation, seed)
            gain = 0.0 if comparison is None else round(comparison.difference, 9)
            if gain < 0 or (gain == 0 and price >= cost(baseline)):
                continue
        ranked.append(((trial.validation.unscored > 0, -gain, price, order), trial.id))
    return [trial_id for _, trial_id in sorted(ranked)]
