"""What strategies say of earlier trials: the best of them, their scores and failing tasks, short and without golds."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.strategy import Evaluation, TaskResult, Trial
from autoflow.core.task import Task

TASK_CHARS = 500
ANSWER_CHARS = 200
ERROR_CHARS = 160


@dataclass(frozen=True, slots=True)
class FailingTask:
    """A task below full score, without its reference."""

    text: str
    answer: str
    score: str
    reason: str


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the highest train mean, the earliest among equals; `None` where nothing is scored."""
    scored = [(trial.train.mean, trial) for trial in trials if trial.train is not None]
    known = [(mean, trial) for mean, trial in scored if mean is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def first_with(trials: Sequence[Trial], fingerprint: str) -> Trial:
    """The first trial of the workflow with this fingerprint."""
    return next(
        trial for trial in trials if trial.proposal.workflow and trial.proposal.workflow.fingerprint() == fingerprint
    )


def scored(evaluation: Evaluation | None) -> str:
    """The score in words that follow a workflow's name."""
    if evaluation is None or evaluation.mean is None:
        return "has no score"
    return f"scored {evaluation.mean:.3f} on {len(evaluation.values)} tasks"


def below_full(evaluation: Evaluation | None) -> list[TaskResult]:
    """The results with a score below 1, the worst first."""
    if evaluation is None:
        return []
    below = [(result.value, result) for result in evaluation.results if result.value is not None and result.value < 1]
    return [result for _, result in sorted(below, key=lambda pair: pair[0])]


def failing(
    evaluation: Evaluation | None, tasks: Sequence[Task], count: int, rng: random.Random | None = None
) -> tuple[FailingTask, ...]:
    """At most `count` failing tasks: the worst, or with `rng` any of them."""
    texts = {task.id: task.text for task in tasks}
    below = [result for result in below_full(evaluation) if result.task in texts]
    if rng is not None:
        below = rng.sample(below, min(count, len(below)))
    return tuple(_failing_task(result, texts) for result in below[:count])


def _failing_task(result: TaskResult, texts: Mapping[str, str]) -> FailingTask:
    return FailingTask(
        clipped(texts[result.task], TASK_CHARS),
        clipped(plain(result.answer), ANSWER_CHARS),
        f"{result.value:.2f}",
        result.reason,
    )


def complete(evaluation: Evaluation) -> bool:
    """Whether the candidate was scored to the end: not dropped from a race."""
    return evaluation.dropped is None


def plain(value: Json) -> str:
    """A result or an answer as text."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def clipped(text: str, chars: int) -> str:
    """The text on one line, cut to its first `chars` characters."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[:chars]}..."
