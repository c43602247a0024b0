"""Findings as text for people, JSON for programs, SARIF 2.1.0 for code-scanning services."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from autoflow.core.json import Json
from autoflow.language.findings import RULES, Finding

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def to_text(findings: Sequence[Finding], file: str | None = None) -> str:
    """A line for each finding, `file:line:column: severity id: message`, its hint indented below; empty for none."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.place(file)}: {finding.severity} {finding.rule}: {finding.message}")
        if finding.hint:
            lines.append(f"  {finding.hint}")
    return "".join(f"{line}\n" for line in lines)


def to_json(findings: Sequence[Finding], file: str | None = None) -> list[Json]:
    """An object for each finding, with every field; what is unknown is null."""
    return [
        {
            "file": file,
            "line": finding.line,
            "column": finding.column,
            "severity": finding.severity,
            "rule": finding.rule,
            "message": finding.message,
            "step": finding.step,
            "hint": finding.hint,
            "fixable": bool(finding.fix),
        }
        for finding in findings
    ]


def to_sarif(findings_by_file: Mapping[str, Sequence[Finding]]) -> dict[str, Json]:
    """One SARIF run over the files; the rules that were broken are described in it."""
    used = sorted({finding.rule for findings in findings_by_file.values() for finding in findings})
    rules: list[Json] = [
        {
            "id": name,
            "shortDescription": {"text": RULES[name].title},
            "fullDescription": {"text": RULES[name].why},
            "defaultConfiguration": {"level": RULES[name].severity},
        }
        for name in used
    ]
    results = [
        _result(finding, file, used.index(finding.rule))
        for file, findings in findings_by_file.items()
        for finding in findings
    ]
    return {
        "$schema": _SARIF,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "autoflow", "rules": rules}}, "results": results}],
    }


def _result(finding: Finding, file: str, index: int) -> Json:
    path = PurePath(file)
    location: dict[str, Json] = {
        "artifactLocation": {"uri": path.as_uri() if path.is_absolute() else _relative_uri(path)}
    }
    if finding.line is not None:
        location["region"] = {"startLine": finding.line, "startColumn": finding.column or 1}
    text = finding.message if finding.hint is None else f"{finding.message}\n{finding.hint}"
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }


def _relative_uri(path: PurePath) -> str:
    from urllib.parse import quote

    return quote(path.as_posix())
