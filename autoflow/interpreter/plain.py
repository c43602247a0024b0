"""Step records and failures as the dictionaries that a checkpoint keeps: no classes of ours enter the file."""

from collections.abc import Mapping
from typing import Any

from autoflow.core.model import Usage
from autoflow.core.trace import Call, Failure, StepRecord


def record_to_plain(record: StepRecord) -> dict[str, Any]:
    """A dictionary of plain values that `record_from_plain` reads."""
    return {
        "step": record.step,
        "visit": record.visit,
        "operator": record.operator,
        "result": record.result,
        "label": record.label,
        "target": record.target,
        "inputs": list(record.inputs),
        "calls": [_call(call) for call in record.calls],
        "tools": list(record.tools),
        "seconds": record.seconds,
        "failure": failure_to_plain(record.failure),
    }


def _call(call: Call) -> list[Any]:
    usage = call.usage
    return [
        call.key,
        call.model,
        call.purpose,
        [usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cost_usd],
        call.seconds,
        call.cached,
        call.error,
    ]


def record_from_plain(value: Mapping[str, Any]) -> StepRecord:
    """The record that `record_to_plain` made `value` of."""
    calls = tuple(
        Call(key, model, purpose, Usage(*usage), seconds, cached, error)
        for key, model, purpose, usage, seconds, cached, error in value["calls"]
    )
    return StepRecord(
        step=value["step"],
        visit=value["visit"],
        operator=value["operator"],
        result=value["result"],
        label=value["label"],
        target=value["target"],
        inputs=tuple(value["inputs"]),
        calls=calls,
        tools=tuple(value["tools"]),
        seconds=value["seconds"],
        failure=failure_from_plain(value["failure"]),
    )


def failure_to_plain(failure: Failure | None) -> list[Any] | None:
    """A list of plain values, or `None` for `None`."""
    return None if failure is None else [failure.kind, failure.reason, failure.message, failure.step]


def failure_from_plain(value: list[Any] | None) -> Failure | None:
    """The failure that `failure_to_plain` made `value` of."""
    return None if value is None else Failure(*value)
