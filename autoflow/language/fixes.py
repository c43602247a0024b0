"""Mends what lint finds where there is no doubt of what was meant; the rest of the file, comments too, stays."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoflow.core.operator import Card
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.findings import Edit, Finding
from autoflow.language.format import format_text, round_trip
from autoflow.language.lint import lint

_PLAIN = re.compile(r"(?!(?i:true|false|null|yes|no|on|off)$)[A-Za-z][A-Za-z0-9_ -]*[A-Za-z0-9]")

_ROUNDS = 10
# A mended fault can uncover another (a target that exists now closes a loop); each is mended in a round of its own.


@dataclass(frozen=True, slots=True)
class Fixed:
    """What came of mending a file."""

    text: str
    """In the usual layout where anything was mended, else as it was."""

    mended: tuple[Finding, ...]


def fix(text: str | bytes, cards: Mapping[str, Card] | None = None, file: str | None = None) -> Fixed:
    """The text with every finding mended that has a fix. A fix that would bring more errors than it mends is left out.

    Raises:
        WorkflowError: If the text is no workflow, or cannot be laid out without losing a comment.
    """
    document = parse(text, file)
    mended: list[Finding] = []
    refused: set[tuple[Edit, ...]] = set()
    for _ in range(_ROUNDS):
        findings = lint(document, cards)
        # Warnings wait for the errors: what a wrong target was to lead to is not known, nor which bounds are idle.
        sound = _errors(findings) == 0
        todo = [item for item in findings if item.fix not in refused and (sound or item.severity == "error")]
        todo = [item for item in todo if item.fix]
        if not todo:
            break
        for finding in todo:
            before = lint(document, cards)
            if finding.fix not in {item.fix for item in before}:
                continue
            after = parse(_edited(document.text, finding.fix, file), file)
            if _errors(lint(after, cards)) > _errors(before):
                refused.add(finding.fix)
                continue
            document = after
            mended.append(finding)
    return Fixed(document.text, tuple(mended))


def _errors(findings: Sequence[Finding]) -> int:
    return sum(finding.severity == "error" for finding in findings)


def _edited(text: str, edits: Sequence[Edit], file: str | None) -> str:
    yaml = round_trip()
    try:
        tree = yaml.load(format_text(text, file))
        for edit in edits:
            _edit(tree["steps"][edit.step], edit)
        stream = io.StringIO()
        yaml.dump(tree, stream)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise WorkflowError(
            "the file cannot be mended: its layout is too unusual",
            file=file,
            hint="mend it by hand, or `autoflow fmt` it",
        ) from error
    return format_text(stream.getvalue(), file)


def _edit(step: Any, edit: Edit) -> None:
    if edit.value is None:
        del step[edit.key]
    elif edit.item is not None:
        step[edit.key][edit.item] = _scalar(edit.value, step[edit.key][edit.item])
    else:
        step[edit.key] = _scalar(edit.value, step.get(edit.key))


def _scalar(value: str | int, before: Any) -> Any:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, PlainScalarString, ScalarString

    if isinstance(value, int):
        return PlainScalarString(str(value))
    if isinstance(before, ScalarString):
        # Block texts and quotes stay what they were.
        return type(before)(value)
    return value if _PLAIN.fullmatch(value) else DoubleQuotedScalarString(value)
