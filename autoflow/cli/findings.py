"""Prints lint findings as text, JSON, SARIF or GitHub annotations."""

import json
from collections.abc import Mapping, Sequence

from autoflow.cli.output import emit, say
from autoflow.language import report
from autoflow.language.findings import Finding


def write(form: str, found: Mapping[str, Sequence[Finding]]) -> None:
    """Print the findings of each file on stdout in the form named; a text summary goes to stderr."""
    everything = [finding for findings in found.values() for finding in findings]
    if form == "json":
        records = [record for file, findings in found.items() for record in report.to_json(findings, file)]
        emit("lint", {"files": list(found), "findings": records})
    elif form == "sarif":
        print(json.dumps(report.to_sarif(found), ensure_ascii=False, indent=2))
    elif form == "github":
        for file, findings in found.items():
            for finding in findings:
                print(_annotation(file, finding))
    else:
        for file, findings in found.items():
            print(report.to_text(findings, file), end="")
        errors = sum(finding.severity == "error" for finding in everything)
        say(f"files {len(found)}, errors {errors}, warnings {len(everything) - errors}")
        fixable = sum(bool(finding.fix) for finding in everything)
        if fixable:
            say(f"--fix mends {fixable} of them")


def _annotation(file: str, finding: Finding) -> str:
    properties = {"file": file, "line": finding.line, "col": finding.column, "title": finding.rule}
    listing = ",".join(f"{key}={_escape(str(value), True)}" for key, value in properties.items() if value is not None)
    text = finding.message if finding.hint is None else f"{finding.message}\n{finding.hint}"
    return f"::{finding.severity} {listing}::{_escape(text, False)}"


def _escape(text: str, is_property: bool) -> str:
    # A workflow's text must not be able to write commands of the runner.
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
