"""`bench`: tasks by awkward ids, faults of earlier sittings, prices of one's own, code without a sandbox."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import SERVER_ERROR, Fault, serve

from autoflow.cli import opening
from autoflow.cli.main import main
from autoflow.sandbox import bubblewrap, landlock
from autoflow.sandbox.choose import VARIABLE, describe

BENCHMARK = """\
name: colours
description: Name the colour of a thing.
data: {jsonl: tasks.jsonl, fields: {id: id, text: text, reference: {answer: answer}}}
scorer: exact
baseline: hand.yaml
"""

HAND = "autoflow: 1\nname: hand-written\nsteps:\n  - {name: answer, type: terminal, instruction: Name the colour.}\n"
IDS = ["en-1", "en-2", "a,b", "x 1", "7", "8"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    lines = [json.dumps({"id": name, "text": f"The sky of {name}?", "answer": "blue"}) for name in IDS]
    (place / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "blue.yaml").write_text("- replies: [blue]\n")
    monkeypatch.chdir(tmp_path)


BENCH = ["bench", "./colours", "--interpreter", "scripted/blue.yaml", "--json"]


def _report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["reports"][0]
    return found


@pytest.mark.parametrize(
    ("flags", "ids"),
    [
        (["--sample-id", "a,b"], ["a,b"]),
        (["--sample-id", "x 1", "--sample-id", "en-2"], ["en-2", "x 1"]),
        (["--sample-id", "a,b", "--tasks", "7-9,en-1"], ["en-1", "a,b", "7", "8"]),
        (["--sample-id", "en-2", "--sample-id", "8", "--limit", "1"], ["en-2"]),
        ([], IDS),
    ],
)
def test_a_task_is_named_by_its_id_as_it_is(
    flags: list[str], ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*BENCH, *flags]) == 0
    assert [row["id"] for row in _report(capsys)["rows"]] == ids


def test_an_unknown_id_lists_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--sample-id", "en-1,en-2"]) == 2
    assert "unknown task id in split 'test': 'en-1,en-2'; there are: en-1, en-2, a,b, x 1" in capsys.readouterr().err


def test_a_run_of_other_ids_is_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--sample-id", "en-1", "--run", "runs/one"]) == 0
    assert main([*BENCH, "--sample-id", "en-2", "--run", "runs/one"]) == 2
    assert "sample_ids" in capsys.readouterr().err


def test_rescoring_keeps_to_the_tasks_that_were_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--sample-id", "a,b", "--sample-id", "7", "--run", "runs/one"]) == 0
    capsys.readouterr()
    asked = ["rescore", "runs/one", "--scorer", "contains", "--benchmark", "./colours", "--json"]
    assert main(asked) == 0
    assert '"tasks": 2,' in capsys.readouterr().out


def _failing(*names: str) -> Callable[[dict[str, Any]], Fault | None]:
    return lambda body: SERVER_ERROR if any(name in json.dumps(body["messages"]) for name in names) else None


def test_errors_are_left_or_tried_again_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(replies=["blue"], refuse=_failing("en-1", "a,b")) as server:
        asked = [*BENCH, "--run", "runs/one", "--max-retries", "0", "--base-url", server.url]
        asked[asked.index("scripted/blue.yaml")] = "openai/m"
        assert main(asked) == 0
        first = _report(capsys)
        assert (first["n"], first["reasons"]) == (4, {"provider": 2})
        calls = server.calls
        assert main([*asked, "--no-retry-errors"]) == 0
        shown = capsys.readouterr()
        assert "estimate: nothing to do, 6 task runs on record" in shown.err
        assert json.loads(shown.out)["reports"][0]["rows"] == first["rows"]
        assert server.calls == calls
        assert main(asked) == 0
        assert server.calls == calls + 2
        server.refuse = None
        capsys.readouterr()
        assert main([*asked, "--retry-errors"]) == 0
        assert (_report(capsys)["n"], server.calls) == (6, calls + 4)


PRICES = '[prices."openai/mine"]\ninput = 1.0\noutput = 3.0\n'


def test_a_price_of_ones_own_makes_a_limit_in_dollars_possible(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(replies=["blue"]) as server:
        asked = [*BENCH, "--max-cost", "1", "--base-url", server.url]
        asked[asked.index("scripted/blue.yaml")] = "openai/mine"
        assert main(asked) == 2
        shown = capsys.readouterr().err
        assert "no price is known for openai/mine" in shown
        assert "price unknown" in shown
        assert server.calls == 0
        Path("autoflow.toml").write_text(PRICES)
        assert main(asked) == 0
        shown = capsys.readouterr()
        assert "calls, " in shown.err
        assert "$0.00" in shown.err
        spend = json.loads(shown.out)["reports"][0]["spend"]
        assert spend["unpriced"] == 0
        assert spend["usd"] == pytest.approx((spend["input_tokens"] + 3 * spend["output_tokens"]) / 1e6)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without bubblewrap and Landlock."""
    describe.cache_clear()
    monkeypatch.setattr(bubblewrap, "binaries", list)
    monkeypatch.setattr(landlock, "version", lambda: None)
    yield
    monkeypatch.undo()
    describe.cache_clear()


CODE = """\
name: code
description: Write a function.
data: {jsonl: code.jsonl, fields: {text: text, reference: {test: test, entry_point: entry}}}
scorer: code-tests
baseline: hand.yaml
"""


@pytest.mark.usefixtures("bare")
def test_code_runs_without_a_sandbox_only_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "colours"
    (place / "code.yaml").write_text(CODE)
    (place / "code.jsonl").write_text('{"text": "one", "test": "assert one() == 1", "entry": "one"}\n')
    (tmp_path / "code.yaml").write_text('- replies: ["def one(): return 1"]\n')
    asked = ["bench", "colours/code.yaml", "--interpreter", "scripted/code.yaml", "--json", "--run", "runs/one"]
    assert main(asked) == 0
    assert _report(capsys)["reasons"] == {"sandbox": 1}
    assert main([*asked, "--unsafe-local"]) == 0
    shown = capsys.readouterr()
    assert "no sandbox works on this machine: generated code runs with all of your rights" in shown.err
    assert json.loads(shown.out)["reports"][0]["mean"] == 1.0
    assert VARIABLE not in os.environ
    assert main([*asked[:-1], "runs/two"]) == 0
    assert _report(capsys)["reasons"] == {"sandbox": 1}


COUNT = """\
autoflow: 1
name: count
steps:
  - name: count
    type: process
    operator: python
    parameters: {code: "def run(results, task): return len(task['text'])"}
    instruction: Count the letters.
    next: done
  - {name: done, type: terminal}
"""


@pytest.mark.usefixtures("bare")
def test_a_step_of_code_runs_without_a_sandbox_only_where_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "count.yaml").write_text(COUNT)
    asked = ["run", "count.yaml", "four", "--interpreter", "scripted/blue.yaml"]
    assert main(asked) == 5
    assert "no sandbox works on this machine" in capsys.readouterr().err
    assert main([*asked, "--unsafe-local"]) == 0
    assert capsys.readouterr().out.strip() == "4"


def test_the_flag_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    with opening.unsafe_local(wanted=True):
        assert os.environ[VARIABLE] == "1"
    assert os.environ[VARIABLE] == "0"
    with opening.unsafe_local(wanted=False):
        assert os.environ[VARIABLE] == "0"
