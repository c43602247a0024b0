"""`autoflow run`: the answer, the steps, checkpoints, a person's steps, failures and their exit codes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoflow.cli.main import main

WORKFLOW = """\
autoflow: 1
name: answer
steps:
  - name: think
    type: process
    instruction: Think about the task.
    next: check
  - name: check
    type: decision
    instruction: Is the thought sound?
    branches: {"yes": done, "no": think}
    max_visits: 2
    otherwise: done
  - name: done
    type: terminal
    instruction: Answer it.
"""

SCRIPT = """\
- when: Think about
  replies: [a thought, a second thought]
- when: Is the thought
  replies: ['{"reason": "it is", "label": "yes"}']
- when: Answer it
  replies: [the answer]
"""

RUN = ["run", "w.yaml", "What now?", "--interpreter", "scripted/s.yaml"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    (tmp_path / "s.yaml").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _type(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_answer_goes_to_stdout_and_steps_to_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RUN) == 0
    shown = capsys.readouterr()
    assert shown.out == "the answer\n"
    for expected in ("1. think", "a thought", "-> check", "yes -> done", "3. done", "3 steps, 3 calls"):
        assert expected in shown.err


def test_json_holds_answer_steps_and_spend(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.run/1"
    assert document["answer"] == "the answer"
    assert [step["step"] for step in document["steps"]] == ["think", "check", "done"]
    assert document["spend"]["calls"] == 3


def test_task_comes_from_a_file_and_context_from_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "task.txt").write_text("What now?\n")
    (folder / "s.yaml").write_text("- when: What now?\n  replies: [read]\n" + SCRIPT)
    run = ["run", "w.yaml", "--task-file", "task.txt", "--interpreter", "scripted/s.yaml"]
    assert main([*run, "--context", "text=Paris", "--context", "count=3"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "w.yaml"], "give the task as an argument or with --task-file"),
        (["run", "w.yaml", "x", "--task-file", "y"], "one of the two"),
        (["run", "w.yaml", "--task-file", "no.txt"], "no.txt: the task cannot be read"),
        (["run", "w.yaml", " "], "the task is empty"),
        (["run", "-", "--task-file", "-"], "stdin can serve one of"),
        (["run", "w.yaml", "x", "--context", "novalue"], "--context takes key=value, not 'novalue'"),
        (["run", "w.yaml", "x", "--protocol", "fast"], "unknown protocol 'fast'; there are: fused, segment, core"),
        (["run", "w.yaml", "x", "--interpreter", "gpt"], "provider/model, not 'gpt'; providers are"),
        (["run", "w.yaml", "x", "--interpreter", "nowhere/x"], "unknown model provider 'nowhere'"),
        (["run", "w.yaml", "x", "--interpreter", "scripted/none.yaml"], "none.yaml: cannot read the script: No such"),
        (["run", "w.yaml", "x", "--interpreter", "scripted/w.txt"], "w.txt:2:1: the script is not YAML: "),
        (["run", "w.yaml", "x", "--operators", "nothing"], "nothing"),
    ],
)
def test_misuse_is_said_in_a_line_and_ends_with_2(
    arguments: list[str], complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "w.txt").write_text("- replies: [1\n")
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert complaint in message
    assert "Traceback" not in message


def test_an_unsound_workflow_calls_no_model_and_ends_with_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yaml").write_text(WORKFLOW.replace("next: check", "next: nowhere"))
    assert main(RUN) == 4
    assert capsys.readouterr().err.startswith("w.yaml:7:")


def test_a_workflow_without_an_answer_ends_with_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--max-steps", "1"]) == 4
    shown = capsys.readouterr()
    assert "error[max_steps]: no answer" in shown.err
    assert shown.out == ""


def test_a_model_that_cannot_be_asked_ends_with_5(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.yaml").write_text("- when: Think about\n  replies: [a thought]\n")
    assert main(RUN) == 5
    shown = capsys.readouterr()
    assert "error[provider]: no answer at step 'check'" in shown.err
    assert "a thought" in shown.err


def test_model_text_cannot_steer_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.yaml").write_text(SCRIPT.replace("a thought,", '"\\e[2Jgone \\u202E",'))
    assert main(RUN) == 0
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "gone" in shown


def test_an_answer_that_json_or_a_stream_cannot_hold_is_still_printed(folder: Path) -> None:
    schema = "    output: {type: object}\n"
    (folder / "w.yaml").write_text(WORKFLOW + schema)
    (folder / "s.yaml").write_text(SCRIPT.replace("[the answer]", """['{"a": NaN, "b": "\\ud800"}']"""))
    for flags in (["--json"], []):
        done = subprocess.run(
            [sys.executable, "-m", "autoflow", *RUN, *flags], capture_output=True, text=True, check=False
        )
        assert done.returncode in {0, 5}, done.stderr
        assert "bug" not in done.stderr
        if flags:
            json.loads(done.stdout, parse_constant=pytest.fail)


def test_a_long_result_is_cut_for_the_eye(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.yaml").write_text(SCRIPT.replace("a thought,", f"{'word ' * 500},"))
    assert main(RUN) == 0
    assert "characters)" in capsys.readouterr().err


def test_a_bundled_workflow_brings_its_benchmarks_operators(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.yaml").write_text("- when: impossible to meet\n  replies: [x]\n")
    # The model cannot answer; what counts is that the operators were found and shown to it.
    assert main(["run", "openagi/manual", "Given noisy image", "--interpreter", "scripted/s.yaml"]) == 5


def test_checkpoint_gives_the_answer_again_without_a_call(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 0
    capsys.readouterr()
    (folder / "s.yaml").write_text("- when: impossible to meet\n  replies: [x]\n")
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "the answer\n"
    assert "ended before" in shown.err


def test_checkpoint_resumes_after_a_fault_with_the_same_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "s.yaml").write_text("- when: Think about\n  replies: [a thought]\n")
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 5
    assert "resume: autoflow run w.yaml 'What now?' --interpreter" in capsys.readouterr().err
    # Without the rule for the first step: asking it again would be an error.
    (folder / "s.yaml").write_text(SCRIPT.replace("Think about", "nothing at all"))
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "the answer\n"
    assert "resuming from c.sqlite" in shown.err


def test_another_task_in_the_same_checkpoint_is_another_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 0
    other = [word if word != "What now?" else "What then?" for word in RUN]
    assert main([*other, "--checkpoint", "c.sqlite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n", 1)[1])["answer"] == "the answer"


def test_a_file_that_is_no_checkpoint_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.sqlite").write_text("not a database, but long enough to look like a file of some kind\n" * 20)
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 2
    assert "error[run]" in capsys.readouterr().err


def test_a_person_approves_each_step(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _type(monkeypatch, "", "a", "")
    assert main([*RUN, "--step"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "the answer\n"
    assert "next: think (process, generate)" in shown.err


def test_a_person_edits_redirects_and_replaces(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # After `think`: put another thought in its place; take `no` as the label; back at `think`, go to `done` at once.
    _type(monkeypatch, "a", "e my own thought", "g check", "r no", "g done", "r by hand")
    assert main([*RUN, "--step", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["answer"] == "by hand"
    assert document["steps"][0]["result"] in ("a thought", "my own thought")


def test_what_a_person_says_wrongly_is_asked_again(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _type(monkeypatch, "what", "e too early", "g nowhere", "r", "", "", "")
    assert main([*RUN, "--step"]) == 0
    shown = capsys.readouterr().err
    assert "is none of these" in shown
    assert "unknown step 'nowhere'; there are: think, check, done" in shown


def test_a_person_stops_and_the_same_command_resumes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _type(monkeypatch, "a", "s")
    assert main([*RUN, "--step", "--checkpoint", "c.sqlite"]) == 130
    assert "resume: autoflow run" in capsys.readouterr().err
    (folder / "s.yaml").write_text(SCRIPT.replace("Think about", "nothing at all"))
    _type(monkeypatch, "a", "a")
    assert main([*RUN, "--step", "--checkpoint", "c.sqlite"]) == 0
    assert capsys.readouterr().out == "the answer\n"


def test_the_end_of_the_input_stops_a_stepped_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _type(monkeypatch)
    assert main([*RUN, "--step"]) == 130
    assert "stopped" in capsys.readouterr().err


SLOW = """\
import asyncio, sys
from autoflow.models import scripted
ask = scripted.Scripted.complete
async def slowly(self, request):
    print("asked", file=sys.stderr, flush=True)
    await asyncio.sleep(float(sys.argv[1]))
    return await ask(self, request)
