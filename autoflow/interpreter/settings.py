"""How an interpreter runs workflows: protocol, limits, sampling."""

from dataclasses import dataclass, field
from typing import Literal

from autoflow.core.model import Sampling

ProtocolName = Literal["fused", "segment", "core"]
PROTOCOLS: tuple[ProtocolName, ...] = ("fused", "segment", "core")

Durability = Literal["exit", "async", "sync"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Equal settings and equal replies give equal traces, whatever the concurrency."""

    protocol: ProtocolName = "fused"
    """`fused`: one call a step; `segment`: one a straight run of plain steps; `core`: as published (METHODS.md)."""

    max_steps: int = 50
    """Step visits in one run; one more is the failure `max_steps`."""

    task_timeout_s: float | None = None
    """Wall-clock limit of a run, in seconds; the time a person takes to answer a pause is not counted."""

    step_timeout_s: float | None = None
    """Wall-clock limit of one visit, where the step states none. A segment has it once for each of its steps."""

    sampling: Sampling = field(default_factory=Sampling)
    """How every call draws, unless a step's parameters or the protocol say otherwise."""

    seed: int | None = None
    """Calls that draw (temperature above 0) get a seed derived from this and their sample index; `None`: no seed."""

    decision_reason: bool = True
    """Ask a decision for a short reason before its label; False: the label alone, the cheapest."""

    show_cards: bool = True
    """List the tool operators once, in the system turn."""

    durability: Durability = "exit"
    """When a checkpointer, if one is given, writes: at the end of the run, beside the next step, before it."""

    max_items: int = 100
    """Longest list that `for_each` maps over; a longer one is the failure `max_steps`."""

    item_concurrency: int = 8
    """How many items of one `for_each` run at a time."""

    core_retrieval: Literal["traverse", "direct"] = "traverse"
    """`core` only: one Yes/No call for each notebook entry, or one call that returns their numbers."""

    core_temperature: float = 1.0
    """`core` only: temperature of the answer call."""

    core_max_tokens: int = 2000
    """`core` only: length of the answer call, where `sampling` states none."""

    core_tools: bool = True
    """`core` only: after each answer, ask whether a tool is needed; False: never, the tools are only listed."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol is one of {', '.join(PROTOCOLS)}, not {self.protocol!r}")
        for name in ("max_steps", "max_items", "item_concurrency"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("task_timeout_s", "step_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")
