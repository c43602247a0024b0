"""compare: on run folders that bench made."""

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
  test: [1, 2, 3, 4, 5, 6, 7, 8, 9]
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
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    (place / "tasks.jsonl").write_text(
        "".join(json.dumps({"text": f"sky {i}", "answer": "blue"}) + "\n" for i in range(10))
    )
    for name, reply in (("good", "blue"), ("bad", "mauve")):
        (tmp_path / f"{name}.yaml").write_text(f"- replies: [{reply}]\n")
        assert main(["bench", "./colours", "--interpreter", f"scripted/{name}.yaml", "--run", f"runs/{name}"]) == 0
    return tmp_path / "runs"


def test_a_run_compared_with_itself_ends_with_0(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", "good", "runs/good"]) == 0
    shown = capsys.readouterr()
    assert "no difference that 9 tasks can show" in shown.out
    assert shown.err == ""


def test_a_worse_run_ends_with_3_and_a_better_one_with_0(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", "good", "bad"]) == 3
    shown = capsys.readouterr()
    assert "B against A: worse by 1.00" in shown.out
    assert "differs: interpreter:" in shown.out
    assert "sample size: about" in shown.out
    assert shown.err.startswith("bad is worse by 1.00 [")
    assert shown.err.endswith("compared with good\n")
    assert main(["compare", "bad", "good"]) == 0
    shown = capsys.readouterr()
    assert "better by 1.00" in shown.out
    assert shown.err == ""


def test_json_is_one_document(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", "good", "bad", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.compare/1"
    assert (document["a"]["mean"], document["b"]["mean"], document["difference"]["mean"]) == (1, 0, -1)
    assert (document["n"], document["test"], document["worse"], document["significant"]) == (9, "mcnemar", True, True)
    assert document["p"] == pytest.approx(2 / 2**9)
    assert document["needed"] > 0
    assert document["left_out"] == {"only_a": [], "only_b": [], "unscored": []}
    assert "interpreter" in {item["key"] for item in document["differs"]}
    assert len(document["tasks"]) == 9
    assert document["tasks"][0]["difference"] == -1


def test_unknown_run_lists_the_bench_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "ugly"]) == 2
    message = capsys.readouterr().err
    assert "unknown run 'ugly'" in message
    assert "good" in message
    assert "bad" in message


def test_folder_without_a_report_is_an_error_with_a_way_out(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good", "colours"]) == 2
    message = capsys.readouterr().err
    assert "error[run]: colours holds no bench report" in message
    assert "autoflow runs list" in message
