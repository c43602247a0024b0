"""rescore: on run folders that bench made."""

import json
from pathlib import Path

import pytest

from autoflow.cli.main import main

BENCHMARK = """\
name: colours
description: Name the colour of a thing.
data:
  jsonl: tasks.jsonl
  fields: {text: text, reference: {answer: answer}}
splits:
  train: [0]
  test: [1, 2, 3]
scorer: exact
baseline: hand.yaml
"""

HAND = """\
autoflow: 1
name: hand-written
steps:
  - name: answer
    type: terminal
    instruction: Name the colour.
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    (place / "tasks.jsonl").write_text(
        "".join(json.dumps({"text": f"sky {i}", "answer": "blue"}) + "\n" for i in range(4))
    )
    (tmp_path / "script.yaml").write_text("- replies: [It is blue.]\n")
    (tmp_path / "judge.yaml").write_text('- replies: [\'{"reason": "It is.", "grade": "right"}\']\n')
    assert main(["bench", "./place", "--interpreter", "scripted/script.yaml", "--run", "runs/mine"]) == 0
    # Whatever asked the interpreter again would fail.
    (tmp_path / "script.yaml").unlink()
    return tmp_path / "runs"


def test_a_run_is_judged_by_name_and_the_report_has_a_folder_of_its_own(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    # The benchmark is found where the recorded command has it.
    assert main(["rescore", "mine", "--scorer", "contains"]) == 0
    shown = capsys.readouterr().out
    assert "test: 1.000 [" in shown
    assert "the recorded traces of mine were judged anew" in shown
    assert "spent: 0 calls" in shown
    (made,) = runs.glob("rescore-colours-*")
    assert str(made.relative_to(runs.parent)) in shown
    assert json.loads((runs / "mine" / "report.json").read_text())["mean"] == 0


def test_json_is_one_document_and_a_judge_takes_its_parameters_and_its_budget(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    line = ["rescore", "runs/mine", "--scorer", "llm-judge", "--benchmark", "./place", "--json"]
    line += ["--scorer-option", "rubric=It names a colour.", "--scorer-option", "model=scripted/judge.yaml"]
    assert main([*line, "--max-calls", "2", "--concurrency", "1"]) == 6
    capsys.readouterr()
    assert main(line) == 0
    document = json.loads(capsys.readouterr().out)
    (report,) = document["reports"]
    assert (document["schema"], report["mean"], report["n"], report["spend"]["calls"]) == ("autoflow.bench/1", 1, 3, 3)


def test_a_run_that_is_not_there_and_a_benchmark_that_is_not_found_are_told(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["rescore", "yours", "--scorer", "contains"]) == 2
    assert "mine" in capsys.readouterr().err
    (runs.parent / "place").rename(runs.parent / "moved")
    assert main(["rescore", "mine", "--scorer", "contains"]) == 2
    shown = capsys.readouterr().err
    assert "colours" in shown
    assert "--benchmark" in shown
    assert main(["rescore", "mine", "--scorer", "contains", "--benchmark", "./moved"]) == 0
