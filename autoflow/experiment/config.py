"""What an experiment's file says, with errors that name the line, and changes over it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from autoflow.bench import BenchConfig
from autoflow.benchmarks import places
from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.model import Sampling
from autoflow.errors import UsageError
from autoflow.improve import Gate, ImproveConfig
from autoflow.interpreter.settings import ProtocolName, Settings
from autoflow.lineup import Entry
from autoflow.matrix import MatrixConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedRow(_Section):
    """One published number."""

    interpreter: str
    row: str
    """What was run, in the publication's words."""

    score: float


class Published(_Section):
    """What the experiment is read beside."""

    source: str
    comparable: str
    """What may and may not be compared, in a sentence that every report repeats."""

    rows: tuple[PublishedRow, ...] = Field(min_length=1)


class Experiment(_Section):
    """The file's keys. Every seed fills the whole table."""

    benchmark: str
    scorer: str | None = None
    benchmark_options: dict[str, JsonValue] = {}
    split: str = "test"
    """What rows are measured on: read once a row and seed, after its workflow was chosen."""

    generators: tuple[str, ...] = Field(min_length=1)
    interpreters: tuple[str, ...] = Field(min_length=1)
    workflows: tuple[str, ...] = ()
    """Files of rows; none: the benchmark's hand-written workflow."""

    baselines: tuple[str, ...] = ()
    strategy: str = "in-context"
    options: dict[str, JsonValue] = {}
    """Of the strategy."""

    rounds: int | None = Field(default=None, ge=1)
    candidates: int | None = Field(default=None, ge=1)
    train_limit: int | None = Field(default=None, ge=1)
    validation_limit: int | None = Field(default=None, ge=1)
    test_limit: int | None = Field(default=None, ge=1)
    gate: Gate = "all"
    protocol: ProtocolName = "fused"
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int | None = Field(default=256, ge=1)
    max_steps: int = Field(default=20, ge=1)
    epochs: int = Field(default=1, ge=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    published: Published | None = None


def load(file: Path, changes: Mapping[str, Json]) -> Experiment:
    """The experiment of `file`, with `changes` over its keys.

    Raises:
        DataError: At `file:line:column`, where the file is at fault.
        UsageError: Where a change is.
    """
    placed = places.read(file)
    if not isinstance(placed.value, dict):
        raise placed.error((), f"must be a mapping; its keys are: {', '.join(Experiment.model_fields)}")
    try:
        found = Experiment.model_validate({**placed.value, **_listed(changes)})
    except ValidationError as error:
        raise _error(placed, error, changes) from error
    if len(set(found.seeds)) < len(found.seeds):
        raise UsageError(f"a seed is named twice: {', '.join(map(str, found.seeds))}")
    return found


def matrix_config(
    experiment: Experiment, entries: Sequence[Entry], seed: int, *, budget: Budget, concurrency: int, command: str
) -> MatrixConfig:
    """The table of one seed."""
    first = experiment.interpreters[0]
    settings = Settings(
        protocol=experiment.protocol,
        max_steps=experiment.max_steps,
        sampling=Sampling(temperature=experiment.temperature, max_tokens=experiment.max_tokens),
        seed=seed,
    )
    shared: dict[str, Any] = {
        "benchmark": experiment.benchmark,
        "interpreter": first,
        "epochs": experiment.epochs,
        "seed": seed,
        "settings": settings,
        "scorer": experiment.scorer,
        "options": experiment.benchmark_options,
        "concurrency": concurrency,
        "command": command,
    }
    return MatrixConfig(
        bench=BenchConfig(**shared, split=experiment.split, limit=experiment.test_limit, budget=budget),
        interpreters=experiment.interpreters,
        entries=tuple(entries),
        improve=tuple(
            ImproveConfig(
                **shared,
                generator=generator,
                strategy=experiment.strategy,
                strategy_options=experiment.options,
                rounds=experiment.rounds,
                candidates=experiment.candidates,
                train_limit=experiment.train_limit,
                validation_limit=experiment.validation_limit,
                gate=experiment.gate,
                shortlist=0,
            )
            for generator in experiment.generators
        ),
    )


def _listed(changes: Mapping[str, Json]) -> dict[str, Json]:
    """One value stands for a list of one where the key takes a list: `--set interpreters=local/8b`."""
    lists = ("generators", "interpreters", "workflows", "baselines", "seeds")
    return {key: [value] if key in lists and isinstance(value, str | int) else value for key, value in changes.items()}


def _error(placed: places.PlacedYaml, error: ValidationError, changes: Mapping[str, Json]) -> Exception:
    item = error.errors(include_url=False)[0]
    keys = [key for key in item["loc"] if isinstance(key, str | int)]
    name = ".".join(map(str, keys))
    message = f"{name}: {item['msg']}"
    if item["type"] == "extra_forbidden" and len(keys) == 1:
        message = f"{name}: no such key; there are: {', '.join(Experiment.model_fields)}"
    return UsageError(message) if keys and keys[0] in changes else placed.error(keys, message)
