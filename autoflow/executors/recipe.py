"""All that a worker must know to draw as the driver would, and what an executor is."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoflow.core.json import Json
from autoflow.core.workflow import Workflow
from autoflow.interpreter.checkpoint import Checkpointer
from autoflow.interpreter.settings import Settings
from autoflow.objective.desk import Desk
from autoflow.objective.drawing import Drawer
from autoflow.objective.meter import Price
from autoflow.runs.ledger import Ledger
from autoflow.sandbox.choose import VARIABLE
from autoflow.zero_shot import Writing

CARRIED = ("AUTOFLOW_DATA", VARIABLE)
"""Environment variables that a worker gets from the driver where it has none of its own: where data lie, and whether
code may run without a sandbox."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is drawn, and how. No tasks: each comes with its draw."""

    workflow: Workflow
    """The one that is run, unless each task has one written for it."""

    benchmark: str
    """Name, or path as the driver was given it."""

    scorer: str | None
    options: Mapping[str, Json]
    """Of the benchmark."""

    fingerprint: str
    """Of the benchmark: a worker that finds another refuses."""

    interpreter: str
    settings: Settings
    """With the run's seed."""

    seed: int
    checkpoints: tuple[Checkpointer, str] | None
    """Where each task's states are kept while it runs, and what tells this run's from those of others."""

    writing: Writing | None
    folder: Path
    """The run's, absolute: a scorer that leaves files writes below it."""

    working_folder: Path
    """The driver's; paths are relative to it."""

    variables: Mapping[str, str]
    """Of the driver's environment, those of `CARRIED` that are set there. No secret is among them."""


@dataclass(frozen=True, slots=True)
class Office:
    """The driver's side of a run."""

    desk: Desk
    ledger: Ledger
    price: Price | None
    save: Callable[[Workflow], None]
    """Keeps a workflow that was written for a task."""


class Executor(Protocol):
    """Carries draws out elsewhere."""

    def at_work(self, recipe: Recipe, office: Office) -> AbstractAsyncContextManager[Drawer]:
        """A context with workers that are ready, all gone at its end.

        Raises:
            AutoflowError: If no worker could be started, or one finds something else than the driver has.
        """
        ...
