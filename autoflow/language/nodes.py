"""YAML text to a tree of marked nodes. Nothing is constructed, and every limit is checked on the way.

The tree is built from parser events with an explicit stack, so no input can exhaust the interpreter's.
Aliases are allowed as long as the text that they stand for stays within the same limits: a file that
shares a schema is plain, one that doubles ten times is an attack.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn

import yaml

from autoflow.errors import WorkflowError
from autoflow.language.names import quoted

MAX_BYTES = 1 << 20
"""Largest file, in bytes of UTF-8."""

MAX_DEPTH = 50
"""Deepest nesting of lists and mappings."""

MAX_NODES = 10_000
"""Most values in one file, aliases counted as what they stand for."""

UNREADABLE = "AF001"
"""Id of the rule that a text which cannot be read breaks; the only one that lint itself never finds."""

# YAML's own set of characters (1.2, section 5.1), less the byte-order mark, which only opens a stream.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff\ufffe\uffff]")

_COMMENT = re.compile(r"(?:^|[ \t])(#.*)$", re.MULTILINE)

SURROGATE = re.compile("[\ud800-\udfff]")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_HINTS = (
    ("cannot start any token", "indent with spaces, not tabs; quote a text that begins with `@`, `%` or a backtick"),
    ("mapping values are not allowed", "a text that holds `: ` must be quoted"),
    ("could not find expected ':'", "a key is followed by `: `; a text of several lines needs `|` or quotes"),
    ("expected <block end>", "check the indentation of this line and of the one before"),
    ("did not find expected", "check indentation, brackets and quotes here and on the line before"),
    ("unexpected end of stream", "a quote or a bracket is not closed"),
    ("undefined alias", "a text that begins with `*` must be quoted"),
)


@dataclass(slots=True)
class Node:
    """One value. `line` and `column` count from 1; `None` where it came from no text."""

    kind: Literal["text", "list", "mapping"]
    line: int | None
    column: int | None
    text: str = ""
    plain: bool = False
    """A text without quotes: `null`, `true` and numbers may be meant as such."""

    items: "list[Node]" = field(default_factory=list)
    entries: "list[tuple[Node, Node]]" = field(default_factory=list)
    count: int = 1
    """Values in it, itself included, aliases expanded."""

    characters: int = 0
    height: int = 1

    @property
    def null(self) -> bool:
        """Written as nothing, `~` or `null`."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


@dataclass(slots=True)
class _Frame:
    node: Node
    anchor: str | None
    key: Node | None = None
    keys: dict[str, int | None] = field(default_factory=dict)


def decode(text: str | bytes, file: str | None) -> str:
    """The text of a file, without its byte-order mark.

    Raises:
        WorkflowError: If it is too large, not UTF-8, or holds characters that no text file holds.
    """
    if isinstance(text, bytes):
        _check_size(len(text), file)
        text = _decode_bytes(text, file)
    else:
        _check_size(len(text), file)
        _check_size(len(text.encode("utf-8", "surrogatepass")), file)
    text = text.removeprefix("\ufeff")
    found = _FORBIDDEN.search(text)
    if found:
        line, column = _position(text, found.start())
        raise WorkflowError(
            f"the character U+{ord(found[0]):04X} is not allowed in a file",
            file=file,
            line=line,
            column=column,
            rule=UNREADABLE,
            hint="delete it; in a double-quoted text it can be written as an escape",
        )
    return text


def _check_size(size: int, file: str | None) -> None:
    if size > MAX_BYTES:
        raise WorkflowError(
            f"the text is larger than {MAX_BYTES // (1 << 20)} MiB, the most that is read",
            file=file,
            line=1,
            column=1,
            rule=UNREADABLE,
            hint="long documents belong in the task's context, not in the workflow",
        )


def _decode_bytes(data: bytes, file: str | None) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = _position(before, len(before))
        raise WorkflowError(
            f"the byte 0x{data[error.start]:02X} is not UTF-8",
            file=file,
            line=line,
            column=column,
            rule=UNREADABLE,
            hint="save the file as UTF-8",
        ) from error


def _position(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def scalar_lines(text: str) -> set[int]:
    """Lines, counted from 0, that continue a text of several lines. `text` is valid YAML."""
    found: set[int] = set()
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.ScalarEvent) and event.start_mark and event.end_mark:
            found.update(range(event.start_mark.line + 1, event.end_mark.line + (event.end_mark.column > 0)))
    return found


def comments(text: str) -> list[str]:
    """The comments, in order, each from its `#` on. `text` is valid YAML; a `#` inside a value is none."""
    parts, position = [], 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.ScalarEvent) and event.start_mark and event.end_mark:
            start, end = event.start_mark.index, event.end_mark.index
            if event.style in {"|", ">"}:
                # The header's own line may end in a comment.
                start = text.find("\n", start, end) if "\n" in text[start:end] else end
            parts += [text[position:start], "\n" if event.style in {"|", ">"} else "x"]
            position = end
    parts.append(text[position:])
    return [match.strip() for match in _COMMENT.findall("".join(parts))]


