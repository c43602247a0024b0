"""A person beside the run: what they see before each step, and what they may say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoflow.core.json import Json
from autoflow.core.trace import StepRecord
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import UnknownNameError, UsageError

Action = Literal["approve", "edit", "redirect", "replace", "stop"]


@dataclass(frozen=True, slots=True)
class Pause:
    """A run that waits before a step. Nothing of the step has been paid yet."""

    step: Step
    """The step that comes next."""

    visit: int
    """Which visit of it this would be; 1 for the first."""

    instruction: str
    """Its sentence with the references filled in, where they can be."""

    last: StepRecord | None
    """The step before; `None` at the start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The person's answer.

    `approve`: run the step. `edit`: put `result` in the place of the last step's result, then run the step. `redirect`:
    go to `step` instead; the run pauses there again. `replace`: take `result` as the step's own result, without running
    it; on a decision it is a label. `stop`: end here; the run can be resumed from its checkpoint.
    """

    action: Action
    result: Json = None
    step: str | None = None

    def check(self, pause: Pause, workflow: Workflow) -> None:
        """Refuse a verdict that does not fit the pause.

        Raises:
            UsageError: Saying what would fit.
        """
        if self.action == "edit" and pause.last is None:
            raise UsageError(f"nothing to edit: step {pause.step.name!r} is the first")
        if self.action in ("edit", "replace") and self.result is None:
            raise UsageError(f"the verdict {self.action!r} needs a result")
        names = [step.name for step in workflow.steps]
        if self.action == "redirect" and self.step not in names:
            raise UnknownNameError("step", str(self.step), names)
        if self.action == "replace" and pause.step.type == "decision" and self.result not in pause.step.branches:
            raise UnknownNameError("label", str(self.result), list(pause.step.branches))

    def plain(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"action": self.action, "result": self.result, "step": self.step}

    @staticmethod
    def restore(value: Mapping[str, Any]) -> "Verdict":
        """The verdict that `plain` made `value` of."""
        return Verdict(value["action"], value["result"], value["step"])
