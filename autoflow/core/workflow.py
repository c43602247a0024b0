"""The workflow: a natural-language program of steps. Step types follow CoRE (arXiv:2405.06907)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from autoflow.core.json import Json, digest

StepType = Literal["process", "decision", "terminal"]
STEP_TYPES: tuple[StepType, ...] = ("process", "decision", "terminal")

FORMAT_VERSION = 1
"""The value of the key `autoflow` that this package reads and writes."""

DEFAULT_OPERATOR = "generate"


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence of the program and where it leads."""

    name: str
    type: StepType
    instruction: str = ""
    """What to do, in words. `$(step name)` inserts a result, `$(task)` the task. Empty only on a terminal:
    unless it names an operator, its answer is then the last result it reads, and no model is called."""

    operator: str = DEFAULT_OPERATOR
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """The operator's own settings; its card says which exist."""

    next: str | None = None
    """Where a process step leads. `None` on decisions and terminals."""

    branches: Mapping[str, str] = field(default_factory=dict)
    """A decision's exits: label -> step, in the order that the model is shown."""

    max_visits: int | None = None
    """How often the step may run within one task; entering it once more leads to `otherwise`."""

    otherwise: str | None = None
    """Where `max_visits`, or a decision whose answer matches no label, leads."""

    reads: tuple[str, ...] | None = None
    """The results that the step is shown; `None`: all before it (CoRE's progress)."""

    for_each: str | None = None
    """Run once for each item of this step's list result, in parallel; the result is a list in that order."""

    output: Mapping[str, Json] | None = None
    """JSON Schema that the result must fit; `None`: any text."""

    model: str | None = None
    """`provider/model` for this step alone; `None`: the run's interpreter."""

    timeout_s: float | None = None
    """Wall-clock limit of one visit, in seconds; `None`: the run's own limit."""

    def targets(self) -> tuple[str, ...]:
        """Every step that this one can lead to, in order, each once."""
        found = [self.next] if self.next is not None else []
        found += self.branches.values()
        if self.otherwise is not None:
            found.append(self.otherwise)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Workflow:
    """A program. The first step is the entry. Not checked here: `autoflow.language.lint` proves it sound."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    inputs: tuple[str, ...] | None = None
    """Types of the values that a task brings, for operators with typed inputs; `None`: whatever they need."""

    @property
    def entry(self) -> Step:
        """The step that runs first."""
        return self.steps[0]

    def step(self, name: str) -> Step:
        """The step of that name.

        Raises:
            KeyError: If there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def fingerprint(self) -> str:
        """64 hexadecimal characters that are equal for workflows that behave equally: name and description are out."""
        return digest([list(self.inputs) if self.inputs is not None else None, [_content(step) for step in self.steps]])


def _content(step: Step) -> dict[str, object]:
    # Branches as pairs: their order is what the model is shown, and sorted keys would lose it.
    return {
        "name": step.name,
        "type": step.type,
        "instruction": step.instruction,
        "operator": step.operator,
        "parameters": dict(step.parameters),
        "next": step.next,
        "branches": [[label, target] for label, target in step.branches.items()],
        "max_visits": step.max_visits,
        "otherwise": step.otherwise,
        "reads": list(step.reads) if step.reads is not None else None,
        "for_each": step.for_each,
        "output": step.output,
        "model": step.model,
        "timeout_s": step.timeout_s,
    }
