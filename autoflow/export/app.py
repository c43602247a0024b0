"""What an exported LangGraph app stands on: its graph, made from its workflow file and its environment."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from autoflow import config
from autoflow.core.model import Sampling
from autoflow.core.operator import Operator
from autoflow.errors import ConfigError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import PROTOCOLS, Settings
from autoflow.interpreter.standalone import Standalone, standalone
from autoflow.language import document
from autoflow.language.lint import check
from autoflow.models.factory import open_model
from autoflow.models.options import ModelOptions
from autoflow.operators.library import library

T = TypeVar("T")

VARIABLES = (
    "AUTOFLOW_INTERPRETER",
    "AUTOFLOW_BASE_URL",
    "AUTOFLOW_PROTOCOL",
    "AUTOFLOW_TEMPERATURE",
    "AUTOFLOW_MAX_TOKENS",
    "AUTOFLOW_SEED",
    "AUTOFLOW_MAX_STEPS",
    "AUTOFLOW_MAX_RETRIES",
)
"""The environment that an app reads; the same names set the flags of `autoflow run`."""


def app(workflow: Path, benchmarks: Sequence[str] = ()) -> Standalone:
    """The graph of a workflow file: `await graph.ainvoke({"task": "..."})` leaves `answer`, `failure`, `records`.

    The model is `AUTOFLOW_INTERPRETER`; keys are its provider's own variables. An `autoflow.toml` beside the workflow
    or above it names endpoints.

    Args:
        benchmarks: Whose operators the workflow may use besides the library's.

    Raises:
        WorkflowError: If the workflow cannot be read, or is not sound.
        ConfigError: If a variable is missing or does not fit.
        AutoflowError: If the model cannot be opened.
    """
    operators: dict[str, Operator] = dict(library())
    for name in benchmarks:
        from autoflow.benchmarks import loader

        operators.update(loader.load(name).operators)
    program = check(document.load(workflow), {name: operator.card for name, operator in operators.items()})
    settings = Settings(
        protocol=_read("AUTOFLOW_PROTOCOL", _one_of(PROTOCOLS)) or "fused",
        max_steps=_read("AUTOFLOW_MAX_STEPS", int) or 50,
        sampling=Sampling(
            temperature=_read("AUTOFLOW_TEMPERATURE", float) or 0.0, max_tokens=_read("AUTOFLOW_MAX_TOKENS", int)
        ),
        seed=_read("AUTOFLOW_SEED", int),
        durability="async",
    )
    spec = os.environ.get("AUTOFLOW_INTERPRETER")
    if not spec:
        raise ConfigError("AUTOFLOW_INTERPRETER names no model", hint="set it to provider/model, here or in .env")
    found = config.load(workflow.resolve().parent)
    retries = _read("AUTOFLOW_MAX_RETRIES", int)
    options = ModelOptions(
        base_url=os.environ.get("AUTOFLOW_BASE_URL") or None,
        seed=settings.seed,
        max_retries=5 if retries is None else retries,
        endpoints=found.endpoints,
        prices=found.prices,
    )
    model = open_model(spec, options)
    return standalone(
        program, Interpreter(model, operators, settings, open_model=lambda name: open_model(name, options))
    )


def _read(name: str, convert: Callable[[str], T]) -> T | None:
    value = os.environ.get(name)
    if not value:
        return None
    try:
        return convert(value)
    except ValueError as error:
        raise ConfigError(f"{name}={value!r} does not fit: {error}") from error


def _one_of(known: Sequence[T]) -> Callable[[str], T]:
    def _found(value: str) -> T:
        for item in known:
            if item == value:
                return item
        raise ValueError(f"it is one of {', '.join(map(str, known))}")

    return _found
