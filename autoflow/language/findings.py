"""What lint finds, and the registry of its rules.

A rule is a generator function with the decorator `rule`; its module is imported by `autoflow.language.lint`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from autoflow.errors import WorkflowError
from autoflow.language.flow import Program
from autoflow.language.nodes import UNREADABLE

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that lint proves. The id never changes its meaning."""

    id: str
    severity: Severity
    """`error`: the workflow is refused; `warning`: it runs, but hardly as meant."""

    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a step's text: `value` under `key` (and `item` in it); `None` takes the key out."""

    step: int
    key: str
    value: str | int | None
    item: str | int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule at its place. Lines and columns count from 1; `None` where the workflow came from no text."""

    rule: str
    severity: Severity
    message: str
    line: int | None = None
    column: int | None = None
    step: str | None = None
    hint: str | None = None
    fix: tuple[Edit, ...] = ()
    """What mends it without a doubt of what was meant; empty where a person must say."""

    def place(self, file: str | None) -> str:
        """`file:line:column`, as far as known."""
        return ":".join(str(part) for part in (file or "<text>", self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule reports: a message about a step (by index), and the key and item under it that are at fault."""

    message: str
    step: int | None = None
    key: str | None = None
    item: str | int | None = None
    hint: str | None = None
    fix: tuple[Edit, ...] = ()


Check = Callable[[Program], Iterator[Fault]]

RULES: dict[str, Rule] = {
    UNREADABLE: Rule(
        UNREADABLE,
        "error",
        "The text is a well-typed workflow",
        "Nothing else can be said of a file that cannot be read.",
    )
}
CHECKS: dict[str, Check] = {}


def declare(id: str, severity: Severity, title: str, why: str) -> None:  # noqa: A002
    """Register a rule that is checked elsewhere than in lint."""
    if id in RULES:
        raise ValueError(f"two rules have the id {id}")
    RULES[id] = Rule(id, severity, title, why)


def rule(id: str, severity: Severity, title: str, why: str) -> Callable[[Check], Check]:  # noqa: A002
    """Register the decorated check under `id`."""

    def register(check: Check) -> Check:
        declare(id, severity, title, why)
        CHECKS[id] = check
        return check

    return register


def unreadable(error: WorkflowError) -> Finding:
    """The finding for a text that `parse` refused, for reports that list files with and without faults."""
    return Finding(error.rule or UNREADABLE, "error", error.message, error.line, error.column, None, error.hint)
