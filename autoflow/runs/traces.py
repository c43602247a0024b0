"""The traces of a recorded run, in place of an interpreter: nothing is asked and nothing is carried out."""

from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import RunError
from autoflow.runs.ledger import Ledger, Place


class Traces:
    """What a run recorded of a workflow on a split, one at a time: they are never all in memory."""

    def __init__(self, ledger: Ledger, split: str) -> None:
        self._ledger = ledger
        self._split = split

    @property
    def answered(self) -> list[str]:
        """The models that answered in that run, its scorer's included."""
        return self._ledger.models()

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        """The trace of this task and epoch; of a draw that was left without a score, that of the last attempt.

        Raises:
            RunError: If there is none.
        """
        place = Place(workflow.fingerprint(), self._split, task.id, sample)
        trace = self._ledger.trace(place) or self._ledger.fault_trace(place)
        if trace is None:
            raise RunError(f"{self._ledger.path}: there is no trace of task {task.id}, epoch {sample}")
        return trace
