"""What the tests of OpenAGI's execution share: the benchmark's modules by name, and expert models made for tests."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from autoflow.benchmarks import folder, held_out
from autoflow.core.json import Json
from autoflow.core.trace import Trace

CODE = folder.open_folder("openagi", {}).code.module
TASKS = {task.id: task for task in held_out.load_split("openagi", "all")}


def part(name: str) -> ModuleType:
    """A module of the benchmark's code: `crew`, `local.denoising`."""
    assert CODE is not None
    return importlib.import_module(f"{CODE.__name__}.{name}")


def goal(task: str) -> Any:
    return part("goal").from_json(TASKS[task].reference)


def answered(plan: Json) -> Trace:
    return Trace(workflow="w", task="t", steps=(), answer=plan)


def picture(number: int) -> Any:
    """A picture of 2 x 2 pixels; equal numbers give equal ones."""
    return np.full((2, 2, 3), number, dtype=np.uint8)


class Made:
    """Experts that say what they were given: an output is the expression that made it, a picture stands for one."""

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = list(part("modules").MODULES) if names is None else list(names)
        self.batches: list[tuple[str, int]] = []
        self.pictures: list[str] = []
        self.broken: dict[str, Callable[[tuple[str, ...]], None]] = {}
        """Module -> what is called with the operands before it answers, to raise."""

    def shown(self, expression: str) -> Any:
        """The picture that stands for an expression."""
        if expression not in self.pictures:
            self.pictures.append(expression)
        return picture(self.pictures.index(expression))

    def said(self, value: Any) -> str:
        return value if isinstance(value, str) else self.pictures[int(value[0, 0, 0])]

    def experts(self, version: int = 0) -> dict[str, Any]:
        return {name: self._expert(name, version) for name in self.names}

    def _expert(self, name: str, version: int) -> Any:
        module = part("modules").MODULES[name]

        def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
            self.batches.append((name, len(rows)))
            outputs = []
            for row in rows:
                operands = tuple(self.said(value) for value in row)
                self.broken.get(name, lambda given: None)(operands)
                expression = f"{name}({', '.join(operands)})"
                outputs.append(expression if module.output == "text" else self.shown(expression))
            return outputs

        expert = part("expert").Expert
        return expert(
            name, "Made for a test.", {}, lambda site: apply, settings={"version": version}, file=str(Path(__file__))
        )
