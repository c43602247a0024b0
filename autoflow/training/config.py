"""The configuration of a training run: one YAML file, with errors that name the line, and flags over it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from autoflow.benchmarks import places
from autoflow.core.json import Json
from autoflow.errors import UsageError
from autoflow.generator.draft import Form, Scope
from autoflow.generator.for_task import LIMITS
from autoflow.interpreter.settings import ProtocolName

Method = Literal["sft", "reinforce", "grpo", "rlao"]
METHODS: tuple[Method, ...] = get_args(Method)

SAMPLING_METHODS = ("reinforce", "grpo")
"""They draw from the generator and need tasks to score on; the others learn from recorded data."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", re.ASCII)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(_Section):
    """A low-rank adapter (arXiv:2106.09685)."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """0 for methods that sample: with dropout, the distribution that is credited is not the one that was sampled."""

    modules: str | tuple[str, ...] = "all-linear"


class Prompt(_Section):
    """How much a prompt in the scope `benchmark` shows, and its workflow may have: see
    `autoflow.training.assignments.Shape`. In the scope `task` all prompts are alike."""

    examples: int = Field(default=2, ge=0)
    describe_cards: bool = True
    library: bool = False
    answer: bool = False
    max_steps: int = Field(default=LIMITS.max_steps, ge=2)
    max_instruction_chars: int = Field(default=LIMITS.max_instruction_chars, ge=1)


class Tasks(_Section):
    """What sampled workflows are scored on: train tasks, `instances` of them at a time."""

    benchmarks: tuple[str, ...] = Field(min_length=1)
    """Names, or paths of benchmark folders, in which `*` stands for any part: `data/plans/environments/train-*`."""

    scope: Scope = "task"
    instances: int = Field(default=8, ge=1)
    """Of an assignment's tasks, so many score all samples of a group."""

    limit: int | None = Field(default=None, ge=1)
    """Only the first so many train tasks of each benchmark."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Of the benchmarks."""


class HeldOut(_Section):
    """Sampled workflows on what is not trained on choose the checkpoint, and end training that no longer helps."""

    benchmarks: tuple[str, ...] = Field(min_length=1)
    """Their validation tasks; named as in `tasks`. Give others than are trained on, to choose by operators that were
    never seen."""

    scope: Scope = "task"
    limit: int | None = Field(default=None, ge=1)
    every: int = Field(default=50, ge=1)
    """Updates from one look to the next."""

    patience: int = Field(default=3, ge=1)
    """Looks without a better score after which training ends."""

    samples: int = Field(default=1, ge=1)
    """Texts drawn for each prompt; one is drawn greedily, more at temperature 1."""

    max_tokens: int = Field(default=256, ge=1)
    """Length of a text."""


class Interpreter(_Section):
    """What runs the sampled workflows."""

    model: str = "embedded/smollm2-135m"
    protocol: ProtocolName = "fused"
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int | None = Field(default=256, ge=1)
    max_steps: int = Field(default=20, ge=1)
    base_url: str | None = None


def _named(value: Any) -> Any:
    """`score` stands for `{name: score}`."""
    return {"name": value} if isinstance(value, str) else value


class RewardChoice(_Section):
    """A reward structure: a file of `autoflow/training/rewards/`, with its options."""

    name: str = "score"
    options: dict[str, Any] = Field(default_factory=dict)


class TrainConfig(_Section):
    """One training run."""

    method: Method
    model: str
    """The base: a folder of weights, a name on the hub, or `smollm2-135m`, the embedded model's own weights."""

    adapter: str | None = None
    """A trained adapter to go on from; it is also what the divergence is measured from."""

    lora: Lora | None = Lora()
    """`null` trains all weights."""

    form: Form = "outline"
    """How workflows are written: outline, json or yaml."""

    prompt: Prompt = Prompt()
    tasks: Tasks | None = None
    """For the methods that sample."""

    data: tuple[str, ...] = ()
    """`sft`: data sets, each a folder or a JSONL file of `prompt` and `completion`. `rlao`: trajectories as JSONL, or
    folders of runs."""

    bundle: int | None = Field(default=None, ge=1)
    """`sft` only: read so many demonstrations as one that follow each other and begin alike, and what they begin with
    once. A batch then counts bundles. Results differ by rounding alone."""

    whole_prefix: bool = False
    """`rlao` only: put the loss on every action of a trajectory, as the release does, not on the last alone."""

    tau: float = Field(default=0.4, gt=0)
    """`rlao` only: temperature of the weights exp(r/tau)."""

    reward: Annotated[RewardChoice, BeforeValidator(_named)] = RewardChoice()
    interpreter: Interpreter = Interpreter()
    held_out: HeldOut | None = None
    shared_prompt: bool | None = None
    """For the methods that sample: read a prompt once for all its samples. Several times as fast where prompts are
    longer than completions; results differ by rounding alone. `None`: wherever the model has full attention."""

    typed: bool = False
    """For the methods that sample: hold samples, and texts for held-out prompts, to plans that type-check, as a runtime
    with grammars does, and credit each token by its probability among those that the grammar left. For outlines of
    single tasks whose context states the types they bring."""

    seed: int = 0
    concurrency: int = Field(default=64, ge=1)
    """Tasks of one workflow run at the same time. All workflows of a group run at the same time."""

    trainer: dict[str, Any] = Field(default_factory=dict)
    """Passed through to the trainer, over `autoflow.training.defaults`."""


