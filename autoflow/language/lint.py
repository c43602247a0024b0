"""Proves a workflow sound before any model is called: names, targets, loops, what steps read, operator types.

Rules stand in `rules_*.py`; ids are AF0xx unreadable, AF1xx structure, AF2xx flow, AF3xx data, AF4xx operators,
AF5xx CoRE text. `RULES` has them all.
"""

from collections.abc import Mapping

from autoflow.core.operator import Card
from autoflow.core.workflow import Workflow
from autoflow.errors import WorkflowError
from autoflow.language import core_rules, rules_data, rules_flow, rules_operators, rules_structure  # noqa: F401
from autoflow.language.document import Document
from autoflow.language.findings import CHECKS, RULES, Fault, Finding, Rule, Severity, unreadable
from autoflow.language.flow import Program

__all__ = ["RULES", "Finding", "Rule", "Severity", "check", "lint", "unreadable"]


def lint(document: Document | Workflow, cards: Mapping[str, Card] | None = None) -> list[Finding]:
    """Everything that is wrong, in the order of the text, errors and warnings mixed.

    Args:
        document: With a `Document` findings have places.
        cards: The operators in reach, by name; `None` leaves out the rules on operators (AF4xx).
    """
    workflow = document.workflow if isinstance(document, Document) else document
    source = document if isinstance(document, Document) else None
    program = Program(workflow, cards)
    found = []
    for number, (name, check_rule) in enumerate(CHECKS.items()):
        for fault in check_rule(program):
            place = None if source is None else source.place(fault.step, fault.key, fault.item)
            order = (place or (fault.step if fault.step is not None else -1, 0), number)
            found.append((order, _finding(RULES[name], fault, workflow, place)))
    found.sort(key=lambda pair: pair[0])
    return [finding for _, finding in found]


def _finding(rule: Rule, fault: Fault, workflow: Workflow, place: tuple[int, int] | None) -> Finding:
    line, column = place or (None, None)
    step = None if fault.step is None else workflow.steps[fault.step].name
    return Finding(rule.id, rule.severity, fault.message, line, column, step, fault.hint, fault.fix)


def check(document: Document | Workflow, cards: Mapping[str, Card] | None = None) -> Workflow:
    """The workflow, if lint has no error against it; warnings pass.

    Raises:
        WorkflowError: With the first error; its hint counts and names the others.
    """
    errors = [finding for finding in lint(document, cards) if finding.severity == "error"]
    if not errors:
        return document.workflow if isinstance(document, Document) else document
    first, others = errors[0], errors[1:]
    hint = first.hint
    if others:
        shown = [
            f"{finding.rule}{'' if finding.line is None else f' on line {finding.line}'}: {finding.message}"
            for finding in others[:10]
        ]
        if len(others) > 10:
            shown.append(f"and {len(others) - 10} more")
        hint = "\n  ".join([*([hint] if hint else []), "also:", *shown])
    raise WorkflowError(
        first.message,
        file=document.file if isinstance(document, Document) else None,
        line=first.line,
        column=first.column,
        rule=first.rule,
        hint=hint,
    )
