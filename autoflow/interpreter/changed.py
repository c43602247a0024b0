"""A finished run with one step's result changed: what would have come of it otherwise."""

from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.trace import StepRecord, Trace
from autoflow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Changed:
    """Where a run begins that goes on from another one's records."""

    records: tuple[StepRecord, ...]
    """The visits up to and with the changed one."""

    result: Json
    """Stands in the place of the last record's result; on a decision, a label."""


def changed(trace: Trace, index: int, result: Json) -> Changed:
    """The run of `trace` up to its visit `index` (from 0), whose result becomes `result`.

    Raises:
        UsageError: If there is no such visit, or no result.
    """
    if not 0 <= index < len(trace.steps):
        raise UsageError(f"the run has {len(trace.steps)} visits, so there is none with the index {index}")
    if result is None:
        raise UsageError("a changed run needs a result for the step that is changed")
    return Changed(trace.steps[: index + 1], result)
