"""What a run of `w4s` tried becomes rows to learn from: what was asked, what was answered, what it earned."""

import json
from pathlib import Path
from typing import Any

import pytest

from autoflow.cli.main import main
from autoflow.core.model import Message, Reply, Request
from autoflow.core.strategy import Evaluation, Proposal, TaskResult, Trial
from autoflow.errors import DataError, RunError
from autoflow.runs.folder import RunFolder
from autoflow.training import trajectories
from autoflow.training.trajectories import Turn, weight

PREFIX = (
    Message("system", "You write."),
    Message("user", "Write."),
    Message("assistant", "bad"),
    Message("user", "No."),
)


def scored(value: float | None) -> Evaluation:
    return Evaluation("validation", (TaskResult("0", value),))


def trial(name: str, value: float | None, notes: dict[str, Any]) -> Trial:
    return Trial(name, 1, Proposal(None, "text", "why", notes=notes), validation=scored(value))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    request = Request(PREFIX)
    with RunFolder.open(tmp_path / "run", {"kind": "improve"}) as folder:
        folder.ledger.add_reply(request.key("m"), request, Reply("cab", "m"), role="generator")
        noted = {"request": request.key("m"), "action": "cab", "best": 0.5, "previous": 0.4}
        folder.ledger.add_trial(trial("hand-written", 0.5, {}))
        for name, value in (("r1c1", 0.9), ("r1c2", 0.45), ("r1c3", 0.4), ("r1c4", 0.2), ("r1c5", None)):
            folder.ledger.add_trial(trial(name, value, noted))
        folder.end("complete")
    return tmp_path / "run"


def test_each_scored_trial_is_a_row(run: Path) -> None:
    found = trajectories.load([str(run)])
    assert [(turn.trial, turn.reward) for turn in found] == [("r1c1", 1.0), ("r1c2", 0.5), ("r1c3", 0.0), ("r1c4", 0.0)]
    assert {(turn.prefix, turn.action, turn.run) for turn in found} == {(PREFIX, "cab", "run")}


def test_the_command_writes_what_is_read_again(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "turns.jsonl"
    assert main(["runs", "trajectories", str(run), "-o", str(file), "--malus", "0.1"]) == 0
    assert [turn.reward for turn in trajectories.load([str(file)])] == [1.0, 0.5, 0.0, -0.1]


def test_a_run_without_trajectories_is_told(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {"kind": "improve"}) as folder:
        folder.end("complete")
    with pytest.raises(DataError, match="has no trajectories"):
        trajectories.of_run(tmp_path / "run")
    with pytest.raises(RunError, match="there is no ledger"):
        trajectories.of_run(tmp_path)


def test_weights_are_the_published_ones() -> None:
    rewards = (1, 0.5, 0, -0.1, 0.9, 0.4)
    assert [round(weight(reward, 0.4), 2) for reward in rewards] == [12.18, 3.49, 1.0, 0.78, 9.49, 2.72]


def turn(action: str, reward: float, prefix: tuple[Message, ...] = (Message("user", "a"),)) -> Turn:
    return Turn(prefix, action, reward)


def test_rows_are_written_and_read_as_they_are(tmp_path: Path) -> None:
    turns = [turn("cab", 0.5), turn("dä\n", -0.1, (Message("system", "s"), Message("user", "u")))]
    trajectories.write(turns, tmp_path / "turns.jsonl")
    assert trajectories.load([str(tmp_path / "turns.jsonl")]) == turns


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "is no JSON"),
        ('{"prefix": [], "action": "a", "reward": 1}', "must not be empty"),
        ('{"prefix": [{"role": "user", "content": "a"}], "action": "a"}', "needs prefix"),
        ('{"prefix": [{"role": "user", "content": "a"}], "action": "a", "reward": NaN}', "must be a number"),
    ],
)
def test_a_faulty_row_is_told_by_file_and_line(line: str, wrong: str, tmp_path: Path) -> None:
    good = json.dumps(turn("a", 1.0).to_json())
    (tmp_path / "turns.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(DataError, match=r"turns\.jsonl:2: .*" + wrong):
        trajectories.load([str(tmp_path / "turns.jsonl")])
