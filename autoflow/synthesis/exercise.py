"""Exercises: a request to a generator together with what runs and judges its answer."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from autoflow.benchmarks import loader
from autoflow.core.json import digest
from autoflow.core.operator import Card, Operator
from autoflow.core.score import Scorer
from autoflow.core.task import Task
from autoflow.generator.draft import DraftRequest, Scope
from autoflow.generator.for_task import LIMITS, cards_for, request_for
from autoflow.operators.library import library
from autoflow.synthesis import domains, environment, tasks
from autoflow.synthesis.search import best_plan
from autoflow.synthesis.signed import in_order
from autoflow.synthesis.world import Domain

Split = Literal["train", "validation_tasks", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation_tasks", "validation", "test")
"""`validation_tasks`: unseen tasks over the operators of `train`. `validation` and `test`: unseen operators."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One thing to learn: what is asked, and how an answer is judged."""

    id: str
    split: Split
    domain: str
    """The made-up domain, or the benchmark."""

    request: DraftRequest
    operators: Mapping[str, Operator]
    scorer: Scorer
    tasks: tuple[Task, ...]
    """One in the scope `task`."""

    plan: tuple[str, ...] | None = None
    """A plan of tools that scores 1, where a search over the goal has found one."""

    reasons: tuple[str, ...] = ()
    """For each tool of the plan, the words of the task that it is there for."""

    @property
    def cards(self) -> dict[str, Card]:
        """What the request shows, by name."""
        return {card.name: card for card in self.request.cards}

    @property
    def operator_set(self) -> str:
        """Digest of the cards, whatever their order."""
        return digest(
            sorted([card.name, card.description, list(card.inputs), card.output] for card in self.request.cards)
        )


def of_domain(
    worded: domains.Worded,
    split: Split,
    count: int,
    seed: int,
    held_out: int = 0,
    *,
    mix: tasks.Mix = tasks.USUAL,
    signatures: bool = False,
) -> Iterator[Exercise]:
    """`count` tasks over a domain, no two with the same goal; then `held_out` more, of the split `validation_tasks`.

    Fewer where the domain does not have as many. A goal that no plan of at most eight tools reaches is left out.

    Args:
        mix: Which tasks are drawn how often.
        signatures: Have each reason say what its tool takes and gives.
    """
    domain = worded.domain
    rng = random.Random(f"tasks/{seed}/{domain.id}")  # noqa: S311  no secret
    seen = set()
    number = 0
    for _ in range(4 * (count + held_out)):
        drawn = tasks.draw(worded, rng, mix)
        if drawn is None or drawn.goal in seen:
            continue
        seen.add(drawn.goal)
        plan = best_plan(domain, drawn.goal, max_steps=LIMITS.max_steps - 2)
        if not plan:
            continue
        task = environment.task(f"{domain.id}/{number}", drawn.text, drawn.goal)
        reasons = in_order(domain, drawn.goal, plan, drawn.reasons, drawn.named, signatures=signatures)
        yield _exercise(domain, task, split if number < count else "validation_tasks", plan, reasons)
        number += 1
        if number == count + held_out:
            return


def _exercise(domain: Domain, task: Task, split: Split, plan: tuple[str, ...], reasons: tuple[str, ...]) -> Exercise:
    return Exercise(
        id=task.id,
        split=split,
        domain=domain.id,
        request=DraftRequest(task.text, domain.cards, scope="task", limits=LIMITS),
        operators={**library(), **environment.operators(domain)},
        scorer=environment.PlanScorer(domain),
        tasks=(task,),
        plan=plan,
        reasons=reasons,
    )


def of_benchmark(name: str, scope: Scope, limit: int | None = None) -> Iterator[Exercise]:
    """The train tasks of a benchmark, one exercise each; in the scope `benchmark` a single one for all of them.

    The generator is shown the benchmark's own operators, or the library's where it has none.
    """
    found = loader.load(name)
    train = found.train if limit is None else found.train[:limit]
    running = {**library(), **found.operators}
    if scope == "benchmark":
        examples = tuple(dict.fromkeys(task.text for task in (*train[:1], *train[-1:])))
        request = DraftRequest(found.description, cards_for(found), examples=examples, limits=LIMITS)
        yield Exercise(found.name, "train", found.name, request, running, found.scorer, train)
        return
    for task in train:
        yield Exercise(
            f"{found.name}/{task.id}", "train", found.name, request_for(found, task), running, found.scorer, (task,)
        )
