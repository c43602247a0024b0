"""Loads a benchmark to learn on: train and validation tasks, scorer, operators, baseline. Never a test task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoflow import plugins, resources
from autoflow.benchmarks import folder as folders
from autoflow.benchmarks import operator_sets
from autoflow.benchmarks.folder import Folder
from autoflow.core.benchmark import Benchmark
from autoflow.core.json import Json, digest
from autoflow.core.operator import Operator
from autoflow.core.score import Scorer
from autoflow.core.workflow import Workflow
from autoflow.errors import UnknownNameError
from autoflow.language import document
from autoflow.operators.library import library
from autoflow.scorers import function

names = folders.names


def load(
    name_or_path: str,
    *,
    scorer: str | None = None,
    scorer_options: Mapping[str, Json] | None = None,
    options: Mapping[str, Json] | None = None,
) -> Benchmark:
    """Load a bundled benchmark by name, or the user's own by path.

    A split that the definition lacks is empty.

    Args:
        scorer: In place of the definition's; one of the benchmark's own, a scorer plug-in without parameters, or
            `module:function`.
        scorer_options: Parameters of the scorer, over those in the definition.
        options: In place of the defaults in the definition.

    Raises:
        UnknownNameError: For an unknown benchmark, scorer or option, listing what exists.
        DataError: If definition, operator set, data or code is at fault; with file and line.
        WorkflowError: If a baseline cannot be read.
    """
    opened = folders.open_folder(name_or_path, options or {})
    definition = opened.placed.definition
    ((default, parameters),) = definition.scorer.items()
    name = scorer if scorer is not None else default
    own = _operators(opened)
    baseline = definition.baseline
    train, validation = (tuple(opened.split(split)) if split in definition.splits else () for split in folders.LEARNING)
    return Benchmark(
        name=definition.name,
        description=definition.description,
        train=train,
        validation=validation,
        scorer=_scorer(opened, name, {**(parameters if name == default else {}), **(scorer_options or {})}),
        operators=own,
        operator_set=_operator_set(opened, own),
        baseline=None if baseline is None else _workflow(opened, ("baseline",), baseline),
        baselines={
            key: _workflow(opened, ("baselines", key), written) for key, written in definition.baselines.items()
        },
        fingerprint=digest(
            [opened.fingerprint(), name, _own_scorer(opened, name), *([dict(scorer_options)] if scorer_options else [])]
        ),
        notes=definition.notes,
    )


def _scorer(opened: Folder, name: str, parameters: Mapping[str, Any]) -> Scorer:
    if function.is_name(name):
        return function.make(name, opened.path, parameters)
    own: list[str] = []
    if opened.code.has("scorer"):
        try:
            found: Scorer = opened.code.call("scorer", name, opened.options)
        except UnknownNameError as error:
            own = error.known
        else:
            return found
    if name not in plugins.names("scorers"):
        known = sorted({*own, *plugins.names("scorers")})
        raise UnknownNameError("scorer", name, known, hint="or a function of your own, written module:function")
    plugin: Scorer = plugins.load("scorers", name)(parameters)
    return plugin


def _own_scorer(opened: Folder, name: str) -> str:
    """Hash of the user's scorer, where it is a file: a run must not go on with another."""
    file = function.source(name, opened.path) if function.is_name(name) else None
    return "" if file is None else digest(file.read_bytes().hex())


def _operators(opened: Folder) -> Mapping[str, Operator]:
    if not opened.code.has("operators"):
        return {}
    found: Mapping[str, Operator] = opened.code.call("operators", opened.options)
    return found


def _operator_set(opened: Folder, own: Mapping[str, Operator]) -> tuple[str, ...] | None:
    written = opened.placed.definition.operators
    if written is None:
        return None
    cards = {name: operator.card for name, operator in {**library(), **own}.items()}
    if isinstance(written, str):
        try:
            return operator_sets.load(written, cards, opened.path)
        except UnknownNameError as error:
            raise opened.placed.yaml.error(("operators",), error.message, hint=error.hint) from error
    return operator_sets.checked(
        written,
        cards,
        lambda place, message, hint: opened.placed.yaml.error(
            ("operators", *place), f"operators: {message}", hint=hint
        ),
    )


def _workflow(opened: Folder, key: tuple[str, ...], written: str) -> Workflow:
    candidates = [opened.path / written]
    # The bundled workflows lie elsewhere in a wheel than beside the benchmark, so their folder is named, not reached.
    if Path(written).parts[:1] == ("workflows",):
        candidates.append(resources.folder("workflows").joinpath(*Path(written).parts[1:]))
    for path in candidates:
        if path.is_file():
            return document.load(path).workflow
    places = " or ".join(map(str, candidates))
    raise opened.placed.yaml.error(key, f"{'.'.join(key)}: there is no file {places}")