def load(file: Path | None, method: Method, changes: Mapping[str, Json] = {}) -> TrainConfig:
    """The configuration of `file`, with `changes` over it: dotted keys, such as `trainer.learning_rate`.

    Raises:
        DataError: At `file:line:column`, where the file is at fault.
        UsageError: Where a change is, or the file is of another method.
    """
    placed = places.read(file) if file is not None else places.PlacedYaml(Path("flags"), {}, {})
    if not isinstance(placed.value, dict):
        raise placed.error((), f"must be a mapping; its keys are: {', '.join(TrainConfig.model_fields)}")
    values = _numbers(placed.value)
    stated = values.setdefault("method", method)
    if stated != method:
        raise placed.error(("method",), f"the file is for the method {stated}, the command for {method}")
    for key, value in changes.items():
        _put(values, key, value)
    try:
        config = TrainConfig.model_validate(values)
    except ValidationError as error:
        raise _error(placed, error, changes) from error
    _check(config)
    return config


def _check(config: TrainConfig) -> None:
    scopes = {part.scope for part in (config.tasks, config.held_out) if part is not None}
    if config.prompt != Prompt() and "benchmark" not in scopes:
        raise UsageError(
            "`prompt` is for the scope benchmark, which nothing here has", hint="tasks: {scope: benchmark}"
        )
    if config.adapter is not None and config.lora is None:
        raise UsageError(
            "an adapter is gone on with as an adapter, not as all weights", hint="leave `lora` in, or merge the adapter"
        )
    if config.method in SAMPLING_METHODS:
        if config.tasks is None:
            raise UsageError(
                f"{config.method} needs tasks to score on",
                hint="tasks: {benchmarks: [openagi]}, or --benchmark openagi",
            )
        if config.lora is not None and config.lora.dropout:
            raise UsageError(
                f"{config.method} takes no dropout: the distribution that is credited would not be the one sampled",
                hint="lora: {dropout: 0}",
            )
    elif config.typed:
        raise UsageError(f"{config.method} draws no samples that could be typed", hint="leave `typed` out")
    elif not config.data:
        raise UsageError(f"{config.method} needs data to learn from", hint="data: [folder], or --data folder")


def _numbers(value: Any) -> Any:
    """The value with 1e-5 as the number that YAML 1.2 takes it for; the parser, of YAML 1.1, leaves it a text."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _put(values: dict[str, Any], key: str, value: Json) -> None:
    *path, last = key.split(".")
    for part in path:
        inner = values.get(part)
        values[part] = inner = dict(inner) if isinstance(inner, dict) else {}
        values = inner
    values[last] = _numbers(value)


def _error(placed: places.PlacedYaml, error: ValidationError, changes: Mapping[str, Json]) -> Exception:
    item = error.errors(include_url=False)[0]
    keys = [key for key in item["loc"] if isinstance(key, str | int)]
    name = ".".join(str(key) for key in keys)
    message = f"{name}: {item['msg'].removeprefix('Value error, ')}"
    if item["type"] == "extra_forbidden":
        message = f"{name}: no such key; there are: {', '.join(_fields(keys[:-1]))}"
    elif item["type"] == "missing":
        message = f"{name}: is missing"
    if any(name == key or name.startswith(f"{key}.") for key in changes) or not placed.marks:
        return UsageError(message)
    return placed.error(keys, message)


def _fields(keys: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = TrainConfig
    for key in keys:
        annotation = model.model_fields[str(key)].annotation
        kinds = [annotation, *get_args(annotation)]
        model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)
