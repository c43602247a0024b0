"""Findings as text, JSON and SARIF."""

import json

from autoflow.language.document import parse
from autoflow.language.findings import Finding
from autoflow.language.lint import lint
from autoflow.language.report import to_json, to_sarif, to_text

BROKEN = (
    "autoflow: 1\nname: w\nsteps:\n- {name: a, type: process, instruction: Go., next: b}\n- {name: c, type: terminal}\n"
)


def findings() -> list[Finding]:
    return lint(parse(BROKEN))


def test_text_has_a_line_and_a_hint_for_each_finding() -> None:
    text = to_text(findings(), "w.yaml")
    assert 'w.yaml:4:46: error AF201: step "a" leads to "b", which does not exist\n  steps are: a, c\n' in text
    assert to_text([]) == ""


def test_text_without_place_or_hint_says_what_is_known() -> None:
    assert to_text([Finding("AF101", "error", "none")]) == "<text>: error AF101: none\n"


def test_json_has_every_field() -> None:
    rows = to_json(findings(), "w.yaml")
    assert json.loads(json.dumps(rows)) == rows
    assert {"file", "line", "column", "severity", "rule", "message", "step", "hint", "fixable"} == set(rows[0])  # type: ignore[arg-type]
    assert to_json([]) == []


def test_sarif_names_rules_files_and_places() -> None:
    sarif = to_sarif({"a b/w.yaml": findings(), "clean.yaml": [], "/tmp/x.yaml": [Finding("AF101", "error", "none")]})
    assert sarif["version"] == "2.1.0"
    run = json.loads(json.dumps(sarif))["runs"][0]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert ids == sorted({"AF101", *(finding.rule for finding in findings())})
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b/w.yaml"
    assert place["region"]["startLine"] >= 4
    last = run["results"][-1]["locations"][0]["physicalLocation"]
    assert last == {"artifactLocation": {"uri": "file:///tmp/x.yaml"}}
