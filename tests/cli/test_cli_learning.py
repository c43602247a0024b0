"""synthesize and adapters, on the command line."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from autoflow.cli.main import main
from autoflow.models import embedded_names

SMALL = ["--domains", "2", "--validation-domains", "1", "--test-domains", "1", "--tasks", "2"]


def test_synthesize_writes_a_data_set_and_says_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["synthesize", "data", *SMALL, "--avoid", "openagi"]) == 0
    assert "train: 4 rows" in capsys.readouterr().out
    assert (tmp_path / "data" / "README.md").is_file()
    assert len((tmp_path / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert main(["synthesize", "data", *SMALL]) == 2
    assert "not empty" in capsys.readouterr().err


def test_synthesize_repeats_itself_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        assert main(["synthesize", folder, *SMALL, "--seed", "3", "--json"]) == 0
    files = sorted(path.relative_to("a") for path in Path("a").rglob("*.jsonl"))
    assert files
    assert all((Path("a") / file).read_bytes() == (Path("b") / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--domains", "0", "--validation-domains", "0", "--test-domains", "0"], "nothing is asked for"),
        (["--form", "prose"], "outline, json, yaml"),
        (["--scope", "world"], "benchmark, task"),
        ([*SMALL, "--avoid", "no-such"], "no-such"),
    ],
)
def test_synthesize_refuses_what_makes_no_sense(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["synthesize", "data", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


class _VLLM(BaseHTTPRequestHandler):
    """The part of vLLM's server that adapters are loaded by."""

    loaded: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []
    allowed: ClassVar[bool] = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Authorization"]))
        if not self.allowed:
            self._answer(404, {"detail": "Not Found"})
        elif self.path == "/v1/load_lora_adapter" and body["lora_name"] not in self.loaded:
            self.loaded[body["lora_name"]] = body["lora_path"]
            self._answer(200, f"Success: LoRA adapter '{body['lora_name']}' added successfully.")
        elif self.path == "/v1/unload_lora_adapter" and body["lora_name"] in self.loaded:
            del self.loaded[body["lora_name"]]
            self._answer(200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully.")
        else:
            self._answer(400, {"error": {"message": "The lora adapter has already been loaded.", "code": 400}})

    def _answer(self, status: int, content: object) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_VLLM, "loaded", {})
    monkeypatch.setattr(_VLLM, "asked", [])
    server = HTTPServer(("127.0.0.1", 0), _VLLM)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_adapter_is_loaded_and_unloaded_by_name(
    vllm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "k")
    assert main(["adapters", "load", "mine", "/srv/mine", "--base-url", vllm, "--key-env", "MY_KEY"]) == 0
    assert capsys.readouterr().out.strip() == "openai/mine"
    assert _VLLM.loaded == {"mine": "/srv/mine"}
    assert _VLLM.asked == [("/v1/load_lora_adapter", "Bearer k")]
    assert main(["adapters", "load", "mine", "/srv/mine", "--base-url", vllm]) == 5
    assert "already been loaded" in capsys.readouterr().err
    assert main(["adapters", "unload", "mine", "--base-url", vllm]) == 0
    assert _VLLM.loaded == {}


def test_a_server_that_may_not_load_adapters_is_explained(
    vllm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_VLLM, "allowed", False)
    assert main(["adapters", "load", "mine", "/srv/mine", "--base-url", vllm]) == 5
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in capsys.readouterr().err
    assert main(["adapters", "load", "mine", "/srv/mine", "--base-url", "http://127.0.0.1:9/v1"]) == 5
    assert "cannot reach" in capsys.readouterr().err
    assert main(["adapters", "load", "mine", "/srv/mine", "--base-url", "file:///etc/passwd"]) == 2


def test_export_needs_one_place_and_a_free_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    assert main(["adapters", "export", str(tmp_path)]) == 2
    assert main(["adapters", "export", str(tmp_path), "--name", "smollm2-135m"]) == 2
    assert main(["adapters", "export", str(tmp_path), "--name", "../x"]) == 2
    assert main(["adapters", "export", str(tmp_path), "--output", "x.bin"]) == 2
    assert "end in .gguf" in capsys.readouterr().err


def test_an_exported_model_has_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    file = embedded_names.exported_folder() / "mine.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"GGUF")
    assert embedded_names.ensure("mine") == file
    assert embedded_names.ensure(str(file)) == file
    assert main(["adapters", "list"]) == 0
    assert "embedded/mine" in capsys.readouterr().out
    assert main(["run", "workflows/chain_of_thought.yaml", "x", "--interpreter", "embedded/absent"]) == 2
    assert "mine, smollm2-135m" in capsys.readouterr().err
