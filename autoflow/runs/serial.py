"""Core data to JSON text and back, exactly. Fields at their default are left out, which keeps traces small.

A value typed `Json` comes back in JSON's own terms: a tuple in an answer returns as a list.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from autoflow.core.json import SCALARS
from autoflow.core.model import Message, Reply, Request, Sampling, Usage
from autoflow.core.score import Score
from autoflow.core.strategy import Cost, Dropped, Evaluation, Proposal, TaskResult, Trial
from autoflow.core.trace import Call, Failure, StepRecord, Trace
from autoflow.core.workflow import Step, Workflow

T = TypeVar("T")

_TEXTS = "texts"
# The fields that JSON alone would not bring back: another dataclass, a tuple of them, a tuple of texts or numbers.
_PARTS: dict[type, dict[str, Any]] = {
    Usage: {},
    Reply: {"usage": Usage},
    Message: {},
    Sampling: {"stop": _TEXTS},
    Request: {"messages": (Message,), "sampling": Sampling, "labels": _TEXTS},
    Score: {},
    Call: {"usage": Usage},
    Failure: {},
    StepRecord: {"inputs": _TEXTS, "calls": (Call,), "tools": _TEXTS, "failure": Failure},
    Trace: {"steps": (StepRecord,), "failure": Failure},
    Step: {"reads": _TEXTS},
    Workflow: {"steps": (Step,), "inputs": _TEXTS},
    Cost: {},
    TaskResult: {"cost": Cost, "draws": _TEXTS},
    Dropped: {},
    Evaluation: {"results": (TaskResult,), "dropped": Dropped},
    Proposal: {"workflow": Workflow, "errors": _TEXTS},
    Trial: {"proposal": Proposal, "train": Evaluation, "validation": Evaluation},
}


# Made once: `json.dumps` makes an encoder for each call that wants another form than its own.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _default(item: "Field[Any]") -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


_FIELDS: dict[type, tuple[tuple[str, Any, Any], ...]] = {
    kind: tuple((item.name, _default(item), parts.get(item.name)) for item in fields(kind))
    for kind, parts in _PARTS.items()
}


def pack(value: object) -> dict[str, Any]:
    """The value as a JSON object."""
    if type(value) is Message:
        # Most of what is packed, many times over: the turns of a conversation.
        return {"role": value.role, "text": value.text}
    packed: dict[str, Any] = {}
    for name, default, part in _FIELDS[type(value)]:
        item = getattr(value, name)
        if default is not MISSING and item == default and type(item) is type(default):
            continue
        if part is None:
            packed[name] = item if type(item) in SCALARS or not isinstance(item, Mapping) else dict(item)
        elif part is _TEXTS or item is None:
            packed[name] = item
        elif isinstance(part, tuple):
            packed[name] = [pack(element) for element in item]
        else:
            packed[name] = pack(item)
    return packed


def unpack(kind: type[T], packed: Mapping[str, Any]) -> T:
    """The value that `pack` was given. Unknown keys are a `TypeError`."""
    values = dict(packed)
    for name, part in _PARTS[kind].items():
        item = values.get(name)
        if item is None:
            continue
        if part is _TEXTS:
            values[name] = tuple(item)
        elif isinstance(part, tuple):
            values[name] = tuple([unpack(part[0], element) for element in item])
        else:
            values[name] = unpack(part, item)
    build: Callable[..., T] = kind
    return build(**values)


def dumps(value: object) -> str:
    """JSON text of a dataclass of `autoflow.core`, or of plain JSON.

    ASCII only: a model's text can hold lone surrogates, which no database or file stores as UTF-8. NaN and
    infinities are written as Python writes them, since a model's JSON can bring them into an answer.
    """
    return _encode(pack(value) if type(value) in _FIELDS else value)


def loads(kind: type[T], text: str) -> T:
    """The dataclass that `dumps` wrote."""
    return unpack(kind, json.loads(text))
