"""`matrix`, on a small benchmark of the tests' own with scripted models."""

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
splits: {train: [0, 1], validation: [2-7], test: [8-15]}
scorer: exact
baseline: hand.yaml
"""

ONE = "autoflow: 1\nname: %s\nsteps:\n  - {name: answer, type: terminal, instruction: %s}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(ONE % ("hand-written", "Name the colour."))
    lines = [json.dumps({"text": f"The sky on day {day}?", "answer": "blue"}) for day in range(16)]
    (place / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "mine.yaml").write_text(ONE % ("mine", "Say one word."))
    (tmp_path / "same.yaml").write_text(ONE % ("mine", "Say a word."))
    (tmp_path / "good.yaml").write_text("- when: one word\n  replies: [blue]\n- replies: [mauve]\n")
    (tmp_path / "poor.yaml").write_text("- replies: [mauve]\n")
    draft = "".join(f"      {line}\n" for line in (ONE % ("better", "In one word.")).splitlines())
    (tmp_path / "writer.yaml").write_text(f"- purpose: draft\n  replies:\n    - |\n{draft}")
    monkeypatch.chdir(tmp_path)


MATRIX = ["matrix", "./colours", "--interpreters", "scripted/good.yaml", "--interpreters", "scripted/poor.yaml"]


def test_workflows_under_interpreters_as_text_markdown_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["--workflows", "mine.yaml", "--workflows", "same.yaml", "--baseline", "manual"]
    assert main([*MATRIX, *rows]) == 0
    shown = capsys.readouterr()
    assert "mine.yaml  1.000 [0.676, 1.000] n 8  0.000" in shown.out
    assert "same.yaml  0.000" in shown.out
    assert "run folder: runs/matrix-colours-" in shown.err
    assert "command: autoflow matrix ./colours" in shown.out
    assert main([*MATRIX, *rows, "--markdown"]) == 0
    assert "| mine.yaml | 1.000 [0.676, 1.000] n 8 |" in capsys.readouterr().out
    assert main([*MATRIX, *rows, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["state"]) == ("autoflow.matrix/1", "complete")
    assert len(document["cells"]) == 6


def test_generators_stand_below_the_hand_written_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MATRIX, "--generators", "scripted/writer.yaml", "--rounds", "1", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [(cell["row"], cell["mean"], cell["best"]) for cell in cells] == [
        ("hand-written", 0.0, None),
        ("in-context by scripted/writer.yaml", 1.0, "r1c1"),
        ("hand-written", 0.0, None),
        ("in-context by scripted/writer.yaml", 0.0, "hand-written"),
    ]


def test_the_budget_stops_the_table_with_6_and_the_same_command_resumes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MATRIX, "--max-calls", "10"]) == 6
    shown = capsys.readouterr()
    assert "resume: autoflow matrix" in shown.err
    assert "not complete (budget)" in shown.out
    assert main(["runs", "list"]) == 0
    assert "budget" in capsys.readouterr().out
    assert main([*MATRIX, "--max-calls", "16"]) == 0


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--interpreters", "scripted/good.yaml"], "interpreter scripted/good.yaml is named twice"),
        (["--workflows", "nothing.yaml"], "nothing.yaml"),
        (["--generators", "luck/x"], "unknown model provider 'luck'"),
    ],
)
def test_misuse_ends_with_2_before_any_call(
    more: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*MATRIX, *more]) == 2
    assert complaint in capsys.readouterr().err


IMPROVE = ["improve", "./colours", "--generator", "scripted/writer.yaml", "--interpreter", "scripted/good.yaml"]
JOBS = [
    (["bench", "./colours", "--interpreter", "scripted/good.yaml", "--baseline", "cot"], 8, 16),
    ([*MATRIX, "--limit", "4"], 8, 8),
    (
        [*IMPROVE, "--rounds", "1", "--test-limit", "3"],
        # Two workflows on both splits, and on test besides them the three reference methods.
        8 * 2 + (2 + 3) * 3,
        8 * 2 + (2 + 3) * 3 + 1,
    ),
]


@pytest.mark.parametrize(("command", "runs", "calls"), JOBS)
def test_an_estimate_alone_runs_nothing(
    command: list[str], runs: int, calls: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--estimate"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"estimate: {runs} task runs to do, {calls} ")
    assert shown.out.count("\n") == 1
    assert main([*command, "--estimate", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["task_runs"]) == ("autoflow.estimate/1", runs)
    assert (document["calls"]["low"], document["usd"]) == (calls, {"low": 0.0, "high": 0.0})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("command", "runs", "calls"), JOBS)
def test_the_estimate_stands_before_the_work(
    command: list[str], runs: int, calls: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith(f"estimate: {runs} task runs to do, {calls} ")
    assert "estimate" not in shown.out
    assert main(command) == 0
    assert capsys.readouterr().err.startswith("estimate: nothing to do, ")


JUDGED = """\
scorer:
  llm-judge:
    model: openai/m
    rubric: The answer is blue.
    grades: {"no": 0, "yes": 1}
"""


def _judging(body: dict[str, Any]) -> str:
    right = "blue" in body["messages"][-1]["content"].replace("The answer is blue.", "")
    return json.dumps({"reason": "so", "grade": "yes" if right else "no"})


@pytest.mark.parametrize("command", [IMPROVE, [*MATRIX, "--generators", "scripted/writer.yaml"]])
def test_a_judge_that_is_a_model_outlives_every_pass(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    definition = Path("colours/benchmark.yaml")
    definition.write_text(definition.read_text().replace("scorer: exact\n", JUDGED))
    with serve(replies=[_judging]) as server:
        asked = [*command, "--rounds", "1", "--base-url", server.url, "--max-retries", "0", "--json"]
        assert main(asked) == 0, capsys.readouterr().err
    document = json.loads(capsys.readouterr().out)
    means = [row["mean"] for row in document.get("test") or document["cells"]]
    assert means[:2] == [0.0, 1.0]
    assert None not in means
