"""What a person sees: live views on a terminal, plain text elsewhere, and tables that fit at any width."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from autoflow.cli import live, output, table
from autoflow.cli.main import main
from autoflow.core.budget import Budget, Spend
from autoflow.improve import ImproveEvent, Standing
from autoflow.objective.objective import Progress
from autoflow.statistics import Interval
from autoflow.summary import aligned, cells

WIDTHS = [40, 57, 80, 120, 200]

FILES = {
    "colours/benchmark.yaml": """\
name: colours
description: Name the colour of a thing.
data: {jsonl: tasks.jsonl, fields: {text: text, reference: {answer: answer}}}
splits: {train: [0, 1], validation: [2, 3], test: [4, 5]}
scorer: exact
baseline: hand.yaml
""",
    "colours/hand.yaml": """\
autoflow: 1
name: hand-written-色の名前
steps:
  - {name: answer, type: terminal, instruction: Name the colour.}
""",
    "colours/tasks.jsonl": "".join(f'{{"text": "What colour is {i}?", "answer": "blue"}}\n' for i in range(6)),
    "interpreter.yaml": '- {when: one word, replies: [blue]}\n- {replies: ["mauve"]}\n',
    "generator.yaml": json.dumps(
        [
            {
                "purpose": "draft",
                "replies": [
                    "autoflow: 1\nname: better\nsteps:\n"
                    "  - {name: answer, type: terminal, instruction: Name it in one word.}\n"
                ],
            }
        ]
    ),
}
MODEL = ["--interpreter", "scripted/interpreter.yaml"]
IMPROVE = ["improve", "./colours", "--generator", "scripted/generator.yaml", *MODEL, "--rounds", "1"]
BENCH = ["bench", "./colours", *MODEL, "--baseline", "io"]
MATRIX = ["matrix", "./colours", "--interpreters", "scripted/interpreter.yaml", "--baseline", "io"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "colours").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """What the command shows on a terminal, stdout and stderr together."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "autoflow", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # The other end was closed: on Linux reading then fails.
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode()
    return shown


def test_improve_on_a_terminal_shows_where_it_stands(folder: Path) -> None:
    shown = on_a_terminal(*IMPROVE, "--max-calls", "500", COLUMNS="100").decode()
    assert "\x1b[" in shown
    for word in ("round", "best", "of 500 calls", "so far", "0 drafts invalid"):
        assert word in shown


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_control_character_reaches_a_terminal_that_wants_none(folder: Path, variable: dict[str, str]) -> None:
    shown = on_a_terminal(*IMPROVE, COLUMNS="60", **variable).decode()
    assert "\x1b" not in shown
    assert "r1c1" in shown


@pytest.mark.parametrize("command", [IMPROVE, BENCH, MATRIX])
def test_quiet_leaves_stderr_empty_and_stdout_as_it_is(
    command: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--quiet"]) == 0
    quiet = capfd.readouterr()
    assert quiet.err == ""
    assert main(command) == 0
    loud = capfd.readouterr()
    assert loud.err != ""
    assert len(quiet.out.splitlines()) == len(loud.out.splitlines())
    assert "\x1b" not in loud.out + loud.err


@pytest.mark.parametrize("command", [["runs", "list"], ["operators"], ["show", "colours/hand.yaml"], BENCH])
def test_no_table_is_wider_than_the_terminal_and_none_is_cut(command: list[str], folder: Path) -> None:
    width = 40
    if command == ["runs", "list"]:
        assert main([*BENCH, "--quiet"]) == 0
    shown = on_a_terminal(*command, COLUMNS=str(width), NO_COLOR="1").decode()
    lines = [line for line in shown.splitlines() if not line.startswith(("run folder", "command", "expected", "note"))]
    table = [line for line in lines if line.startswith(("│", "┃", "  ", "┏", "└"))]
    assert all(cells(line) <= width for line in table)
    assert "…" not in shown


def test_every_long_command_can_be_quiet() -> None:
    for name in ("bench", "improve", "matrix", "train"):
        assert any("--quiet" in parameter.opts for parameter in table.command(name).params), name


def standing(**changes: object) -> Standing:
    values = {
        "rounds": 5,
        "best": "r1c2-最良の候補",
        "interval": Interval(0.612, 0.55, 0.68, 40, "t"),
        "budget": Budget(usd=1.0, calls=1000, tokens=2_000_000, seconds=3600),
        "spend": Spend(188, 9000, 800, 0.59),
        "seconds": 61.0,
        "failed_calls": 2,
        "invalid": 1,
    }
    return Standing(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("width", WIDTHS)
def test_live_view_fits_the_terminal_whatever_is_in_it(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(live, "stderr", lambda: Console(file=stream, width=width, force_terminal=True))
    times = iter([100.0 + number for number in range(9)])
    view = live.ImproveView(clock=lambda: next(times))
    view(ImproveEvent("draft", "r2c3: 色 " * 60, 2, "r2c3", standing=standing))
    progress, later = Progress(12, 40, 0.5, 1, 0), standing(spend=Spend(198))
    view(ImproveEvent("progress", "", 2, "r2c3-改良", "validation", progress, lambda: later))
    console = Console(file=stream, width=width, force_terminal=False)
    stream.truncate(0)
    console.print(view._drawn())
    lines = stream.getvalue().lstrip("\x00").splitlines()
    assert len(lines) == 6
    assert all(cells(line) <= width for line in lines)
    if width >= 120:
        text = "\n".join(lines)
        for part in (
            "2 of 5",
            "███░░░░░░░░░ 12/40, mean 0.500, r2c3-改良 on validation",
            "0.612 [0.550, 0.680] r1c2-最良の候補",
            "$1.00 of $1.00; 802 of 1,000 calls",
            "10.0 calls/s, 198 calls",
            "2 calls, 1 task unscored, 1 draft invalid",
        ):
            assert part in text


def test_standing_is_asked_for_four_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "stderr", lambda: Console(file=io.StringIO()))
    asked = 0

    def ask() -> Standing:
        nonlocal asked
        asked += 1
        return standing()

    now = 0.0
    view = live.ImproveView(clock=lambda: now)
    for number in range(1000):
        now = number / 500
        view(ImproveEvent("progress", "", 1, "r1c1", "train", Progress(number, 1000, None, 0, 0), ask))
    assert asked == 8


TABLE = [
    ["workflow", "score", "95 % interval", "against hand-written"],
    ["解答を確かめる", "0.500", "[0.1, 0.9]", "better by 0.25 (p = 0.01), and the sample supports it"],
    ["plain", "-", "-", "x" * 70],
]


@pytest.mark.parametrize("width", WIDTHS)
def test_text_table_fits_and_keeps_every_word(width: int) -> None:
    lines = aligned(TABLE, width)
    assert all(cells(line) <= width for line in lines)
    joined = "".join("".join(lines).split())
    for row in TABLE[1:]:
        for cell in row:
            assert cell.replace(" ", "") in joined


def test_columns_of_a_text_table_stand_below_each_other_with_wide_characters() -> None:
    lines = aligned(TABLE)
    assert {cells(line[: line.index(mark)]) for line, mark in zip(lines[:2], ("score", "0.500"), strict=True)} == {16}


def test_piped_output_has_no_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.terminal_columns(sys.stdout) is None
    assert not output.interactive(sys.stdout)
