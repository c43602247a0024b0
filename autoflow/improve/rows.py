"""Makes the report's rows out of the trials and what the ledger holds of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.bench import BenchReport
from autoflow.core.score import Score, Scorer
from autoflow.core.strategy import Evaluation, Trial
from autoflow.improve.report import Measured, ReferenceRow, Row, TestRow
from autoflow.improve.selection import HAND_WRITTEN, compared, compared_values, distinct, hand_written, same
from autoflow.runs.ledger import Ledger, Result
from autoflow.statistics import Comparison, holm, mean_interval
from autoflow.summary import secondary, total


def measured(evaluation: Evaluation, seed: int) -> Measured:
    """The mean over scored tasks, with its interval."""
    values = evaluation.values
    return Measured(mean_interval(values, seed=seed) if values else None, evaluation.unscored)


def results(trial: Trial, split: str, ledger: Ledger) -> list[Result]:
    """All that is on record of a trial's workflow."""
    workflow = trial.proposal.workflow
    return [] if workflow is None else list(ledger.results(workflow.fingerprint(), split))


def rows(
    trials: Sequence[Trial], ledger: Ledger, scorer: Scorer, seed: int
) -> tuple[tuple[Row, ...], dict[str, float]]:
    """A row a trial, in order, and the seconds of each workflow's traces by trial id."""
    against = _against_hand_written(trials, seed)
    raced = [trial.validation.dropped for trial in distinct(trials) if trial.validation is not None]
    adjusted = _adjusted(against, sum(item is not None for item in raced))
    made = []
    seconds = {}
    for number, trial in enumerate(trials):
        workflow = trial.proposal.workflow
        earlier = None if workflow is None else same(trials[:number], workflow)
        found: list[Result] = []
        validated = results(trial, "validation", ledger)
        if workflow is not None and earlier is None:
            found = results(trial, "train", ledger) + validated
            seconds[trial.id] = math.fsum(result.seconds for result in found)
        made.append(
            Row(
                id=trial.id,
                round=trial.round,
                valid=workflow is not None,
                reason=trial.proposal.reason,
                parent=trial.proposal.parent,
                fingerprint=None if workflow is None else workflow.fingerprint(),
                duplicate_of=None if earlier is None else earlier.id,
                errors=trial.proposal.errors,
                repairs=trial.proposal.repairs,
                train=None if trial.train is None else measured(trial.train, seed),
                validation=None if trial.validation is None else measured(trial.validation, seed),
                secondary=secondary(scorer, _scored(trial.validation, validated), seed),
                dropped=None if trial.validation is None else trial.validation.dropped,
                against=against.get(trial.id),
                p_holm=adjusted.get(trial.id),
                spend=total([result.spend for result in found]),
            )
        )
    return tuple(made), seconds


def _scored(evaluation: Evaluation | None, found: Sequence[Result]) -> list[list[Score]]:
    """The judgements of each task that has a score, its epochs together."""
    scored = () if evaluation is None else (item.task for item in evaluation.results if item.value is not None)
    by_task: dict[str, list[Score]] = {task: [] for task in scored}
    for result in found:
        if result.place.task in by_task:
            by_task[result.place.task].append(result.score)
    return list(by_task.values())


def _against_hand_written(trials: Sequence[Trial], seed: int) -> dict[str, Comparison]:
    baseline = hand_written(trials)
    against = {}
    if baseline is not None and baseline.validation is not None:
        for trial in distinct(trials):
            # Dropped at the moment when it looked worst: a test on those tasks alone would be biased.
            if trial is not baseline and trial.validation is not None and trial.validation.dropped is None:
                comparison = compared(trial.validation, baseline.validation, seed)
                if comparison is not None:
                    against[trial.id] = comparison
    return against


def test_rows(tests: Sequence[tuple[str, BenchReport]], seed: int) -> tuple[TestRow, ...]:
    """A row for each workflow, by name, that was run on the test split."""
    by_name = {name: {row.id: row.score for row in report.rows} for name, report in tests}
    baseline = by_name.get(HAND_WRITTEN)
    against: dict[str, Comparison] = {}
    for name, scores in by_name.items():
        if baseline is not None and name != HAND_WRITTEN:
            comparison = compared_values(list(scores.values()), [baseline[task] for task in scores], seed)
            if comparison is not None:
                against[name] = comparison
    adjusted = _adjusted(against)
    return tuple(
        TestRow(
            name,
            Measured(report.interval, report.unscored),
            report.secondary,
            against.get(name),
            adjusted.get(name),
            total([row.spend for row in report.rows]),
        )
        for name, report in tests
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference method that was run on the test split."""

    name: str
    note: str
    """How its number of samples was chosen; empty where it was not."""

    report: BenchReport


def reference_rows(found: Sequence[Reference], kept: BenchReport | None, seed: int) -> tuple[ReferenceRow, ...]:
    """A row a method, each compared with the workflow that is kept."""
    ours = {} if kept is None else {row.id: row.score for row in kept.rows}
    against: dict[str, Comparison] = {}
    for item in found:
        theirs = item.report.rows
        comparison = compared_values([ours.get(row.id) for row in theirs], [row.score for row in theirs], seed)
        if comparison is not None:
            against[item.name] = comparison
    adjusted = _adjusted(against)
    return tuple(
        ReferenceRow(
            item.name,
            item.note,
            Measured(item.report.interval, item.report.unscored),
            item.report.secondary,
            against.get(item.name),
            adjusted.get(item.name),
            total([row.spend for row in item.report.rows]),
        )
        for item in found
    )


def _adjusted(against: Mapping[str, Comparison], dropped: int = 0) -> dict[str, float]:
    # The dropped were candidates too: without them the survivors would be adjusted for too few.
    adjusted = holm([item.p_value for item in against.values()] + [1.0] * dropped)
    return dict(zip(against, adjusted, strict=False))
