"""Adapters merged into GGUF files: what llama.cpp then says is what torch says of the adapted model."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

import tiny_llama  # noqa: E402

from autoflow.core.model import Message, Reply, Request, Sampling  # noqa: E402
from autoflow.errors import DataError, UsageError  # noqa: E402
from autoflow.models import checkpoint, lora  # noqa: E402
from autoflow.models.factory import open_model  # noqa: E402
from autoflow.models.gguf_files import Precision  # noqa: E402
from autoflow.models.options import ModelOptions  # noqa: E402

PROMPTS = ("Hello.", "What is this?", "abc", "The third of four prompts")
LABELS = ("yes", "no", "maybe so")
OPTIONS = ModelOptions(offline=True, slots=2, context_tokens=256, timeout_s=300)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.make(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def base_gguf(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.gguf_of(base, tmp_path_factory.mktemp("gguf") / "base.gguf")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.adapter(base, tmp_path_factory.mktemp("adapter"))


def _answers(spec: str) -> tuple[Sequence[str], Sequence[Reply]]:
    """Greedy texts of the prompts, and the replies to a choice of labels."""

    async def ask() -> tuple[Sequence[str], Sequence[Reply]]:
        model = open_model(spec, OPTIONS)
        try:
            asked = [Request((Message("user", text),), Sampling(max_tokens=16)) for text in PROMPTS]
            texts = [(await model.complete(request)).text for request in asked]
            chosen = [
                await model.complete(Request((Message("user", text),), Sampling(max_tokens=16), labels=LABELS))
                for text in PROMPTS
            ]
            return texts, chosen
        finally:
            await model.aclose()

    return asyncio.run(ask())


def test_a_merged_adapter_says_in_llama_cpp_what_it_says_in_torch(
    base: Path, base_gguf: Path, adapter: Path, tmp_path: Path
) -> None:
    plain, _ = _answers(f"transformers/{base}")
    assert _answers(f"embedded/{base_gguf}")[0] == plain
    target = tmp_path / "merged.gguf"
    lora.export(base_gguf, adapter, target, precision="F32")
    texts, chosen = _answers(f"transformers/{base}@{adapter}")
    exported, labels = _answers(f"embedded/{target}")
    assert exported == texts
    assert texts != plain
    for ours, theirs in zip(labels, chosen, strict=True):
        assert ours.text == theirs.text
        assert ours.label_logprobs == pytest.approx(
            theirs.label_logprobs, abs=0.03
        )  # llama.cpp keeps keys and values in 16 bits


@pytest.mark.parametrize(("precision", "error"), [("Q8_0", 0.01), ("F16", 0.001)])
def test_fewer_bits_stay_near(
    base_gguf: Path, adapter: Path, tmp_path: Path, precision: Precision, error: float
) -> None:
    import gguf

    exact, near = tmp_path / "exact.gguf", tmp_path / "near.gguf"
    lora.export(base_gguf, adapter, exact, precision="F32")
    lora.export(base_gguf, adapter, near, precision=precision)
    assert near.stat().st_size < exact.stat().st_size
    for left, right in zip(gguf.GGUFReader(exact).tensors, gguf.GGUFReader(near).tensors, strict=True):
        values = gguf.quants.dequantize(right.data, right.tensor_type)
        assert abs(values - left.data).max() <= error * abs(left.data).max()


def test_a_merged_checkpoint_and_its_export_agree_with_the_adapter(
    base: Path, base_gguf: Path, adapter: Path, tmp_path: Path
) -> None:
    assert checkpoint.merge(adapter, tmp_path / "merged") == str(base)
    texts, _ = _answers(f"transformers/{base}@{adapter}")
    assert _answers(f"transformers/{tmp_path / 'merged'}")[0] == texts
    lora.export(base_gguf, tmp_path / "merged", tmp_path / "whole.gguf", precision="F32")
    assert _answers(f"embedded/{tmp_path / 'whole.gguf'}")[0] == texts
    with pytest.raises(UsageError, match="not empty"):
        checkpoint.merge(adapter, tmp_path / "merged")


def test_an_adapter_of_another_base_is_refused_and_leaves_nothing(base_gguf: Path, tmp_path: Path) -> None:
    other = tiny_llama.make(tmp_path / "other", layers=3)
    foreign = tiny_llama.adapter(other, tmp_path / "foreign")
    with pytest.raises(DataError, match="is not of the base"):
        lora.export(base_gguf, foreign, tmp_path / "x.gguf")
    assert not list(tmp_path.glob("x.gguf*"))


def test_an_existing_file_is_not_replaced_unasked(base_gguf: Path, adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.gguf"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        lora.export(base_gguf, adapter, target)
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"peft_type": "IA3"}, "peft_type"),
    ],
)
def test_adapters_that_are_more_than_plain_lora_are_refused(
    adapter: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    shutil.copytree(adapter, tmp_path / "a")
    file = tmp_path / "a" / lora.CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match=said):
        lora.load(tmp_path / "a")


def test_what_is_no_adapter_is_said_plainly(base_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither an adapter nor a checkpoint"):
        lora.export(base_gguf, tmp_path, tmp_path / "x.gguf")
    (tmp_path / lora.CONFIG).write_text("{}")
    with pytest.raises(DataError, match="only plain LoRA"):
        lora.load(tmp_path)
