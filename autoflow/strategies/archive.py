"""What `evolve` knows of earlier workflows: the best, the Pareto front, who is ahead where, who comes from whom."""

import math
from collections.abc import Mapping, Sequence

from autoflow.core.front import front
from autoflow.core.strategy import Evaluation, Trial
from autoflow.core.workflow import Workflow
from autoflow.strategies.evidence import clipped, complete
from autoflow.strategies.patches import told

TOLD_CHARS = 300
"""Of an edit that did not help, as it is shown again."""


def population(trials: Sequence[Trial]) -> list[Trial]:
    """The first trial of each workflow that has a score on validation, in order."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.proposal.workflow is not None and trial.validation is not None and trial.validation.mean is not None:
            first.setdefault(trial.proposal.workflow.fingerprint(), trial)
    return list(first.values())


def incumbent(known: Sequence[Trial]) -> Trial:
    """The best on validation, of those scored on all tasks where there are any; a tie goes to the cheaper."""

    def rank(trial: Trial) -> tuple[bool, float, float]:
        evaluation = validation(trial)
        cost = evaluation.cost
        return (complete(evaluation), evaluation.mean or 0.0, -(cost.tokens or cost.calls) if cost else 0.0)

    return max(known, key=rank)


def archive(known: Sequence[Trial]) -> list[Trial]:
    """The Pareto front over the score on each task, cost and latency, of the trials scored on all tasks."""
    finished = [trial for trial in known if complete(validation(trial))] or list(known)
    tasks = list(dict.fromkeys(result.task for trial in finished for result in validation(trial).results))
    points = []
    for trial in finished:
        values = _values(trial)
        cost = validation(trial).cost
        # Dollars where there are any: tokens of different models are not alike.
        paid = None if cost is None else cost.usd or cost.tokens
        seconds = None if cost is None else cost.seconds
        scores = [values.get(task) for task in tasks]
        points.append([*scores, None if paid is None else -paid, None if seconds is None else -seconds])
    return [finished[index] for index in front(points)]


def shares(trials: Sequence[Trial]) -> list[float]:
    """Of each trial: the tasks on which none of the others is better, a tie shared among the tied."""
    values = [_values(trial) for trial in trials]
    total = [0.0] * len(trials)
    for task in dict.fromkeys(task for one in values for task in one):
        known = {index: one[task] for index, one in enumerate(values) if task in one}
        top = max(known.values())
        best = [index for index, value in known.items() if value == top]
        # A task that nothing solves says nothing for anyone.
        for index in best if top > 0 else ():
            total[index] += 1 / len(best)
    return total


def wins(trial: Trial, over: Trial) -> float:
    """By how much the first is ahead on the tasks where it is, summed."""
    mine, theirs = _values(trial), _values(over)
    return math.fsum(max(0.0, mine[task] - theirs[task]) for task in mine if task in theirs)


def seen(trials: Sequence[Trial], made: Workflow) -> bool:
    """Whether a trial has this workflow already."""
    fingerprint = made.fingerprint()
    return any(trial.proposal.workflow and trial.proposal.workflow.fingerprint() == fingerprint for trial in trials)


def failed_edits(trials: Sequence[Trial], parent: Trial) -> list[str]:
    """Edits of this parent that did not help, in words."""
    failed: list[str] = []
    for trial in trials:
        if trial.proposal.parent != parent.id:
            continue
        rejected, edits = trial.proposal.notes.get("rejected"), trial.proposal.notes.get("edits")
        failed += [str(line) for line in rejected] if isinstance(rejected, list | tuple) else []
        mean = None if trial.validation is None else trial.validation.mean
        if isinstance(edits, list | tuple) and mean is not None and mean <= (validation(parent).mean or 0.0):
            failed.append(clipped(told([edit for edit in edits if isinstance(edit, Mapping)]), TOLD_CHARS))
    return failed


def ancestor(a: Trial, b: Trial, by_id: Mapping[str, Trial]) -> Trial | None:
    """The nearest trial that both come from; `None` where there is none, or one comes from the other."""
    ours, theirs = _line(a, by_id), _line(b, by_id)
    if a.id in {trial.id for trial in theirs} or b.id in {trial.id for trial in ours}:
        return None
    known = {trial.id for trial in theirs}
    return next((trial for trial in ours if trial.id in known and trial.proposal.workflow is not None), None)


def validation(trial: Trial) -> Evaluation:
    """The validation of a trial of the population."""
    assert trial.validation is not None  # noqa: S101  of the population
    return trial.validation


def workflow(trial: Trial) -> Workflow:
    """The workflow of a trial of the population."""
    assert trial.proposal.workflow is not None  # noqa: S101  of the population
    return trial.proposal.workflow


def _values(trial: Trial) -> dict[str, float]:
    return {result.task: result.value for result in validation(trial).results if result.value is not None}


def _line(trial: Trial, by_id: Mapping[str, Trial]) -> list[Trial]:
    """The trial and its parents, the nearest first."""
    found = [trial]
    while (parent := by_id.get(found[-1].proposal.parent or "")) is not None and parent not in found:
        found.append(parent)
    return found
