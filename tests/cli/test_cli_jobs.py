"""generate, bench, improve, runs, doctor: on a small benchmark of the tests' own, with scripted models."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from autoflow import api
from autoflow.cli import opening
from autoflow.cli.main import main

BENCHMARK = """\
name: colours
description: Name the colour of a thing.
data:
  jsonl: tasks.jsonl
  fields: {text: text, reference: {answer: answer}}
splits:
  train: [0, 1]
  validation: [2, 3]
  test: [4, 5]
scorer: exact
baseline: hand.yaml
notes:
  - A toy.
"""

TASKS = [("the sky", "blue"), ("grass", "green")] * 3

HAND = """\
autoflow: 1
name: hand-written
steps:
  - name: answer
    type: terminal
    instruction: Name the colour, whatever it is.
"""

BETTER = """\
autoflow: 1
name: better
steps:
  - name: answer
    type: terminal
    instruction: Name the colour in one word.
"""

INTERPRETER = """\
- when: one word
  replies: [blue]
- replies: [mauve]
"""


def _generator(*drafts: str) -> str:
    listing = "".join("    - |\n" + "".join(f"      {line}\n" for line in draft.splitlines()) for draft in drafts)
    return f"- purpose: draft\n  replies:\n{listing}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    lines = [json.dumps({"text": f"What colour is {thing}? ({i})", "answer": a}) for i, (thing, a) in enumerate(TASKS)]
    (place / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "better.yaml").write_text(BETTER)
    (tmp_path / "interpreter.yaml").write_text(INTERPRETER)
    (tmp_path / "generator.yaml").write_text(_generator(BETTER))
    monkeypatch.chdir(tmp_path)
    return tmp_path


BENCH = ["bench", "./colours", "--interpreter", "scripted/interpreter.yaml"]
IMPROVE = [
    "improve",
    "./colours",
    "--generator",
    "scripted/generator.yaml",
    "--interpreter",
    "scripted/interpreter.yaml",
    "--rounds",
    "1",
]


def test_generate_writes_a_linted_workflow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["generate", "Name the colour.", "--generator", "scripted/generator.yaml"]
    assert main(run) == 0
    assert "Name the colour in one word." in capsys.readouterr().out
    assert main([*run, "--output", "new.yaml"]) == 0
    assert main(["lint", "new.yaml"]) == 0
    assert main([*run, "--output", "new.yaml"]) == 2
    assert main([*run, "--output", "new.yaml", "--overwrite", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["errors"]) == ("autoflow.draft/1", [])


def test_generate_for_a_benchmark_sends_errors_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "generator.yaml").write_text(_generator("no workflow", BETTER))
    assert main(["generate", "--benchmark", "./colours", "--generator", "scripted/generator.yaml"]) == 0
    assert "one word" in capsys.readouterr().out


def test_generate_without_a_valid_draft_prints_what_was_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "generator.yaml").write_text(_generator("no workflow"))
    assert main(["generate", "Name it.", "--generator", "scripted/generator.yaml", "--repairs", "1"]) == 4
    assert "wrote no valid workflow, also after 1 repairs" in capsys.readouterr().err


def test_generate_needs_one_description(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate"]) == 2
    assert main(["generate", "x", "--benchmark", "./colours"]) == 2
    assert "one of the two" in capsys.readouterr().err


def test_bench_lists_tasks_with_their_splits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "./colours", "--list"]) == 0
    assert "0  What colour is the sky? (0)  [train]" in capsys.readouterr().out
    assert main(["bench", "./colours", "--list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.tasks/1"
    assert [task["splits"] for task in document["tasks"]][4:] == [["test"], ["test"]]


def test_bench_lists_the_tasks_that_are_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*chosen: str) -> list[str]:
        assert main(["bench", "./colours", "--list", "--json", *chosen]) == 0
        return [task["id"] for task in json.loads(capsys.readouterr().out)["tasks"]]

    assert listed("--split", "test") == ["4", "5"]
    assert listed("--tasks", "1-3") == ["1", "2", "3"]
    assert listed("--split", "test", "--limit", "1") == ["4"]
    assert listed("--shard", "1/2") + listed("--shard", "2/2") != listed() == [str(number) for number in range(6)]
    assert main(["bench", "./colours", "--list", "--split", "test", "--tasks", "0"]) == 2
    assert "unknown task id in split 'test': '0'" in capsys.readouterr().err
    assert main(["bench", "./colours", "--list", "--split", "tset"]) == 2
    assert "unknown split 'tset'; there are: train, validation, test" in capsys.readouterr().err


def test_bench_reports_mean_interval_and_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--workflow", "better.yaml", "--run", "runs/one"]) == 0
    shown = capsys.readouterr()
    assert "exact match on colours" in shown.out.replace("./", "")
    assert "0.500" in shown.out
    assert "run folder: runs/one" in shown.err
    assert (folder / "runs" / "one" / "report.json").is_file()
    assert "better on colours test: 2/2, mean 0.500" in shown.err


def test_bench_without_a_workflow_takes_the_hand_written_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.bench/1"
    assert document["reports"][0]["config"]["workflow"]["name"] == "hand-written"
    assert document["reports"][0]["mean"] == 0.0


def test_bench_compares_several_workflows_in_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--workflow", "better.yaml", "--workflow", "colours/hand.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "better" in shown
    assert "hand-written" in shown
    assert "\x1b" not in shown
    assert main([*BENCH, "--workflow", "better.yaml", "--workflow", "colours/hand.yaml", "--run", "x"]) == 2


def test_prices_are_known_for_models_in_the_table_and_for_what_runs_in_the_process() -> None:
    from autoflow.config import Endpoint
    from autoflow.models.options import ModelOptions

    price = opening.pricer(ModelOptions(endpoints={"near": Endpoint("http://127.0.0.1:9/v1")}))
    known = price("openai/gpt-4o-mini", 1_000_000, 0)
    assert known is not None
    assert known > 0
    assert price("embedded/smollm2-135m", 1000, 1000) == 0.0
    assert price("openai/no-such-model", 1, 1) is None
    assert price("near/qwen3-8b", 1, 1) is None
    assert price("langchain/module:Class", 1, 1) is None


def test_a_limit_in_dollars_is_kept_where_the_price_is_known(folder: Path) -> None:
    assert main([*BENCH, "--max-cost", "0.01"]) == 0
    assert main([*IMPROVE, "--max-cost", "0.01"]) == 0


def test_a_password_in_a_url_is_never_written_down(folder: Path) -> None:
    assert main([*BENCH, "--run", "runs/one", "--base-url", "http://ann:hush@127.0.0.1:9/v1"]) == 0
    for path in (folder / "runs" / "one").rglob("*"):
        assert path.is_dir() or b"hush" not in path.read_bytes(), path.name


def test_a_reader_that_stops_early_is_no_bug(folder: Path) -> None:
    command = f"{sys.executable} -m autoflow bench openagi --list | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Given low-resolutioned noisy blurry grayscale image" in done.stdout
    assert done.stderr == ""


def test_fetching_what_is_there_says_where(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from autoflow.models import weights

    states = [weights.WeightsStatus(False, tmp_path, None), weights.WeightsStatus(True, tmp_path, 144_811_072)] * 2
    monkeypatch.setattr(weights, "status", lambda: states.pop(0))
    monkeypatch.setattr(weights, "ensure_weights", lambda progress: progress("fetching") or tmp_path)
    assert main(["doctor", "--fetch", "embedded"]) == 0
    assert "(145 MB, Apache-2.0" in capsys.readouterr().err
    states.pop(0)
    assert main(["doctor", "--fetch", "embedded"]) == 0
    assert "already there" in capsys.readouterr().err


def test_bench_again_in_the_same_folder_makes_no_call(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--run", "runs/one"]) == 0
    (folder / "interpreter.yaml").write_text("- when: impossible to meet\n  replies: [x]\n")
    assert main([*BENCH, "--run", "runs/one"]) == 0
    assert "2 from the record" in capsys.readouterr().err


def test_bench_refuses_the_folder_of_another_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--run", "runs/one"]) == 0
    assert main([*BENCH, "--run", "runs/one", "--seed", "7"]) == 2
    assert "seed" in capsys.readouterr().err


@pytest.mark.parametrize(("threshold", "code"), [("0.4", 0), ("0.6", 3)])
def test_bench_ends_with_3_below_the_threshold(
    threshold: str, code: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*BENCH, "--workflow", "better.yaml", "--threshold", threshold]) == code
    assert ("below the threshold 0.6" in capsys.readouterr().err) == bool(code)


def test_bench_stops_at_the_budget_with_6_and_resumes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--run", "runs/one", "--max-calls", "1", "--concurrency", "1"]) == 6
    assert "resume: autoflow bench ./colours" in capsys.readouterr().err
    assert main([*BENCH, "--run", "runs/one", "--max-calls", "2"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["bench", "nothing"], "nothing"),
        ([*BENCH, "--split", "final"], "final"),
        ([*BENCH, "--tasks", "99"], "99"),
        ([*BENCH, "--max-cost", "0"], "positive"),
        ([*BENCH, "--scorer", "taste"], "unknown scorer 'taste'"),
        (
            [*IMPROVE, "--strategy", "luck"],
            "unknown strategy 'luck'; there are: adas, aflow, evolve, grpo, in-context, reinforce, w4s",
        ),
        ([*IMPROVE, "--option", "speed=3"], "has no option 'speed'; there are: "),
        ([*IMPROVE, "--gate", "open"], "unknown gate 'open'; there are: all, parent"),
        (["runs", "show", "nothing"], "unknown run 'nothing'; there are: none"),
        (["doctor", "--fetch", "moon"], "unknown download 'moon'; there are: embedded"),
    ],
)
def test_misuse_names_what_exists_and_ends_with_2(
    arguments: list[str], complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert complaint in message
    assert "Traceback" not in message


def test_bench_of_an_unsound_workflow_calls_no_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "better.yaml").write_text(BETTER.replace("terminal", "process"))
    assert main([*BENCH, "--workflow", "better.yaml"]) == 4
    assert "better.yaml:" in capsys.readouterr().err


def test_bench_of_a_benchmark_without_a_hand_written_workflow_asks_for_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "colours" / "benchmark.yaml").write_text(BENCHMARK.replace("baseline: hand.yaml\n", ""))
    assert main(BENCH) == 2
    assert "--workflow FILE" in capsys.readouterr().err


def test_improve_ends_with_table_folder_and_best_workflow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*IMPROVE, "--run", "runs/best"]) == 0
    shown = capsys.readouterr()
    assert "hand-written" in shown.out
    assert "r1c1" in shown.out
    assert "run folder: runs/best" in shown.out
    assert "autoflow: 1" in shown.out
    assert "r1c1" in shown.err
    assert "\x1b" not in shown.out + shown.err
    assert "command: autoflow improve ./colours" in shown.out


def test_improve_as_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*IMPROVE, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.improve/1"
    assert document["rows"][0]["id"] == "hand-written"
    assert Path(document["folder"]).is_dir()


def test_improve_stops_at_the_budget_and_resumes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*IMPROVE, "--run", "runs/best", "--max-calls", "3"]) == 6
    assert "resume: autoflow improve" in capsys.readouterr().err
    assert main([*IMPROVE, "--run", "runs/best"]) == 0


def test_improve_without_an_answering_model_ends_with_5(folder: Path) -> None:
    (folder / "generator.yaml").write_text("- when: impossible to meet\n  replies: [x]\n")
    assert main([*IMPROVE, "--run", "runs/best"]) == 5


@pytest.mark.parametrize("command", [BENCH, IMPROVE])
def test_on_a_terminal_progress_is_live(command: list[str], folder: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "autoflow", *command],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        # The other end was closed: on Linux reading then fails.
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"\x1b[" in shown
    assert b"\x1b" not in out
    assert b"2/2" in shown


SLOW = """\
import asyncio, sys
from autoflow.models import scripted
ask = scripted.Scripted.complete
async def slowly(self, request):
    print("asked", file=sys.stderr, flush=True)
    await asyncio.sleep(0.5)
    return await ask(self, request)
