"""Judges sampled texts: parses each as `draft` does with no repairs, runs what is a workflow, and gives its reward."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Feature, Reply, Request
from autoflow.core.strategy import Evaluation
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.generator.draft import Draft, Form, draft
from autoflow.objective.objective import Objective
from autoflow.runs.ledger import Ledger
from autoflow.training.assignments import Assignment
from autoflow.training.outcome import Cost, Outcome, Past, Reward


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a generator wrote."""

    text: str
    finished: bool = True
    """Whether it came to an end by itself; False where the length limit cut it off."""

    tokens: tuple[int, ...] = ()
    """As it was drawn, its end included; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One sampled text with what came of it."""

    sampled: Sampled
    outcome: Outcome
    reward: float | None
    errors: tuple[str, ...] = ()
    """What is wrong with an invalid text."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A benchmark and what scores workflows on it."""

    benchmark: Benchmark
    objective: Objective


@dataclass(slots=True)
class Said:
    """A model that says one text, whatever it is asked: so a sampled text takes the way that any draft takes."""

    sampled: Sampled
    form: Form
    name: str = "sampled/text"

    @property
    def features(self) -> frozenset[Feature]:
        """As of a model that writes this form by itself."""
        return frozenset() if self.form == "yaml" else frozenset({"schema"})

    async def complete(self, request: Request) -> Reply:
        """The text."""
        return Reply(self.sampled.text, self.name, finish="stop" if self.sampled.finished else "length")

    async def aclose(self) -> None:
        """Nothing is held."""


async def read(sampled: Sampled, assignment: Assignment) -> Draft:
    """The text as a draft: parsed and linted as any other, with no repair."""
    return await draft(Said(sampled, assignment.form), assignment.request, repairs=0, form=assignment.form)


@dataclass(slots=True)
class Judge:
    """Scores groups of samples. Rewards that look back find the past in `state`, which checkpoints keep."""

    grounds: Mapping[str, Ground]
    """By benchmark name."""

    ledger: Ledger
    reward: Reward
    instances: int
    """Tasks that every sample of a group is scored on; all where the assignment has no more."""

    seed: int
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Validation mean of each benchmark's hand-written workflow, where the reward asks for it."""

    judged: int = 0
    """Samples so far."""

    _pasts: dict[str, Past] = field(default_factory=dict)

    async def group(self, assignment: Assignment, samples: Sequence[Sampled], step: int) -> list[Judged]:
        """Judge samples of one prompt, in order, all on the same instances, which `step` deals.

        An instance that no workflow of the group has a score on is left out for all of them. A workflow without a
        score on one of the others has none at all: a mean over fewer instances is another quantity.

        Raises:
            BudgetReachedError, ProviderGoneError: From the objective.
        """
        drafts = [await read(sampled, assignment) for sampled in samples]
        tasks = self._instances(assignment, step)
        split = f"{assignment.benchmark}/train"
        evaluations = await self._evaluate(assignment, [item.workflow for item in drafts], tasks, split)
        scored = _scored(evaluations)
        outcomes = [
            self._outcome(
                item, None if item.workflow is None else evaluations[item.workflow.fingerprint()], scored, split
            )
            for item in drafts
        ]
        past = self._pasts.get(assignment.id) or Past(self.baselines.get(assignment.benchmark))
        rewards = [self.reward(outcome, past) for outcome in outcomes]
        self._pasts[assignment.id] = past.after([item.score for item in outcomes if item.score is not None])
        self.judged += len(samples)
        return [
            Judged(sampled, outcome, reward, item.errors)
            for sampled, item, outcome, reward in zip(samples, drafts, outcomes, rewards, strict=True)
        ]

    async def score(self, assignment: Assignment, sampled: Sampled, split: str) -> Outcome:
        """One text on all of its assignment's tasks; leaves `state` as it is."""
        found = await read(sampled, assignment)
        split = f"{assignment.benchmark}/{split}"
        evaluations = await self._evaluate(assignment, [found.workflow], assignment.tasks, split)
        evaluation = None if found.workflow is None else evaluations[found.workflow.fingerprint()]
        return self._outcome(found, evaluation, _scored(evaluations), split)

    @property
    def state(self) -> dict[str, Any]:
        """All that later rewards depend on, as JSON."""
        return {"judged": self.judged, "pasts": {name: asdict(past) for name, past in self._pasts.items()}}

    @state.setter
    def state(self, saved: Mapping[str, Any]) -> None:
        self.judged = saved["judged"]
        self._pasts = {name: Past(**past) for name, past in saved["pasts"].items()}

    def _instances(self, assignment: Assignment, step: int) -> Sequence[Task]:
        if len(assignment.tasks) <= self.instances:
            return assignment.tasks
        rng = random.Random(f"{self.seed}/{step}/{assignment.id}")  # noqa: S311  no secret
        chosen = sorted(rng.sample(range(len(assignment.tasks)), self.instances))
        return [assignment.tasks[index] for index in chosen]

    async def _evaluate(
        self, assignment: Assignment, workflows: Sequence[Workflow | None], tasks: Sequence[Task], split: str
    ) -> dict[str, Evaluation]:
        """The evaluations of the different workflows, by fingerprint, all at the same time."""
        different = {workflow.fingerprint(): workflow for workflow in workflows if workflow is not None}
        objective = self.grounds[assignment.benchmark].objective
        # All finish before an error passes on: what was paid for is on record when the run resumes.
        found = await asyncio.gather(
            *(objective.score_all(workflow, tasks, split) for workflow in different.values()), return_exceptions=True
        )
        evaluations = {}
        for fingerprint, evaluation in zip(different, found, strict=True):
            if isinstance(evaluation, BaseException):
                raise evaluation
            evaluations[fingerprint] = evaluation
        return evaluations

    def _outcome(self, item: Draft, evaluation: Evaluation | None, scored: frozenset[str], split: str) -> Outcome:
        if item.workflow is None or evaluation is None:
            return Outcome(valid=False, readable=item.readable, score=0.0)
        values = {result.task: result.value for result in evaluation.results if result.task in scored}
        known = [value for value in values.values() if value is not None]
        score = sum(known) / len(known) if known and len(known) == len(values) else None
        return Outcome(True, True, score, self._cost(item.workflow.fingerprint(), split, frozenset(values)))

    def _cost(self, fingerprint: str, split: str, tasks: frozenset[str]) -> Cost:
        spends = [result.spend for result in self.ledger.results(fingerprint, split) if result.place.task in tasks]
        if not spends:
            return Cost()
        count = len(spends)
        return Cost(
            sum(spend.calls for spend in spends) / count,
            sum(spend.tokens for spend in spends) / count,
            sum(spend.usd for spend in spends) / count,
        )


def _scored(evaluations: Mapping[str, Evaluation]) -> frozenset[str]:
    """The tasks that at least one workflow has a score on."""
    results = [result for evaluation in evaluations.values() for result in evaluation.results]
    return frozenset(result.task for result in results if result.value is not None)
