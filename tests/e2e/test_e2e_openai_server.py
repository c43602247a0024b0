"""The command line against an OpenAI-compatible server: real HTTP on loopback."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest


class _Chat(BaseHTTPRequestHandler):
    """Answers the manual flow's questions; keeps what it was asked."""

    asked: ClassVar[list[dict[str, Any]]] = []
    keys: ClassVar[list[str | None]] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        self.keys.append(self.headers.get("Authorization"))
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self._text(body)}}
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _text(self, body: dict[str, Any]) -> str:
        last = body["messages"][-1]["content"]
        if "Output the to-do list" in last:
            return '["Image Denoising", "Image Captioning", "Machine Translation"]'
        if "Is every model" in last or "Go through the to-do list" in last:
            return '{"reason": "they fit", "label": "yes"}'
        return "image"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Chat)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    _Chat.asked.clear()
    _Chat.keys.clear()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    running.server_close()
    thread.join()


def _autoflow(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "autoflow", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


RUN = ("run", "workflows/openagi/manual.yaml", "Given noisy image, how to return the caption in German step by step?")


def test_the_manual_flow_runs_against_any_openai_compatible_server(server: str, tmp_path: Path) -> None:
    done = _autoflow(tmp_path, *RUN, "--interpreter", "openai/x", "--base-url", server)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["Image Denoising", "Image Captioning", "Machine Translation"]
    assert "1. identify input" in done.stderr
    assert {body["model"] for body in _Chat.asked} == {"x"}
    # The benchmark's operators reach the model without being asked for on the command line.
    assert "Image Super Resolution" in json.dumps(_Chat.asked[0]["messages"])


def test_a_named_endpoint_sends_the_key_of_its_own_variable(server: str, tmp_path: Path) -> None:
    (tmp_path / "autoflow.toml").write_text(
        f'[defaults]\ninterpreter = "near/qwen3-8b"\n'
        f'[endpoints.near]\nbase_url = "{server}"\napi_key_env = "NEAR_KEY"\n'
    )
    done = _autoflow(tmp_path, *RUN, "--checkpoint", "c.sqlite", NEAR_KEY="sk-near", OPENAI_API_KEY="sk-other")
    assert done.returncode == 0, done.stderr
    assert set(_Chat.keys) == {"Bearer sk-near"}
    assert "sk-near" not in done.stdout + done.stderr
    assert b"sk-near" not in (tmp_path / "c.sqlite").read_bytes()


def test_a_missing_key_names_its_variable(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OPENAI_API_KEY"}
    done = subprocess.run(
        [sys.executable, "-m", "autoflow", *RUN, "--interpreter", "openai/gpt-5-mini"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_ends_with_5(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "autoflow: 1\nname: w\nsteps:\n  - name: a\n    type: terminal\n    instruction: Answer.\n"
    )
    arguments = ("run", "w.yaml", "x", "--interpreter", "openai/x", "--base-url", "http://127.0.0.1:9/v1")
    done = _autoflow(tmp_path, *arguments, "--max-retries", "0")
    assert done.returncode == 5, done.stderr
    assert "127.0.0.1:9" in done.stderr
