"""Expert models at work: loaded once, fed in batches, their outputs kept, their failures told apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoflow.errors import OperatorError, SandboxError, UnknownNameError

pytest.importorskip("PIL", reason="needs autoflow[openagi-light]: pillow is not installed")

from openagi_helpers import Made, part, picture


def _crew(made: Made, cache: Path | None = None, version: int = 0) -> Any:
    return part("crew").Crew(made.experts(version), cache=None if cache is None else part("outputs").OutputCache(cache))


def test_model_is_loaded_once_however_often_it_is_used() -> None:
    made = Made()
    crew = _crew(made)
    for text in ("a", "b", "c"):
        crew.apply("Text Generation", [(text,)])
    assert crew.loads == {"Text Generation": 1}
    assert crew.ran == {"Text Generation": 3}
    assert made.batches == [("Text Generation", 1)] * 3


def test_batch_goes_to_the_model_whole() -> None:
    made = Made()
    assert _crew(made).apply("Text Generation", [("a",), ("b",)]) == ["Text Generation(a)", "Text Generation(b)"]
    assert made.batches == [("Text Generation", 2)]


def test_shared_part_is_loaded_once_for_all() -> None:
    crew = _crew(Made())
    loaded: list[int] = []
    for _ in range(3):
        crew.site.shared("encoder", lambda: loaded.append(1))
    assert (loaded, crew.loads["encoder"]) == ([1], 1)


def test_second_run_takes_outputs_from_the_cache_and_loads_nothing(tmp_path: Path) -> None:
    made = Made()
    first = _crew(made, tmp_path)
    shown, said = made.shown("x"), "some text\nwith \u2028 odd \ud800 characters"
    before = [*first.apply("Image Denoising", [(shown,)]), *first.apply("Text Generation", [(said,)])]
    second = _crew(made, tmp_path)
    after = [*second.apply("Image Denoising", [(shown,)]), *second.apply("Text Generation", [(said,)])]
    assert (before[0] == after[0]).all()
    assert before[1] == after[1]
    assert second.loads == {}
    assert second.cached == {"Image Denoising": 1, "Text Generation": 1}


def test_cache_knows_another_input_another_operand_order_and_another_version(tmp_path: Path) -> None:
    made = Made()
    _crew(made, tmp_path).apply("Question Answering", [("query", "document")])
    crew = _crew(made, tmp_path)
    crew.apply("Question Answering", [("document", "query")])
    assert crew.cached["Question Answering"] == 0
    changed = _crew(made, tmp_path, version=1)
    changed.apply("Question Answering", [("query", "document")])
    assert changed.cached["Question Answering"] == 0


def test_damaged_cache_file_is_made_again(tmp_path: Path) -> None:
    made = Made()
    _crew(made, tmp_path).apply("Image Denoising", [(made.shown("x"),)])
    (file,) = tmp_path.rglob("*.png")
    file.write_bytes(b"no picture")
    crew = _crew(made, tmp_path)
    (output,) = crew.apply("Image Denoising", [(made.shown("x"),)])
    assert made.said(output) == "Image Denoising(x)"
    assert crew.loads["Image Denoising"] == 1


def _refuse_empty(operands: tuple[str, ...]) -> None:
    if "" in operands:
        raise OperatorError("the text is empty")


def test_refused_sample_fails_alone_and_stays_failed() -> None:
    made = Made()
    made.broken["Text Generation"] = _refuse_empty
    crew = _crew(made)
    outputs = crew.apply("Text Generation", [("a",), ("",), ("b",)])
    assert [outputs[0], outputs[2]] == ["Text Generation(a)", "Text Generation(b)"]
    assert (outputs[1].module, outputs[1].message) == ("Text Generation", "the text is empty")
    further = crew.apply("Sentiment Analysis", [(value,) for value in outputs])
    assert further[1] is outputs[1]
    assert further[0] == "Sentiment Analysis(Text Generation(a))"


def test_failed_sample_is_not_cached(tmp_path: Path) -> None:
    made = Made()
    made.broken["Text Generation"] = _refuse_empty
    _crew(made, tmp_path).apply("Text Generation", [("",)])
    assert list(tmp_path.rglob("*.txt")) == []


def test_model_that_breaks_is_a_fault_and_no_plans_failure() -> None:
    made = Made()

    def out_of_memory(operands: tuple[str, ...]) -> None:
        raise MemoryError("17 GB")

    made.broken["Text Generation"] = out_of_memory
    with pytest.raises(SandboxError, match="Text Generation broke: MemoryError: 17 GB"):
        _crew(made).apply("Text Generation", [("a",), ("b",)])


def test_model_that_cannot_be_loaded_is_a_fault() -> None:
    expert, crew = part("expert"), part("crew")

    def load(site: Any) -> Any:
        raise OSError("weights are damaged")

    broken = {"Text Generation": expert.Expert("Text Generation", "", {}, load, file=__file__)}
    with pytest.raises(SandboxError, match="cannot be loaded: OSError: weights are damaged"):
        crew.Crew(broken).apply("Text Generation", [("a",)])


@pytest.mark.parametrize("output", ["a text", np.zeros((2, 2, 3)), np.zeros((2, 2), dtype=np.uint8), None])
def test_output_of_the_wrong_kind_is_a_fault(output: Any) -> None:
    expert, crew = part("expert"), part("crew")
    made = expert.Expert("Image Denoising", "", {}, lambda site: lambda rows: [output for _ in rows], file=__file__)
    with pytest.raises(SandboxError, match="Image Denoising gave"):
        crew.Crew({"Image Denoising": made}).apply("Image Denoising", [(picture(0),)])


def test_picture_that_a_plan_grew_without_end_is_refused() -> None:
    crew = _crew(Made())
    side = part("crew").LARGEST + 1
    (outcome,) = crew.apply("Image Denoising", [(np.zeros((1, side, 3), dtype=np.uint8),)])
    assert "larger than" in outcome.message


def test_sets_are_found_by_their_files() -> None:
    expert = part("expert")
    local = expert.expert_set("local")
    assert list(local) == [
        "Image Super Resolution",
        "Image Denoising",
        "Image Deblurring",
        "Image Classification",
        "Question Answering",
        "Sentiment Analysis",
        "Text Summarization",
    ]
    with pytest.raises(UnknownNameError, match="there are: local, paper"):
        expert.expert_set("other")


def test_each_expert_has_a_card_with_its_modules_types() -> None:
    expert, modules = part("expert"), part("modules").MODULES
    for name, found in expert.expert_set("local").items():
        card = found.card
        assert (card.name, card.kind) == (name, "tool")
        assert (card.inputs, card.output) == (modules[name].inputs, modules[name].output)
        assert card.description.endswith(found.description)


def test_missing_package_is_named() -> None:
    expert = part("expert")
    made = expert.Expert("Fill Mask", "", {"no_such_module_anywhere": "no-such-package", "json": "json"}, None)
    assert made.missing_packages() == ["no-such-package"]
    (line,) = part("presence").blocked(made, expert.Site())
    assert line.startswith("Fill Mask lacks the package no-such-package (blocks ")
    assert "pip install 'autoflow[openagi]'" in line


# -- as operators of a workflow


def _call(name: str, context: dict[str, Any], inputs: dict[str, Any] | None = None, **parameters: Any) -> Any:
    from autoflow.core.model import Sampling
    from autoflow.core.operator import Invocation
    from autoflow.core.task import Task
    from autoflow.models.scripted import Scripted

    task = Task("t", "Restore it.", context=context)
    return Invocation(name, (), inputs or {}, task, parameters, None, Scripted([]), Sampling())


@pytest.fixture
def operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Made, Any]:
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    module, made = part("operators"), Made()
    found = module.operators_of(part("options").Options())
    found["Fill Mask"].workshop._crew = _crew(made)
    return made, found


def _saved(path: Path, value: Any) -> str:
    from PIL import Image

    Image.fromarray(value).save(path)
    return str(path)


async def test_steps_of_a_workflow_run_experts_on_the_users_own_data(
    operators: tuple[Made, Any], tmp_path: Path
) -> None:
    made, found = operators
    context = {"image": _saved(tmp_path / "photo.png", made.shown("photo")), "query": "who is it?"}
    denoised = await found["Image Denoising"].run(_call("", context))
    assert Path(denoised).is_file()
    assert Path(denoised).parent == found["Fill Mask"].workshop.pictures
    sharp = await found["Image Deblurring"].run(_call("", context, {"denoise": denoised}))
    answer = await found["Visual Question Answering"].run(_call("", context, {"denoise": denoised, "sharpen": sharp}))
    assert answer == "Visual Question Answering(Image Deblurring(Image Denoising(photo)), who is it?)"
    context = {"query": "who?", "document": "a long text"}
    assert await found["Question Answering"].run(_call("", context)) == "Question Answering(who?, a long text)"
    given = await found["Sentiment Analysis"].run(_call("", context, {"step": "newer"}, text="newest"))
    assert given == "Sentiment Analysis(newest)"


async def test_text_that_looks_like_a_path_is_no_picture(operators: tuple[Made, Any], tmp_path: Path) -> None:
    made, found = operators
    elsewhere = _saved(tmp_path / "secret.png", made.shown("secret"))
    with pytest.raises(OperatorError, match="there is no image"):
        await found["Image Denoising"].run(_call("", {"text": "x"}, {"model said": elsewhere}))
    text = await found["Sentiment Analysis"].run(_call("", {"text": "x"}, {"model said": elsewhere}))
    assert text == f"Sentiment Analysis({elsewhere})"


async def test_operator_says_what_it_cannot_do(operators: tuple[Made, Any], tmp_path: Path) -> None:
    made, found = operators
    made.broken["Text Generation"] = _refuse_empty
    with pytest.raises(OperatorError, match="the text is empty"):
        await found["Text Generation"].run(_call("", {"text": ""}))
    with pytest.raises(OperatorError, match="is no picture that can be read"):
        await found["Image Denoising"].run(_call("", {"image": str(tmp_path / "none.png")}))
    found["Fill Mask"].workshop._crew = _crew(Made(["Image Denoising"]))
    with pytest.raises(OperatorError, match="there is no local Fill Mask"):
        await found["Fill Mask"].run(_call("", {"text": "a [MASK]"}))
    noted = await found["Fill Mask"].run(_call("", {"inputs": ["text"]}))
    assert "nothing was processed" in noted
