"""How the generator is improved: a strategy proposes workflows from the evidence so far, and nothing else."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoflow.core.benchmark import Benchmark
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.operator import Card
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Cost:
    """What running one task took, its calls counted whether asked or read from the record; a mean over epochs.

    `None`: some call did not say. Fees of a judge that is a model are not in it.
    """

    calls: float
    tokens: float | None = None
    """Input and output together."""

    usd: float | None = None
    seconds: float | None = None
    """Of its model calls, one after another, each as first asked: equal records give equal seconds."""


def mean_cost(costs: Sequence[Cost]) -> Cost | None:
    """The mean of each part; `None` for no costs, and a part is `None` where one of them does not say."""
    if not costs:
        return None

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) if len(known) == len(values) else None

    return Cost(
        math.fsum(cost.calls for cost in costs) / len(costs),
        mean([cost.tokens for cost in costs]),
        mean([cost.usd for cost in costs]),
        mean([cost.seconds for cost in costs]),
    )


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task's outcome under one candidate, averaged over epochs."""

    task: str
    value: float | None
    reason: str = ""
    answer: Json = None
    """Of the first epoch."""

    cost: Cost | None = None
    """`None` where the task was not run to its end."""

    draws: tuple[float | None, ...] = ()
    """The value of each epoch, in order; empty where there is one epoch."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why scoring ended early: the candidate was beaten."""

    after: int
    """Tasks it was scored on."""

    by: str
    """Id of the trial that beat it."""

    p_value: float | None
    """One-sided, that it is no worse; `None`: even with perfect scores on all other tasks it could not catch up."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A candidate's results on one split, one per task, in task order."""

    split: str
    results: tuple[TaskResult, ...]
    dropped: Dropped | None = None
    """Set where only some of the tasks were run. Such a mean never outranks one over all tasks."""

    @property
    def values(self) -> tuple[float, ...]:
        """The scored tasks' values."""
        return tuple(result.value for result in self.results if result.value is not None)

    @property
    def mean(self) -> float | None:
        """Mean over scored tasks; `None` if there are none."""
        values = self.values
        return sum(values) / len(values) if values else None

    @property
    def unscored(self) -> int:
        """Tasks without a score."""
        return sum(result.value is None for result in self.results)

    @property
    def cost(self) -> Cost | None:
        """What a task took, a mean over those run to their end; `None` if there are none."""
        return mean_cost([result.cost for result in self.results if result.cost is not None])


@dataclass(frozen=True, slots=True)
class Proposal:
    """A workflow that a strategy wants scored, or a draft that failed: then `workflow` is `None`."""

    workflow: Workflow | None
    text: str
    """What the model wrote, or the canonical YAML of a workflow made otherwise."""

    reason: str
    """Why it is proposed, one sentence."""

    parent: str | None = None
    """Id of the trial it derives from."""

    errors: tuple[str, ...] = ()
    """What is wrong with an invalid draft, with lines; after `repairs` repairs."""

    repairs: int = 0
    notes: Mapping[str, Json] = field(default_factory=dict)
    """What the strategy wants back with the trial: what it changed, what the reward is measured against."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A proposal with its evidence. `train` and `validation` are `None` for an invalid draft."""

    id: str
    round: int
    """0 for the hand-written workflow, then counted from 1."""

    proposal: Proposal
    train: Evaluation | None = None
    validation: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """One run of a workflow on one task, with its judgement."""

    result: TaskResult
    """Its value is `None` where a fault left no judgement."""

    trace: Trace | None
    """`None` with a fault."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise in a run."""

    visit: int
    """Index of the visit in `Trace.steps`."""

    result: Json
    """In the place of the visit's result; on a decision, a label."""


class Laboratory(Protocol):
    """What a strategy may look into and try out on train and validation tasks before it proposes.

    Everything is paid from the run's budget and recorded: the same wish after a kill costs nothing and answers alike.
    """

    async def attempt(self, workflow: Workflow, task: str) -> Tried:
        """Run the workflow once on the train task of this id. A later scoring of the workflow finds the task done.

        Raises:
            UnknownNameError: If there is no such train task.
            BudgetExhaustedError: Before the call that would pass a limit.
        """
        ...

    def trace(self, workflow: Workflow, split: str, task: str) -> Trace | None:
        """The first recorded run of the workflow on a task of "train" or "validation"; `None` if there is none.

        Raises:
            UnknownNameError: For another split, or a task that is not in it.
        """
        ...

    async def rerun(self, workflow: Workflow, split: str, task: str, changes: Sequence[Change]) -> Tried:
        """That run again with results replaced, each change in the run that the one before it led to.

        Steps before a change are not run again. Where a change before the last ended in a fault, the last is not made,
        and the result has no value.

        Raises:
            UnknownNameError: As for `trace`, and for an unknown label.
            UsageError: If there is no such run or visit, or a result does not fit the step's output.
            BudgetExhaustedError: Before the call that would pass a limit.
        """
        ...


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a strategy may know when it proposes."""

    benchmark: Benchmark
    cards: tuple[Card, ...]
    """The operators that a workflow may use."""

    trials: Sequence[Trial]
    """In order; the first is the hand-written workflow, where there is one."""

    generator: Model
    rng: random.Random
    """Seeded by (run seed, round): the same evidence gives the same proposals."""

    round: int
    """1 for the first round of proposals."""

    laboratory: Laboratory


class Strategy(Protocol):
    """Stateless between rounds: everything it needs is in the situation, so any run resumes from its trials."""

    @property
    def name(self) -> str:
        """As on the command line."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that its candidates are scored on, "validation" among them. Where "train" is not, train tasks are
        only what the strategy tries in the laboratory."""
        ...

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next round's proposals; none ends the search.

        Raises:
            ProviderError, BudgetExhaustedError: From the generator.
        """
        ...
