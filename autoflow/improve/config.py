"""What an improving run is told: its configuration, and the run folder and strategy that follow from it."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from autoflow import plugins
from autoflow.baselines import EQUAL
from autoflow.benchmarks import operator_sets
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.operator import Card
from autoflow.core.strategy import Strategy
from autoflow.errors import UsageError
from autoflow.improve.front import OBJECTIVES, Objective
from autoflow.interpreter.settings import Settings
from autoflow.operators.library import library
from autoflow.runs.folder import default_name

REFERENCES = ("io", "cot", f"cot-sc:{EQUAL}")
"""What a workflow must beat to be worth its calls: a direct answer, a chain of thought, and as many chains with a vote
as take the calls that the chosen workflow took (`autoflow.baselines`)."""

Gate = Literal["all", "parent"]
"""Which candidates are scored on validation: all, or those whose train mean is at least their parent's."""


@dataclass(frozen=True, slots=True)
class ImproveConfig:
    """What is improved, by what, judged how. Budget, concurrency and command may change between sittings."""

    benchmark: str
    """Name, or path of a benchmark folder."""

    generator: str
    """`provider/model` that writes workflows."""

    interpreter: str
    """`provider/model` that runs them."""

    strategy: str = "in-context"
    strategy_options: Mapping[str, Json] = field(default_factory=dict)
    rounds: int | None = None
    """The strategy's option of that name; `None`: its default. `candidates` likewise."""

    candidates: int | None = None
    """Drafts a round."""

    epochs: int = 1
    """Times each task is run and averaged."""

    seed: int = 0
    settings: Settings = field(default_factory=Settings)
    """Of the interpreter; its seed is this one's."""

    scorer: str | None = None
    """`None`: the benchmark's own."""

    options: Mapping[str, Json] = field(default_factory=dict)
    """Of the benchmark."""

    operators: str | None = None
    """The operator set that the generator is given, its name or path; `None`: the benchmark's own."""

    train_limit: int | None = None
    """The first so many tasks of the split; `None`: all."""

    validation_limit: int | None = None
    test_limit: int | None = None
    gate: Gate = "all"
    race: bool = True
    """Whether a candidate that is beaten on a part of validation is spared the rest. Up to 16 tasks, no difference."""

    objective: Objective = "score"
    """Which candidate is chosen on validation; see `autoflow.improve.front`."""

    shortlist: int = 1
    """How many candidates, besides the hand-written workflow, are run on test; 0 reads no test task."""

    references: bool = True
    """Whether `REFERENCES` are run on test as well."""

    paraphrases: int = 0
    """How often the task's description is told in other words, to see how stable what the generator writes is."""

    base_url: str | None = None
    budget: Budget = field(default_factory=Budget)
    refuse_small: bool = True
    """Whether a budget that cannot hold the hand-written workflow and three proposals is refused before any call."""

    concurrency: int = 8
    command: str = ""
    """The command line, for the report."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("shortlist", 0), ("concurrency", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("rounds", "candidates", "train_limit", "validation_limit", "test_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        if self.paraphrases < 0:
            raise UsageError(f"paraphrases must be at least 0, not {self.paraphrases}")
        if self.objective not in OBJECTIVES:
            raise UsageError(f"objective is {', '.join(OBJECTIVES)}, not {self.objective!r}")
        if self.gate not in ("all", "parent"):
            raise UsageError(f"gate is all or parent, not {self.gate!r}")


def resolved(config: ImproveConfig, benchmark: Benchmark) -> dict[str, Json]:
    """The configuration as the run folder keeps it; it names the folder and decides whether a run is resumed."""
    return {
        "kind": "improve",
        "command": config.command,
        "benchmark": benchmark.name,
        "data": benchmark.fingerprint,
        "options": dict(config.options),
        "operators": [card.name for card in cards_of(config, benchmark)],
        "scorer": benchmark.scorer.label,
        "baseline": None if benchmark.baseline is None else benchmark.baseline.fingerprint(),
        "strategy": config.strategy,
        "strategy_options": _options(config),
        "generator": config.generator,
        "interpreter": config.interpreter,
        "base_url": config.base_url,
        "settings": json.loads(json.dumps(asdict(replace(config.settings, seed=config.seed)))),
        "epochs": config.epochs,
        "seed": config.seed,
        "train_limit": config.train_limit,
        "validation_limit": config.validation_limit,
        "test_limit": config.test_limit,
        "gate": config.gate,
        "race": config.race,
        "objective": config.objective,
        "shortlist": config.shortlist,
        "references": config.references,
        "paraphrases": config.paraphrases,
        "concurrency": config.concurrency,
        "budget": asdict(config.budget),
    }


def cards_of(config: ImproveConfig, benchmark: Benchmark) -> tuple[Card, ...]:
    """The operators that the generator is given.

    Raises:
        UnknownNameError: If there is no such operator set.
        DataError: If it is no list of operators in reach; with file and line.
    """
    cards = {name: operator.card for name, operator in {**library(), **benchmark.operators}.items()}
    if config.operators is None:
        return operator_sets.chosen(cards, benchmark.operator_set)
    return operator_sets.chosen(cards, operator_sets.load(config.operators, cards))


def run_path(config: ImproveConfig, benchmark: Benchmark, runs: Path) -> Path:
    """The folder below `runs` that this command makes, or finds again."""
    return runs / default_name("improve", benchmark.name, resolved(config, benchmark))


def make_strategy(config: ImproveConfig) -> Strategy:
    """The strategy with its options.

    Raises:
        UnknownNameError: For an unknown strategy.
        UsageError: For an option that it does not have, listing those it has.
    """
    plugin = plugins.load("strategies", config.strategy)
    known = list(inspect.signature(plugin).parameters)
    options = _options(config)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(f"strategy {config.strategy} has no option {unknown[0]!r}; there are: {', '.join(known)}")
    made: Strategy = plugin(**options)
    return made


def _options(config: ImproveConfig) -> dict[str, Json]:
    options = dict(config.strategy_options)
    for name, value in (("rounds", config.rounds), ("candidates", config.candidates)):
        if value is not None:
            options[name] = value
    return options
