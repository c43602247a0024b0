"""A killed job resumes with the same command and makes no call that it had already recorded."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoflow.runs.ledger import Ledger

# Tells the key of every call that reaches the model, before and without its answer.
PROGRAM = """\
import asyncio, os, sys
from autoflow.models import scripted
ask = scripted.Scripted.complete
async def told(self, request):
    with open(os.environ["CALLS"], "a") as file:
        file.write(request.key(self.name) + "\\n")
    await asyncio.sleep(float(os.environ["SECONDS_A_CALL"]))
    return await ask(self, request)
scripted.Scripted.complete = told
from autoflow.cli.main import main
sys.exit(main(sys.argv[1:]))
"""

INTERPRETER = """\
- when: Is every model
  replies: ['{"reason": "it is", "label": "yes"}']
- when: Go through the to-do list
  replies: ['{"reason": "it is", "label": "yes"}']
- when: Output the to-do list
  replies: ['["Image Denoising"]']
- replies: [image]
"""

GENERATOR = """\
- replies:
    - |
      autoflow: 1
      name: draft
      steps:
        - name: think
          type: process
          instruction: Name the models that are needed.
          next: list
        - name: list
          type: terminal
          instruction: Output the to-do list, solely with model names.
          output: {type: array, items: {type: string}}
"""

JOBS = {
    "bench": ["bench", "openagi", "--split", "train"],
    "improve": ["improve", "openagi", "--rounds", "1", "--generator", "scripted/generator.yaml"],
}


MANY = ["bench", "openagi", "--split", "all"]


def _command(job: str) -> list[str]:
    return [
        *JOBS.get(job, MANY),
        "--interpreter",
        "scripted/interpreter.yaml",
        "--run",
        "runs/one",
        "--concurrency",
        "2",
    ]


def _start(folder: Path, job: str, calls: str, seconds: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "CALLS": str(folder / calls), "SECONDS_A_CALL": seconds}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *_command(job)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _calls(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("job", sorted(JOBS))
def test_a_killed_job_repeats_no_recorded_call(job: str, tmp_path: Path) -> None:
    (tmp_path / "interpreter.yaml").write_text(INTERPRETER)
    (tmp_path / "generator.yaml").write_text(GENERATOR)
    first = _start(tmp_path, job, "first", "0.03")
    while len(_calls(tmp_path, "first")) < 25:
        assert first.poll() is None, first.communicate()
    first.kill()
    first.communicate()
    with Ledger.reading(tmp_path / "runs" / "one" / "ledger.sqlite") as ledger:
        recorded = {key for key in _calls(tmp_path, "first") if ledger.reply(key) is not None}
    assert recorded

    second = _start(tmp_path, job, "second", "0")
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert not recorded & set(_calls(tmp_path, "second"))
    assert "plan score" in out

    third = _start(tmp_path, job, "third", "0")
    _, err = third.communicate(timeout=120)
    assert third.returncode == 0, err
    assert _calls(tmp_path, "third") == []
    assert (tmp_path / "runs" / "one" / "report.json").is_file()


def _recorded(folder: Path) -> set[str]:
    path = folder / "runs" / "one" / "ledger.sqlite"
    if not path.exists():
        return set()
    with Ledger.reading(path) as ledger:
        return {key for key in set(_calls(folder, "calls")) if ledger.reply(key) is not None}


@pytest.mark.slow
def test_a_job_killed_at_twenty_random_moments_reports_as_one_that_was_not(tmp_path: Path) -> None:
    rng = random.Random(11)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        (folder / "interpreter.yaml").write_text(INTERPRETER)
    for _ in range(20):
        before, asked = _recorded(killed), len(_calls(killed, "calls"))
        job = _start(killed, "many", "calls", "0.01")
        wanted = asked + rng.randint(0, 40)
        while len(_calls(killed, "calls")) <= wanted:
            assert job.poll() is None, job.communicate()
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        job.kill()
        job.communicate()
        # Nothing that was on record when this sitting began was asked for again.
        assert not before & set(_calls(killed, "calls")[asked:])
    assert len(_recorded(killed)) > 100
    for folder in (killed, whole):
        asked = len(_calls(folder, "calls"))
        before = _recorded(folder)
        last = _start(folder, "many", "calls", "0")
        _, err = last.communicate(timeout=300)
        assert last.returncode == 0, err
        assert not before & set(_calls(folder, "calls")[asked:])
    reports = [(folder / "runs" / "one" / "report.json").read_bytes() for folder in (killed, whole)]
    assert reports[0] == reports[1]