scripted.Scripted.complete = slowly
from autoflow.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def _started(folder: Path, seconds: str, *arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, seconds, *RUN, *arguments],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    while "asked" not in process.stderr.readline():
        assert process.poll() is None
    return process


def test_one_interrupt_finishes_the_step_in_flight_and_says_how_to_resume(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = _started(folder, "0.5", "--checkpoint", "c.sqlite")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "finishing what is in flight" in err
    assert "resume: autoflow run w.yaml" in err
    (folder / "s.yaml").write_text(SCRIPT.replace("Think about", "nothing at all"))
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 0
    assert capsys.readouterr().out == "the answer\n"


def test_two_interrupts_stop_at_once(folder: Path) -> None:
    process = _started(folder, "60", "--checkpoint", "c.sqlite")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 20
    assert "Traceback" not in err


def test_without_a_checkpoint_one_interrupt_stops_at_once(folder: Path) -> None:
    process = _started(folder, "60")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "resume" not in err


def test_a_killed_run_resumes_after_its_last_finished_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = _started(folder, "0.4", "--checkpoint", "c.sqlite")
    assert process.stderr is not None
    while "asked" not in process.stderr.readline():
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=30)
    (folder / "s.yaml").write_text(SCRIPT.replace("Think about", "nothing at all"))
    assert main([*RUN, "--checkpoint", "c.sqlite"]) == 0
    assert capsys.readouterr().out == "the answer\n"
