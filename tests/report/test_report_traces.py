"""`autoflow show RUN --task ID` prints what happened, and nothing that is not recorded."""

import json
from pathlib import Path

import pytest
from report_helpers import improve_run

from autoflow.cli.main import main


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return improve_run(tmp_path / "runs" / "one", 12)


def test_a_trace_reads_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "one", "--task", "t3", "--of", "hand-written"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("task t3, hand-written on train: 1.000\n1. draft (generate, 1 call")
    assert "   yes -> done\n" in shown
    assert "task t3, hand-written on validation: 1.000" in shown
    assert "r1c1" not in shown
    assert "You carry out one step." not in shown


def test_prompts_and_replies_are_shown_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "runs/one", "--task", "t9", "--prompts"]) == 0
    shown = capsys.readouterr().out
    assert "   system:\n      You carry out one step." in shown
    assert "task t9, r1c1 on train: unscored, wrong" in shown


def test_json_has_every_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "one", "--task", "t3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(item["workflow"], item["split"]) for item in document["traces"]] == [
        ("hand-written", "train"),
        ("hand-written", "validation"),
        ("r1c1", "train"),
        ("r1c1", "validation"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["one", "--task", "t99"], "unknown task in this run 't99'; there are: t0, t1"),
        (["one", "--task", "t3", "--of", "r9c9"], "there are: hand-written, r1c1"),
        (["two", "--task", "t3"], "unknown run 'two'; there are: one"),
    ],
)
def test_what_does_not_exist_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", *arguments]) == 2
    assert said in capsys.readouterr().err
