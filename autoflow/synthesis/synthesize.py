"""From exercises and a teacher to rows: draft, lint, run, score, keep, once each."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoflow.core.model import Model
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.generator.draft import Form, conversation
from autoflow.interpreter.settings import Settings
from autoflow.synthesis import decisions, domains
from autoflow.synthesis.accept import NoModel, judge
from autoflow.synthesis.exercise import Exercise, Split, of_domain
from autoflow.synthesis.rows import Row, distinct, leaks, mentions
from autoflow.synthesis.tasks import Mix
from autoflow.synthesis.teachers import Teacher, as_written

_NAMED = "names an operator to avoid"


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """How many made-up domains, and tasks over each."""

    seed: int = 0
    train: int = 400
    validation: int = 40
    test: int = 40
    tasks: int = 8
    """Over each domain."""

    held_out_tasks: int = 1
    """More over each domain of `train`, which make up `validation_tasks`."""

    decisions: int = 0
    """Labelled decisions over the tasks of a domain, for interpreters."""

    decided: int | None = None
    """Over the first so many domains of each split; `None`: over all."""

    mix: Mix = field(default_factory=Mix)
    """Which tasks are drawn how often."""

    signatures: bool = False
    """Whether each reason says what its tool takes and gives."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of the exercises."""

    rows: tuple[Row, ...]
    """In the order of the splits, no two of one canonical form."""

    refused: Mapping[str, int]
    """Why workflows are no rows, with how many: `lint`, `fault`, a reason of the scorer, `no workflow`, `form`,
    `repeated`, `names an operator to avoid`."""


def draw_domains(plan: DomainPlan) -> list[tuple[Split, domains.Worded]]:
    """The domains of each split. One that shares an operator's name with another split is drawn again."""
    counts: list[tuple[Split, int]] = [("train", plan.train), ("validation", plan.validation), ("test", plan.test)]
    taken: dict[str, str] = {}
    found: list[tuple[Split, domains.Worded]] = []
    for split, count in counts:
        number = have = 0
        while have < count:
            drawn = domains.draw(plan.seed, number, split)
            number += 1
            names = [tool.name.casefold() for tool in drawn.domain.tools]
            if all(taken.get(name, split) == split for name in names):
                taken.update(dict.fromkeys(names, split))
                found.append((split, drawn))
                have += 1
            elif number > 20 * count + 100:
                raise UsageError(f"cannot draw {count} domains for {split} whose operators have names of their own")
    return found


def of_domains(drawn: Sequence[tuple[Split, domains.Worded]], plan: DomainPlan) -> Iterator[Exercise]:
    """The exercises over these domains."""
    for split, worded in drawn:
        held_out = plan.held_out_tasks if split == "train" else 0
        yield from of_domain(worded, split, plan.tasks, plan.seed, held_out, mix=plan.mix, signatures=plan.signatures)


async def decisions_of(
    drawn: Sequence[tuple[Split, domains.Worded]], exercises: Sequence[Exercise], plan: DomainPlan
) -> list[Row]:
    """The decisions over these domains, on the same tasks and in the same splits."""
    found: list[Row] = []
    done: Counter[str] = Counter()
    for split, worded in drawn:
        done[split] += 1
        if plan.decided is not None and done[split] > plan.decided:
            continue
        mine = [item for item in exercises if item.domain == worded.domain.id and item.split == split]
        found += await decisions.rows(worded, mine, plan.decisions, plan.seed)
    return found


@dataclass(frozen=True, slots=True)
class Terms:
    """What is kept, and how."""

    form: Form = "outline"
    keep: float = 1.0
    """Least score of a row."""

    avoid: tuple[str, ...] = ()
    """Names that may stand nowhere in a row."""

    settings: Settings = field(default_factory=Settings)
    """Of the interpreter."""

    concurrency: int = 8


async def synthesize(
    exercises: Sequence[Exercise],
    teacher: Teacher,
    terms: Terms,
    *,
    model: Model | None = None,
    more: Sequence[Row] = (),
    on_progress: Callable[[int, int, int], None] | None = None,
) -> Kept:
    """Have the teacher write, and keep what lints, runs and scores.

    Args:
        model: The interpreter's; `None`: workflows that ask a model are refused.
        more: Rows made otherwise, to be kept beside these.
        on_progress: Told (exercises done, of how many, rows kept).

    Raises:
        ProviderError, BudgetExhaustedError: From the models.
        UsageError: If something is in two splits; that is a fault of the exercises.
    """
    refused: Counter[str] = Counter()
    rows: dict[int, list[Row]] = {}
    waiting = iter(enumerate(exercises))
    kept = 0

    async def work() -> None:
        nonlocal kept
        for index, exercise in waiting:
            rows[index] = await _rows(exercise, teacher, terms, model or NoModel(), refused)
            kept += len(rows[index])
            if on_progress is not None:
                on_progress(len(rows), len(exercises), kept)

    workers = [asyncio.create_task(work()) for _ in range(terms.concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    # By exercise, not by who ended first.
    found = [row for index in sorted(rows) for row in rows[index]]
    for row in more:
        if mentions(row, terms.avoid) is None:
            found.append(row)
        else:
            refused[_NAMED] += 1
    once = distinct(found)
    refused["repeated"] += len(found) - len(once)
    leaking = leaks(once)
    if leaking:
        raise UsageError(f"{len(leaking)} things are in two splits; the first: {leaking[0]}")
    return Kept(tuple(once), {reason: count for reason, count in sorted(refused.items()) if count})


async def _rows(exercise: Exercise, teacher: Teacher, terms: Terms, model: Model, refused: Counter[str]) -> list[Row]:
    async def score(workflow: Workflow) -> float | None:
        return (await judge(exercise, workflow, model, terms.settings)).score

    proposals = await teacher.write(exercise, score)
    if not proposals:
        refused["no workflow"] += 1
    found: list[Row] = []
    for proposal in proposals:
        said = as_written(proposal, exercise, terms.form)
        if said is None:
            refused["form"] += 1
            continue
        workflow, text = said
        verdict = await judge(exercise, workflow, model, terms.settings)
        if verdict.score is None or verdict.score < terms.keep:
            refused[verdict.reason or "score"] += 1
            continue
        row = Row(
            id=f"{exercise.id}#{len(found)}",
            split=exercise.split,
            prompt=conversation(exercise.request, terms.form),
            completion=text,
            form=terms.form,
            domain=exercise.domain,
            operator_set=exercise.operator_set,
            operators=tuple(card.name for card in exercise.request.cards),
            tasks=tuple(task.id for task in exercise.tasks),
            texts=tuple(task.text for task in exercise.tasks),
            score=verdict.score,
            source=teacher.name,
            fingerprint=workflow.fingerprint(),
        )
        if mentions(row, terms.avoid) is not None:
            refused[_NAMED] += 1
            continue
        found.append(row)
    return found
