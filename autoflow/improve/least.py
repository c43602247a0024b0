"""A budget as a contract: one that cannot hold a baseline and three proposals is refused before the first call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.core.benchmark import Benchmark
from autoflow.core.operator import Operator
from autoflow.core.strategy import Strategy
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.counting import Load, load_of
from autoflow.errors import BudgetExhaustedError
from autoflow.improve.config import ImproveConfig
from autoflow.objective.meter import Price
from autoflow.objective.racing import looks

PROPOSALS = 3
"""With fewer there is nothing to choose from, and nothing to learn from what was chosen. A search that is to make fewer
needs room for no more than it makes."""

_ONE_STEP = Workflow("one step", (Step("answer", "terminal", "Answer."),))
# Of what nobody has written yet, only this much is sure: it asks once a task.


@dataclass(frozen=True, slots=True)
class Least:
    """What a search takes at the least. Repairs, self-checks and the generator's own tokens come on top."""

    proposals: int
    calls: float
    tokens: float
    usd: float | None
    """`None`: a price is not known."""


def least(
    config: ImproveConfig,
    benchmark: Benchmark,
    strategy: Strategy,
    operators: Mapping[str, Operator],
    price: Price | None,
) -> Least:
    """Of the hand-written workflow, if there is one, and three proposals on the benchmark's tasks, each proposal taken
    to be one call of the generator and one a task."""
    train = list(benchmark.train) if "train" in strategy.splits else []
    validation = list(benchmark.validation)
    tasks = [*train, *validation]
    # What loses a race is spared the tasks after the first look, and what fails at the gate all of validation.
    looked = looks(len(validation)) if config.race else ()
    sure = 0 if train and config.gate == "parent" else min(looked, default=len(validation))
    proposals = min(PROPOSALS, _planned(strategy))
    parts: list[tuple[Workflow, float]] = [(_ONE_STEP, proposals * (len(train) + sure) * config.epochs)]
    if benchmark.baseline is not None:
        parts.append((benchmark.baseline, float(len(tasks) * config.epochs)))
    calls, read, written = float(proposals), 0.0, 0.0
    for workflow, count in parts:
        load = _load(workflow, operators, config, tasks)
        calls += load.calls.low * count
        read += load.input_tokens.low * count
        written += load.output_tokens.low * count
    usd = None if price is None else price(config.interpreter, int(read), int(written))
    return Least(proposals, calls, read + written, usd)


def _planned(strategy: Strategy) -> int:
    """How many proposals the strategy's options allow; of one that does not say, enough."""
    rounds, candidates = getattr(strategy, "rounds", None), getattr(strategy, "candidates", 1)
    return rounds * candidates if isinstance(rounds, int) and isinstance(candidates, int) else PROPOSALS


def _load(workflow: Workflow, operators: Mapping[str, Operator], config: ImproveConfig, tasks: Sequence[Task]) -> Load:
    characters = sum(len(task.text) for task in tasks) / len(tasks)
    return load_of(workflow, operators, config.settings, task_chars=characters)


def refuse(config: ImproveConfig, needed: Least, *, by_hand: bool) -> None:
    """Refuse a budget that cannot hold what is needed.

    Raises:
        BudgetExhaustedError: Naming the limit, and what it would have to be.
    """
    budget = config.budget
    limits: list[tuple[float | None, float | None, str]] = [
        (budget.calls, needed.calls, "{:,.0f} calls"),
        (budget.tokens, needed.tokens, "{:,.0f} tokens"),
        (budget.usd, needed.usd, "${:.4f}"),
    ]
    for limit, at_least, form in limits:
        if limit is not None and at_least is not None and limit < at_least:
            baseline = "the hand-written workflow and " if by_hand else ""
            plural = "" if needed.proposals == 1 else "s"
            raise BudgetExhaustedError(
                f"a budget of {form.format(limit)} cannot hold {baseline}{needed.proposals} proposal{plural} by"
                f" {config.strategy}: they take {form.format(at_least)} at the least, so nothing was begun:"
                " give a larger budget, or fewer tasks (--train-limit, --validation-limit)",
            )