def compose(text: str, file: str | None) -> Node:
    """The one document of a decoded YAML text.

    Raises:
        WorkflowError: For anything that is not one plain YAML document within the limits.
    """
    return _Composer(file).compose(text)


class _Composer:
    def __init__(self, file: str | None) -> None:
        self._file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self._characters = 0
        self._root: Node | None = None

    def compose(self, text: str) -> Node:
        for event in self._events(text):
            self._take(event)
        if self._root is None or self._root.null:
            self._fault("the file is empty", 1, 1, "begin it with `autoflow: 1`, `name:` and `steps:`")
        return self._root

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = error.problem or error.context or "not YAML"
            hint = next((hint for part, hint in _HINTS if part in problem), "check the YAML syntax here")
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self._fault(f"not YAML: {quoted(problem, 200)[1:-1]}", line, column, hint)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The pure-Python scanner lets `\UFFFFFFFF` and a version of 5,000 digits fail as plain ValueErrors.
            self._fault(f"not YAML: {quoted(str(error), 200)[1:-1]}", 1, 1, "check escapes and directives")

    def _take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
            self._fault("a second document begins here", line, column, "one file holds one workflow: drop `---`")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", line, column)
        elif isinstance(event, yaml.NodeEvent):
            tag = getattr(event, "tag", None)
            if tag is not None:
                self._fault(
                    f"the tag {quoted(str(tag))[1:-1]} is not taken",
                    line,
                    column,
                    "remove it; quote a text that begins with `!`",
                )
            if isinstance(event, yaml.ScalarEvent):
                value = event.value
                # libyaml refuses these escapes itself; the pure-Python scanner lets them through.
                if not value.isascii() and SURROGATE.search(value):
                    self._fault("half of a surrogate pair", line, column, "write the character itself")
                node = Node("text", line, column, value, plain=not event.style, characters=len(value))
                self._spend(1, len(value), line, column)
                self._complete(node, event.anchor)
            else:
                if len(self._stack) >= MAX_DEPTH:
                    self._too_deep(line, column)
                self._spend(1, 0, line, column)
                kind: Literal["list", "mapping"] = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
                if self._stack and self._stack[-1].node.kind == "mapping" and self._stack[-1].key is None:
                    self._fault(
                        f"a key must be a text, not a {kind}", line, column, "quote a key that begins with a bracket"
                    )
                self._stack.append(_Frame(Node(kind, line, column), event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._stack.pop()
            self._complete(frame.node, frame.anchor)

    def _alias(self, anchor: str, line: int, column: int) -> None:
        node = self._anchors.get(anchor)
        if node is None:
            self._fault(
                f"the alias *{quoted(anchor)[1:-1]} stands for nothing that is complete before it",
                line,
                column,
                "a text that begins with `*` must be quoted",
            )
        if len(self._stack) + node.height - 1 > MAX_DEPTH:
            self._too_deep(line, column)
        self._spend(node.count, node.characters, line, column)
        self._complete(replace(node, line=line, column=column), None)

    def _complete(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        parent = frame.node
        parent.count += node.count
        parent.characters += node.characters
        parent.height = max(parent.height, node.height + 1)
        if parent.kind == "list":
            parent.items.append(node)
        elif frame.key is None:
            self._key(frame, node)
        else:
            parent.entries.append((frame.key, node))
            frame.key = None

    def _key(self, frame: _Frame, node: Node) -> None:
        if node.kind != "text":
            self._fault(f"a key must be a text, not a {node.kind}", node.line, node.column, "write the key out")
        if node.plain and node.text == "<<":
            self._fault(
                "merge keys are not taken", node.line, node.column, "write the keys out; quote a label that is `<<`"
            )
        if node.text in frame.keys:
            self._fault(
                f"the key {quoted(node.text)} stands twice in one mapping, first on line {frame.keys[node.text]}",
                node.line,
                node.column,
                "keep one of the two",
            )
        frame.keys[node.text] = node.line
        frame.key = node

    def _spend(self, count: int, characters: int, line: int, column: int) -> None:
        self._count += count
        self._characters += characters
        if self._count > MAX_NODES:
            self._fault(f"more than {MAX_NODES:,} values, aliases expanded", line, column, "split the workflow")
        if self._characters > MAX_BYTES:
            self._fault(f"more than {MAX_BYTES:,} characters, aliases expanded", line, column, "drop the aliases")

    def _too_deep(self, line: int, column: int) -> NoReturn:
        self._fault(f"nested deeper than {MAX_DEPTH} levels", line, column, "check the brackets; a workflow is flat")

    def _fault(self, message: str, line: int | None, column: int | None, hint: str) -> NoReturn:
        raise WorkflowError(message, file=self._file, line=line, column=column, rule=UNREADABLE, hint=hint)
