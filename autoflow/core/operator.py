"""How a step is carried out: one protocol for LLM patterns and tools, with a typed card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from autoflow.core.json import Json
from autoflow.core.model import Message, Model, Sampling
from autoflow.core.task import Task

ANY = "any"
"""The type that fits every other."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader, a generator and lint know of an operator."""

    name: str
    description: str
    """One sentence."""

    inputs: tuple[str, ...] = (ANY,)
    """Types it takes, in operand order. A `tool` consumes a value of each; `any` takes whatever is there."""

    output: str = "text"
    parameters: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """JSON Schema of each parameter, by name. One with `default` is optional; others are required."""

    kind: Literal["model", "tool"] = "model"
    """`model`: a way to carry out a step on what it reads, by calls of a language model or by plain code; `tool`: a
    function or an expert model that takes and leaves typed values along the path, and is listed to the interpreter."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One visit of one step, as its operator sees it."""

    instruction: str
    """The step's sentence with every `$(...)` filled in."""

    conversation: tuple[Message, ...]
    """System turn, task and progress: what never changes first. An operator appends its own turn."""

    inputs: Mapping[str, Json]
    """Results that the step reads: step name -> result, in the order they were left."""

    task: Task
    """Its `context` is for operators to read; its `reference` is empty: that is the scorer's alone."""

    parameters: Mapping[str, Json]
    output: Mapping[str, Json] | None
    """JSON Schema that the result must fit."""

    model: Model
    """Every call through it is recorded on the step."""

    sampling: Sampling
    sample: int = 0
    """Base of the sample indices of this visit's calls; see `Request.sample`."""

    timeout_s: float | None = None

    seed: int = 0
    """Of what the operator draws itself: equal in a repeated run, another in each visit, item and run of the task."""


class Operator(Protocol):
    """Carries out a step. Stateless between calls, safe to run concurrently."""

    @property
    def card(self) -> Card:
        """What it is and takes."""
        ...

    async def run(self, call: Invocation) -> Json:
        """Carry out the step and return its result.

        Raises:
            OperatorError: If the input does not fit or the operation failed; the task then scores 0.
            ReplyError: If the model's reply cannot be used.
            ProviderError, SandboxError: For faults that are no workflow's.
        """
        ...


@runtime_checkable
class Counted(Protocol):
    """An operator that says beforehand how many model calls a step makes; estimates ask for it."""

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int | None]:
        """The least and the most under these parameters, with every reply readable; `None`: no bound."""
        ...
