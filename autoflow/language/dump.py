"""A workflow's canonical YAML: one text for each workflow, and `parse(dump(w)).workflow == w`.

Words that some YAML reader takes for something else (yes, no, on, 1.10, null, dates) are quoted, defaults are
left out, several lines stand as `|`, long ones are folded.
"""

import math
import re
from collections.abc import Mapping

from autoflow.core.json import Json
from autoflow.core.workflow import DEFAULT_OPERATOR, FORMAT_VERSION, Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.names import UNSHOWABLE, escaped, quoted
from autoflow.language.nodes import MAX_BYTES, MAX_DEPTH, MAX_NODES, SURROGATE, compose

_WIDTH = 110
_MANGLED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
# In a flow collection these end a plain text or begin another value; elsewhere only `: ` and ` #` do.
_FLOW_BREAKS = re.compile(r"[,\[\]{}:#?]")
_BLOCK_BREAKS = re.compile(r": |:$| #")
_UNSHOWABLE_IN_BLOCK = re.compile(UNSHOWABLE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_LONGEST_KEY = 250


def dump(workflow: Workflow) -> str:
    """The canonical YAML, ending in a newline.

    Raises:
        WorkflowError: If the workflow holds what a file cannot say: half surrogates, values that are not JSON, or
            more than the limits that `parse` keeps.
    """
    lines = [f"autoflow: {FORMAT_VERSION}", *_text("name", workflow.name, 0)]
    if workflow.description:
        lines += _text("description", workflow.description, 0)
    if workflow.inputs is not None:
        lines += _value("inputs", list(workflow.inputs), 0)
    lines.append("steps:" if workflow.steps else "steps: []")
    for step in workflow.steps:
        body = _step(step)
        lines.append(f"  - {body[0]}")
        lines += [f"    {line}" if line else "" for line in body[1:]]
    text = "\n".join(lines) + "\n"
    size = len(text.encode("utf-8"))
    if size > MAX_BYTES:
        raise WorkflowError(
            f"workflow {quoted(workflow.name)} takes {size:,} bytes as a file, and {MAX_BYTES:,} are read",
            hint="long documents belong in the task's context",
        )
    # Fewer characters than two for each value cannot pass the limits on depth and number, which `compose` keeps.
    if len(text) > 2 * MAX_NODES:
        compose(text, None)
    return text


def _step(step: Step) -> list[str]:
    lines = [*_text("name", step.name, 0), f"type: {step.type}"]
    if step.operator != DEFAULT_OPERATOR:
        lines += _text("operator", step.operator, 0)
    if step.parameters:
        lines += _value("parameters", step.parameters, 0)
    if step.model is not None:
        lines += _text("model", step.model, 0)
    if step.reads is not None:
        lines += _value("reads", list(step.reads), 0)
    if step.for_each is not None:
        lines += _text("for_each", step.for_each, 0)
    if step.instruction:
        lines += _text("instruction", step.instruction, 0)
    if step.next is not None:
        lines += _text("next", step.next, 0)
    if step.branches:
        lines += _value("branches", step.branches, 0)
    if step.max_visits is not None:
        lines.append(f"max_visits: {step.max_visits}")
    if step.otherwise is not None:
        lines += _text("otherwise", step.otherwise, 0)
    if step.output is not None:
        lines += _value("output", step.output, 0)
    if step.timeout_s is not None:
        lines.append(f"timeout_s: {_number(step.timeout_s)}")
    return lines


def _text(key: str, text: str, indent: int) -> list[str]:
    pad = " " * indent
    if "\n" in text and _fits_block(text):
        mark = "|" if text.endswith("\n") else "|-"
        return [
            f"{pad}{key}: {mark}",
            *(f"{pad}  {line}" if line else "" for line in text.removesuffix("\n").split("\n")),
        ]
    scalar = _scalar(text, flow=False)
    line = f"{pad}{key}: {scalar}"
    if len(line) > _WIDTH and "\n" not in text and _fits_block(text) and " " in text:
        folded = _fold(text, _WIDTH - indent - 6)
        if folded:
            return [f"{pad}{key}: >-", *(f"{pad}  {part}" for part in folded)]
    return [line]


def _fits_block(text: str) -> bool:
    """Whether a block scalar says the text exactly, and an editor that strips white space leaves it so."""
    lines = text.removesuffix("\n").split("\n")
    return (
        not _UNSHOWABLE_IN_BLOCK.search(text)
        and bool(lines[0])
        and bool(lines[-1])
        and not lines[0].startswith(" ")
        and not any(line.endswith(" ") for line in lines)
    )


def _fold(text: str, width: int) -> list[str] | None:
    # Only a single space between two words may become a line break.
    words = text.split(" ")
    if not all(words):
        return None
    lines, line = [], words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}"
    return [*lines, line]


def _scalar(text: str, *, flow: bool) -> str:
    if SURROGATE.search(text):
        raise WorkflowError(
            f"the text {quoted(text)} holds half of a surrogate pair, which no file can", hint="replace the character"
        )
    return text if _plain(text, flow=flow) else escaped(text)


def _plain(text: str, *, flow: bool) -> bool:
    return (
        bool(text)
        and (text[0].isalpha() or text[0] in "($")
        and not text.endswith(" ")
        and text.lower() not in _MANGLED
        and not UNSHOWABLE.search(text)
        and not (_FLOW_BREAKS if flow else _BLOCK_BREAKS).search(text)
    )


def _value(key: str, value: Json, indent: int) -> list[str]:
    pad = " " * indent
    flow = _flow(value, 0)
    line = f"{pad}{key}: {flow}"
    if len(line) <= _WIDTH or not _splits(value):
        return [line]
    return [f"{pad}{key}:", *_block(value, indent + 2)]


def _splits(value: Json) -> bool:
    return bool(value) and isinstance(value, Mapping | list | tuple)


def _block(value: Json, indent: int) -> list[str]:
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            scalar = _scalar(key, flow=True)
            if len(scalar) > _LONGEST_KEY:
                # A key of over 1,024 characters is only read in the explicit form.
                lines += [f"{pad}? {scalar}", f"{pad}: {_flow(item, 0)}"]
            elif isinstance(item, str):
                lines += _text(scalar, item, indent)
            else:
                lines += _value(scalar, item, indent)
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, str) or not _splits(item) or len(_flow(item, 0)) + indent + 2 <= _WIDTH:
                lines.append(f"{pad}- {_flow(item, 0)}")
            else:
                inner = _block(item, indent + 2)
                lines += [f"{pad}- {inner[0].lstrip(' ')}", *inner[1:]]
    return lines


def _flow(value: Json, depth: int) -> str:
    # Two levels are the workflow's own list and step.
    if depth > MAX_DEPTH - 4:
        raise WorkflowError(f"a value is nested deeper than {MAX_DEPTH} levels", hint="make it flatter")
    if isinstance(value, str):
        return _scalar(value, flow=True)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_entry(key, item, depth) for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item, depth + 1) for item in value) + "]"
    raise WorkflowError(
        f"a value of type {type(value).__name__} is not JSON", hint="use texts, numbers, lists, mappings"
    )


def _entry(key: object, item: Json, depth: int) -> str:
    if not isinstance(key, str):
        raise WorkflowError(f"a key of type {type(key).__name__} is not JSON", hint="make it a text")
    scalar = _scalar(key, flow=True)
    mark = "? " if len(scalar) > _LONGEST_KEY else ""
    return f"{mark}{scalar}: {_flow(item, depth + 1)}"


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise WorkflowError(f"{value} is no JSON number", hint="use a finite number")
    return repr(value)
