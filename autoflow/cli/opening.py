"""From flags to what runs: models, operators, settings, budgets."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from autoflow import config
from autoflow.cli.output import say
from autoflow.core.json import Json
from autoflow.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from autoflow.core.budget import Budget
    from autoflow.core.model import Model
    from autoflow.executors.recipe import Executor
    from autoflow.improve import Gate
    from autoflow.improve.front import Objective
    from autoflow.interpreter.checkpoint import Checkpointer
    from autoflow.interpreter.settings import Settings
    from autoflow.models.options import ModelOptions
    from autoflow.models.shared import Shared


def model_options(base_url: str | None, seed: int, max_retries: int) -> "ModelOptions":
    """What models are opened with, the endpoints and prices of `autoflow.toml` included."""
    from autoflow.models.options import ModelOptions

    settings = config.load(Path.cwd())
    return ModelOptions(
        base_url=base_url,
        seed=seed,
        max_retries=max_retries,
        endpoints=settings.endpoints,
        prices=settings.prices,
        progress=say,
    )


def opener(options: "ModelOptions") -> "Callable[[str], Model]":
    """Opens a model by its `provider/model` string, once for each."""
    from autoflow.models.factory import open_model

    opened: dict[str, Model] = {}

    def _open(spec: str) -> "Model":
        if spec not in opened:
            opened[spec] = open_model(spec, options)
        return opened[spec]

    return _open


def shared(options: "ModelOptions") -> "Shared":
    """The same, lent to several runs one after the other, and closed with the context."""
    from autoflow.models.factory import open_model
    from autoflow.models.shared import Shared

    return Shared(lambda spec: open_model(spec, options))


def executor(name: str, workers: int | None, options: "ModelOptions") -> "Executor | None":
    """Where draws are carried out; `None`: in this process.

    Raises:
        UnknownNameError: If there is no such executor.
        MissingDependencyError: If the extra `ray` is not installed.
    """
    if name == "local":
        from autoflow.executors.local import Processes

        return None if workers in (None, 1) else Processes(workers, options, say)
    if name == "ray":
        from autoflow.executors import ray_cluster

        ray_cluster.load()
        return ray_cluster.RayCluster(options, workers, say)
    raise UnknownNameError("executor", name, ["local", "ray"])


def checkpointer(name: str | None) -> "Checkpointer | None":
    """The checkpointer of that name.

    Raises:
        UnknownNameError: If there is none.
    """
    from autoflow.interpreter.checkpoint import Checkpointer

    for known in get_args(Checkpointer):
        if known == name:
            return cast("Checkpointer", known)
    if name is not None:
        raise UnknownNameError("checkpointer", name, list(get_args(Checkpointer)))
    return None


def pricer(options: "ModelOptions") -> "Callable[[str, int, int], float | None]":
    """Says in US dollars what a call of a model with so many tokens in and out costs; `None` where it is not known."""
    from autoflow.core.model import Usage
    from autoflow.models.factory import price_of

    def _price(spec: str, input_tokens: int, output_tokens: int) -> float | None:
        return price_of(spec, options, Usage(input_tokens, output_tokens))

    return _price


@contextmanager
def unsafe_local(wanted: bool) -> Iterator[None]:
    """Lets generated code run without a sandbox where none works, for as long as the context lasts; a person is told
    where that is so."""
    if not wanted:
        yield
        return
    from autoflow.sandbox.choose import VARIABLE, describe

    if not any(boundary.works for boundary in describe()):
        say("no sandbox works on this machine: generated code runs with all of your rights (--unsafe-local)")
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def interpreter_settings(
    protocol: str, *, temperature: float, max_tokens: int | None, seed: int | None, max_steps: int
) -> "Settings":
    """Settings of the interpreter.

    Raises:
        UnknownNameError: If there is no such protocol.
    """
    from autoflow.core.model import Sampling
    from autoflow.interpreter.settings import PROTOCOLS, Settings

    for known in PROTOCOLS:
        if known == protocol:
            sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
            return Settings(protocol=known, max_steps=max_steps, sampling=sampling, seed=seed)
    raise UnknownNameError("protocol", protocol, list(PROTOCOLS))


def objective(name: str) -> "Objective":
    """What `--objective` names.

    Raises:
        UnknownNameError: Listing the objectives.
    """
    from autoflow.improve.front import OBJECTIVES

    for known in OBJECTIVES:
        if name == known:
            return known
    raise UnknownNameError("objective", name, list(OBJECTIVES))


def gate(name: str) -> "Gate":
    """The gate of that name.

    Raises:
        UnknownNameError: If there is none.
    """
    from autoflow.improve import Gate

    for known in get_args(Gate):
        if known == name:
            return cast("Gate", known)
    raise UnknownNameError("gate", name, list(get_args(Gate)))


def budget(usd: float | None, tokens: int | None, calls: int | None, seconds: float | None) -> "Budget":
    """The limits of a run.

    Raises:
        UsageError: If one is not positive.
    """
    from autoflow.core.budget import Budget

    try:
        return Budget(usd=usd, tokens=tokens, calls=calls, seconds=seconds)
    except ValueError as error:
        raise UsageError(str(error)) from error


def pairs(flag: str, given: Sequence[str]) -> dict[str, Json]:
    """`key=value` pairs; a value that is JSON is taken as such, any other as text.

    Raises:
        UsageError: Naming the pair.
    """
    import json

    found: dict[str, Json] = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} takes key=value, not {pair!r}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
