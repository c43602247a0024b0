"""Nodes to a `Workflow`: which keys exist, which are required, what type each value has.

Faults that leave a well-typed workflow (a missing target, a process without `next`) belong to lint.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn, cast

from autoflow.core.json import Json
from autoflow.core.workflow import DEFAULT_OPERATOR, FORMAT_VERSION, STEP_TYPES, Step, StepType, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.names import listing, nearest, quoted, suggestion
from autoflow.language.nodes import MAX_DEPTH, UNREADABLE, Node

Place = tuple[int | None, str | None, str | int | None]
"""Step index, key, and the label or list index under the key; `None` where it does not apply."""

WORKFLOW_KEYS = ("autoflow", "name", "description", "inputs", "steps")
STEP_KEYS = (
    "name",
    "type",
    "instruction",
    "operator",
    "parameters",
    "next",
    "branches",
    "max_visits",
    "otherwise",
    "reads",
    "for_each",
    "output",
    "model",
    "timeout_s",
)

_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 100
_MOST_FAULTS = 20


def read(root: Node, file: str | None) -> tuple[Workflow, dict[Place, tuple[int, int]]]:
    """The workflow, and where each step, key, label and list item stands.

    Raises:
        WorkflowError: With the place of the first fault; its `others` are the first of each further step.
    """
    reader = _Reader(file)
    return reader.workflow(root), reader.marks


def from_json(value: Json) -> Node:
    """The nodes that the value would be as YAML, without places: what a model wrote as JSON is read like a file.

    Raises:
        WorkflowError: If it is nested deeper than a file may be, or no JSON.
    """
    return _node(value, MAX_DEPTH)


def _node(value: Json, depth: int) -> Node:
    if depth < 0:
        raise WorkflowError(f"nested deeper than {MAX_DEPTH} levels", rule=UNREADABLE, hint="a workflow is flat")
    if isinstance(value, str):
        return Node("text", None, None, value)
    if value is None:
        return Node("text", None, None, "null", plain=True)
    if isinstance(value, bool):
        return Node("text", None, None, "true" if value else "false", plain=True)
    if isinstance(value, int | float):
        return Node("text", None, None, repr(value), plain=True)
    if isinstance(value, Mapping):
        entries = [(_node(str(key), depth), _node(item, depth - 1)) for key, item in value.items()]
        return Node("mapping", None, None, entries=entries)
    if isinstance(value, list | tuple):
        return Node("list", None, None, items=[_node(item, depth - 1) for item in value])
    raise WorkflowError(f"a {type(value).__name__} is no JSON value", rule=UNREADABLE, hint="use texts, numbers, lists")


class _Reader:
    def __init__(self, file: str | None) -> None:
        self._file = file
        self.marks: dict[Place, tuple[int, int]] = {}

    def _fault(self, message: str, node: Node, hint: str | None = None) -> NoReturn:
        raise WorkflowError(message, file=self._file, line=node.line, column=node.column, rule=UNREADABLE, hint=hint)

    def _mark(self, node: Node, step: int | None, key: str | None = None, item: str | int | None = None) -> None:
        if node.line is not None and node.column is not None:
            self.marks[(step, key, item)] = (node.line, node.column)

    def workflow(self, root: Node) -> Workflow:
        self._mark(root, None)
        if root.kind != "mapping":
            self._fault(
                f"a workflow is a mapping, not a {root.kind}",
                root,
                f"write `autoflow: {FORMAT_VERSION}`, `name: ...` and put the steps under `steps:`",
            )
        values = self._keys(root, WORKFLOW_KEYS, None, "a workflow")
        self._version(root, values.get("autoflow"))
        name = self._required(root, values, "name", "the workflow", "add `name: ...`")
        steps = values.get("steps")
        if steps is None or steps.null:
            self._fault("the workflow has no `steps`", steps or root, "add `steps:` and under it a list of steps")
        if steps.kind != "list":
            self._fault(f"`steps` is a list, not a {steps.kind}", steps, "begin each step with `- name: ...`")
        if not steps.items:
            self._fault("`steps` is empty", steps, "add at least one step; the first is the entry")
        return Workflow(
            name=name,
            steps=self._steps(steps.items),
            description=self._optional(values, "description") or "",
            inputs=self._names(values.get("inputs"), None, "inputs"),
        )

    def _version(self, root: Node, node: Node | None) -> None:
        if node is None:
            self._fault(
                "the key `autoflow`, the format version, is missing",
                root,
                f"begin the file with `autoflow: {FORMAT_VERSION}`",
            )
        if node.kind != "text" or node.text != str(FORMAT_VERSION):
            found = quoted(node.text) if node.kind == "text" else f"a {node.kind}"
            self._fault(
                f"this version of autoflow reads format {FORMAT_VERSION}, not {found}",
                node,
                f"write `autoflow: {FORMAT_VERSION}`, or upgrade: pip install -U autoflow",
            )

    def _keys(self, node: Node, allowed: tuple[str, ...], step: int | None, what: str) -> dict[str, Node]:
        values = {}
        for key, value in node.entries:
            if key.text not in allowed:
                # Not a spelling: what the key is about tells which one is missing.
                near = nearest(key.text, allowed)
                start = f"did you mean `{near}`? " if near else ""
                self._fault(f"{what} has no key {quoted(key.text)}", key, f"{start}keys are: {', '.join(allowed)}")
            self._mark(key, step, key.text)
            values[key.text] = value
        return values

    def _steps(self, nodes: Sequence[Node]) -> tuple[Step, ...]:
        # A person mends a file at one go where each step says what is wrong with it.
        found: list[Step] = []
        faults: list[WorkflowError] = []
        for index, node in enumerate(nodes):
            try:
                found.append(self._step(index, node))
            except WorkflowError as fault:
                faults.append(fault)
            if len(faults) > _MOST_FAULTS:
                break
        if faults:
            faults[0].others = tuple(faults[1:])
            raise faults[0]
        return tuple(found)

    def _step(self, index: int, node: Node) -> Step:
        self._mark(node, index)
        if node.kind != "mapping":
            self._fault(f"a step is a mapping, not a {node.kind}", node, "write `- name: ...`, `type: ...` and so on")
        values = self._keys(node, STEP_KEYS, index, "a step")
        name = self._required(node, values, "name", f"step {index + 1}", "add `name: ...`")
        return Step(
            name=name,
            type=self._type(node, values, name),
            instruction=self._optional(values, "instruction") or "",
            operator=self._operator(values),
            parameters=self._object(values.get("parameters"), "parameters") or {},
            next=self._optional(values, "next"),
            branches=self._branches(values.get("branches"), index),
            max_visits=self._count(values.get("max_visits")),
            otherwise=self._optional(values, "otherwise"),
            reads=self._names(values.get("reads"), index, "reads"),
            for_each=self._optional(values, "for_each"),
            output=self._object(values.get("output"), "output"),
            model=self._optional(values, "model"),
            timeout_s=self._seconds(values.get("timeout_s")),
        )

    def _type(self, node: Node, values: Mapping[str, Node], name: str) -> StepType:
        text = self._required(node, values, "type", f"step {quoted(name)}", f"add `type: {' | '.join(STEP_TYPES)}`")
        if text not in STEP_TYPES:
            self._fault(
                f"step {quoted(name)} has the unknown type {quoted(text)}",
                values["type"],
                suggestion(text, STEP_TYPES, "types"),
            )
        return text

    def _operator(self, values: Mapping[str, Node]) -> str:
        text = self._optional(values, "operator")
        if text is None:
            return DEFAULT_OPERATOR
        return text

    def _text(self, node: Node, key: str) -> str:
        if node.kind != "text":
            self._fault(f"`{key}` is a text, not a {node.kind}", node, "quote a text that begins with a bracket")
        return node.text

    def _required(self, parent: Node, values: Mapping[str, Node], key: str, what: str, hint: str) -> str:
        node = values.get(key)
        if node is None or node.null:
            place = node or parent
            quote = f'; if it is the word itself, quote it: "{node.text}"' if node is not None and node.text else ""
            self._fault(f"{what} has no `{key}`", place, hint + quote)
        return self._text(node, key)

    def _optional(self, values: Mapping[str, Node], key: str) -> str | None:
        node = values.get(key)
        # A key with nothing after it says nothing, as in JSON `null`.
        return None if node is None or node.null else self._text(node, key)

    def _branches(self, node: Node | None, step: int) -> dict[str, str]:
        if node is None or node.null:
            return {}
        if node.kind != "mapping":
            self._fault(
                f"`branches` is a mapping from label to step, not a {node.kind}",
                node,
                'write `branches: {"yes": one step, "no": another}`',
            )
        branches = {}
        for label, target in node.entries:
            self._mark(label, step, "branches", label.text)
            if target.null:
                self._fault(f"the branch {quoted(label.text)} leads nowhere", target, "name the step that follows")
            branches[label.text] = self._text(target, f"branches.{quoted(label.text)[1:-1]}")
        return branches

    def _names(self, node: Node | None, step: int | None, key: str) -> tuple[str, ...] | None:
        if node is None or node.null:
            return None
        if node.kind != "list":
            self._fault(f"`{key}` is a list of names, not a {node.kind}", node, f"write `{key}: [one, another]`")
        names = []
        for index, item in enumerate(node.items):
            self._mark(item, step, key, index)
            if item.null:
                self._fault(f"an item of `{key}` is empty", item, 'quote the word if it is the name: "null"')
            names.append(self._text(item, key))
        return tuple(names)

    def _count(self, node: Node | None) -> int | None:
        if node is None or node.null:
            return None
        if node.kind != "text" or not node.plain or not _INTEGER.fullmatch(node.text) or len(node.text) > 18:
            found = quoted(node.text) if node.kind == "text" else f"a {node.kind}"
            self._fault(f"`max_visits` is a whole number, not {found}", node, "write `max_visits: 3`, without quotes")
        return int(node.text)

    def _seconds(self, node: Node | None) -> float | None:
        if node is None or node.null:
            return None
        found = f"a {node.kind}"
        if node.kind == "text":
            found = quoted(node.text)
            if node.plain and _FLOAT.fullmatch(node.text) and len(node.text) <= _LONGEST_NUMBER:
                value = float(node.text)
                if math.isfinite(value):
                    return value
        return self._fault(
            f"`timeout_s` is a number of seconds, not {found}", node, "write `timeout_s: 30`, without quotes"
        )

    def _object(self, node: Node | None, key: str) -> dict[str, Json] | None:
        if node is None or node.null:
            return None
        if node.kind != "mapping":
            self._fault(f"`{key}` is a mapping, not a {node.kind}", node, f"write `{key}: {{name: value}}`")
        return cast("dict[str, Json]", self._json(node))

    def _json(self, node: Node) -> Json:
        # Recursion is safe: the tree is at most MAX_DEPTH deep.
        if node.kind == "mapping":
            return {key.text: self._json(value) for key, value in node.entries}
        if node.kind == "list":
            return [self._json(item) for item in node.items]
        return self._scalar(node)

    def _scalar(self, node: Node) -> Json:
        """YAML 1.2's core schema: `yes`, `no`, `on` and `1_000` are texts."""
        text = node.text
        if not node.plain:
            return text
        if node.null:
            return None
        if text in {"true", "True", "TRUE"}:
            return True
        if text in {"false", "False", "FALSE"}:
            return False
        integer, based = _INTEGER.fullmatch(text), _BASED.fullmatch(text)
        if integer or based or _FLOAT.fullmatch(text):
            if len(text) > _LONGEST_NUMBER:
                self._fault("a number is too long", node, "quote it if it is a text")
            if integer:
                return int(text)
            if based:
                return int(text, 0)
            value = float(text)
            if not math.isfinite(value):
                self._fault(f"the number {listing([text])} is too large", node, "quote it if it is a text")
            return value
        if _NOT_FINITE.fullmatch(text):
            self._fault(f"{text} is no JSON number", node, "quote it if it is a text")
        return text
