"""`bench --baseline`, on a small benchmark of the tests' own with a scripted model."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai_server import serve

from autoflow.cli.main import main

BENCHMARK = """\
name: colours
description: Name the colour of a thing.
data: {jsonl: tasks.jsonl, fields: {text: text, reference: {answer: answer}}}
scorer: exact
baseline: hand.yaml
baselines: {terse: terse.yaml}
"""

ONE = "autoflow: 1\nname: %s\nsteps:\n  - {name: answer, type: terminal, instruction: %s}\n"

INTERPRETER = """\
- when: one word
  replies: [blue]
- when: last line
  replies: [a, b, c]
- when: ""
  replies: [mauve]
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(ONE % ("hand-written", "Name the colour."))
    (place / "terse.yaml").write_text(ONE % ("terse", "Name the colour in one word."))
    lines = [json.dumps({"text": f"The sky on day {day}?", "answer": "blue"}) for day in range(8)]
    (place / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "mine.yaml").write_text(ONE % ("mine", "Say one word."))
    (tmp_path / "interpreter.yaml").write_text(INTERPRETER)
    monkeypatch.chdir(tmp_path)


BENCH = ["bench", "./colours", "--interpreter", "scripted/interpreter.yaml"]


def test_a_row_each_with_the_comparison_against_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--workflow", "mine.yaml", "--baseline", "io", "--baseline", "terse", "--baseline", "cot-sc:equal"]
    assert main([*BENCH, *named]) == 0
    shown = capsys.readouterr()
    assert "mine      1.000  0.676 to 1.000  8" in shown.out
    assert "  io: worse by 1.00" in shown.out
    assert "  terse: no difference that 8 tasks can show: +0.00" in shown.out
    assert "cot-sc:equal is N = 1: mine took 1.00 calls a task" in shown.out
    assert shown.err.count("run folder: ") == 4
    assert main([*BENCH, *named, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.bench/1"
    assert [row["label"] for row in document["rows"]] == ["mine", "io", "terse", "cot-sc:1"]
    assert len(document["reports"]) == 4


def test_baselines_alone_need_no_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--baseline", "manual", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"][0]["config"]["workflow"]["name"] == "hand-written"


def test_a_threshold_is_for_what_is_under_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--workflow", "mine.yaml", "--baseline", "io", "--threshold", "0.9"]) == 0
    assert main([*BENCH, "--baseline", "io", "--threshold", "0.9"]) == 3
    assert "of io is 0.000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("luck", "unknown baseline of colours 'luck'; there are: cot, cot-sc, io, manual, terse"),
        ("cot-sc:equal", "none stands before it"),
        ("io:4", "draws no samples"),
    ],
)
def test_misuse_says_what_there_is(asked: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--baseline", asked]) == 2
    assert complaint in capsys.readouterr().err


JUDGED = """\
scorer:
  llm-judge:
    model: openai/m
    rubric: The answer is a colour.
    grades: {"no": 0, "yes": 1}
"""


def _judging(body: dict[str, Any]) -> str:
    return '{"reason": "so", "grade": "yes"}' if "response_format" in body else "blue"


def test_a_judge_that_is_the_interpreter_too_outlives_the_first_run(capsys: pytest.CaptureFixture[str]) -> None:
    definition = Path("colours/benchmark.yaml")
    definition.write_text(definition.read_text().replace("scorer: exact\n", JUDGED))
    with serve(replies=[_judging]) as server:
        asked = ["bench", "./colours", "--interpreter", "openai/m", "--base-url", server.url, "--max-retries", "0"]
        assert main([*asked, "--baseline", "io", "--baseline", "terse", "--json"]) == 0, capsys.readouterr().err
    assert [report["mean"] for report in json.loads(capsys.readouterr().out)["reports"]] == [1.0, 1.0]