scripted.Scripted.complete = slowly
from autoflow.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", [BENCH, IMPROVE])
def test_an_interrupted_job_finishes_what_is_in_flight_and_resumes(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*command, "--run", "runs/one", "--concurrency", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    while "asked" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "finishing what is in flight" in err
    assert "resume: autoflow" in err
    assert main(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["state"] == "interrupted"
    assert main(arguments) == 0


def test_folder_of_another_command_counts_for_no_estimate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--workflow", "better.yaml", "--run", "runs/one"]) == 0
    capsys.readouterr()
    assert main([*IMPROVE, "--run", "runs/one"]) == 2
    shown = capsys.readouterr().err
    assert "nothing to do" not in shown
    assert "runs/one holds a run of autoflow bench, not of autoflow improve" in shown


def test_runs_are_listed_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list"]) == 0
    assert capsys.readouterr().out == "no runs in runs\n"
    assert main([*IMPROVE, "--run", "runs/best"]) == 0
    capsys.readouterr()
    assert main(["runs", "list"]) == 0
    listed = capsys.readouterr().out
    assert "improve" in listed
    assert "complete" in listed
    for name in ("best", "runs/best"):
        assert main(["runs", "show", name]) == 0
        shown = capsys.readouterr().out
        assert "complete" in shown
        assert "hand-written: train 0.000 (n 2), validation 0.000 (n 2)" in shown
        assert "command: autoflow improve" in shown
    assert main(["runs", "show", "best", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["trials"][0]["train"] == {"mean": 0.0, "n": 2, "unscored": 0}


def test_a_damaged_run_is_listed_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = folder / "runs" / "broken"
    broken.mkdir(parents=True)
    (broken / "config.yaml").write_text("kind: bench\n")
    assert main(["runs", "list"]) == 0
    assert "damaged" in capsys.readouterr().out


def test_runs_without_a_subcommand_is_a_usage_error(folder: Path) -> None:
    assert main(["runs"]) == 2


def test_doctor_says_what_is_there_and_never_prints_a_key(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("AUTOFLOW_CACHE", str(folder / "cache"))
    assert main(["doctor", "./colours"]) == 0
    shown = capsys.readouterr().out
    assert "sk-very-secret" not in shown
    assert "OPENAI_API_KEY  set" in shown
    assert "autoflow doctor --fetch embedded" in shown
    assert "benchmark colours" in shown
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.doctor/1"
    assert document["ok"] is True


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer right"
        self.send_response(200 if allowed else 401)
        self.end_headers()
        if allowed:
            self.wfile.write(b'{"data": [{"id": "qwen3-8b"}]}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    running = HTTPServer(("127.0.0.1", 0), _Models)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    running.server_close()
    thread.join()


def test_doctor_asks_endpoints_for_their_models(
    server: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'[endpoints.near]\nbase_url = "{server}"\napi_key_env = "NEAR_KEY"\nmodels = ["qwen3-8b"]\n'
    (folder / "autoflow.toml").write_text(text + '[endpoints.gone]\nbase_url = "http://127.0.0.1:9/v1"\n')
    assert main(["doctor"]) == 0
    assert "models: qwen3-8b" in capsys.readouterr().out
    monkeypatch.setenv("NEAR_KEY", "right")
    assert main(["doctor", "--ping"]) == 0
    shown = capsys.readouterr().out
    assert "serves qwen3-8b" in shown
    assert "no answer" in shown
    assert "right" not in shown.replace("playwright", "")
    monkeypatch.setenv("NEAR_KEY", "wrong")
    assert main(["doctor", "--ping"]) == 0
    assert "401" in capsys.readouterr().out


def test_the_facade_does_the_same_without_a_command_line(folder: Path) -> None:
    from autoflow.bench import BenchConfig
    from autoflow.improve import ImproveConfig

    workflow = api.load("better.yaml")
    assert api.lint("better.yaml") == []
    assert api.run(workflow, "What colour is the sky?", interpreter="scripted/interpreter.yaml").answer == "blue"
    report = api.bench(BenchConfig("./colours", "scripted/interpreter.yaml"), workflow)
    assert report.interval is not None
    assert report.interval.mean == 0.5
    config = ImproveConfig("./colours", "scripted/generator.yaml", "scripted/interpreter.yaml", rounds=1)
    assert api.improve(config).state == "complete"
