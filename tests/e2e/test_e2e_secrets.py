"""What a run leaves on disk holds no key, header or secret that a prompt or a reply carried."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openai_server import Fault, serve

KEY = "plain-key-of-the-account-93f1"
VARIABLE = 'a "quoted" secret \\ of the environment'
FORMED = "sk-proj-Abcdefgh12345678_ijklmnop"
PRIVATE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWx"
PLANTED = (KEY, "secret \\ of the env", "secret \\\\ of the env", FORMED, PRIVATE, TOKEN)

BENCHMARK = """\
name: letters
description: Answer letters.
data: {file: letters.jsonl, fields: {text: letter, reference: {answer: answer}}}
splits: {train: [0, 1], validation: [2, 3], test: [4, 5]}
scorer: contains
"""


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _autoflow(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "SERVICE_TOKEN": VARIABLE}
    environment.pop("AUTOFLOW_DATA", None)
    return subprocess.run(
        [sys.executable, "-m", "autoflow", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("command", ["bench", "improve"])
def test_planted_secrets_are_in_no_file_of_a_run(tmp_path: Path, command: str) -> None:
    (tmp_path / "letters.yaml").write_text(BENCHMARK)
    secret = f"{VARIABLE} {FORMED} {TOKEN} -----BEGIN PRIVATE KEY-----\n{PRIVATE}\n-----END PRIVATE KEY-----"
    letters = [{"letter": f"letter {number}: {secret}", "answer": "letter"} for number in range(6)]
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps(letter) + "\n" for letter in letters))
    workflow = tmp_path / "echo.yaml"
    workflow.write_text(
        f"autoflow: 1\nname: echo\nsteps:\n  - {{name: answer, type: terminal, instruction: 'Say {FORMED} again.'}}\n"
    )
    # Everything that is asked comes back: the replies carry what the prompts carry, and so do the answers.
    faults = [Fault("status", 500, {}, {"message": f"failed for Authorization: Bearer {KEY}"})]
    with serve(faults=faults) as server:
        jobs = {
            "bench": ("bench", "letters.yaml", "--workflow", str(workflow), "--max-retries", "0"),
            "improve": ("improve", "letters.yaml", "--generator", "openai/x", "--rounds", "1", "--max-retries", "0"),
        }
        done = _autoflow(
            tmp_path, *jobs[command], "--interpreter", "openai/x", "--base-url", server.url, "--run", "runs/a"
        )
        again = _autoflow(
            tmp_path, *jobs[command], "--interpreter", "openai/x", "--base-url", server.url, "--run", "runs/a"
        )
        asked: list[dict[str, Any]] = list(server.bodies)
        headers = list(server.headers)
    assert again.returncode == 0, (done.stderr, again.stderr)
    # The test can fail: the secrets did travel, and the run did keep its prompts.
    assert any(FORMED in json.dumps(body) for body in asked)
    assert any(KEY in header["Authorization"] for header in headers)
    files = _files(tmp_path / "runs" / "a")
    everything = b"".join(file.read_bytes() for file in files)
    assert b"letter 4" in everything or b"letter 0" in everything
    for plant in PLANTED:
        for form in {plant, json.dumps(plant)[1:-1]}:
            found = [file.name for file in files if form.encode() in file.read_bytes()]
            assert not found, f"{form!r} is in {found}"
