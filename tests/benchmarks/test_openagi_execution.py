"""Plans run as data through LangGraph: every reference plan, both forms, and what goes wrong on the way."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoflow.core.json import Json
from autoflow.core.score import ChecksFirst, Explains, KeepsFiles, Score
from autoflow.errors import DataError, MissingDependencyError, OperatorError, SandboxError

pytest.importorskip("PIL", reason="needs autoflow[openagi-light]: pillow is not installed")

from openagi_helpers import TASKS, Made, answered, goal, part

ROLES = ("image", "text", "document", "query")


class Given:
    """Samples made for a test: each input says its role and number."""

    description = "made"

    def __init__(self, made: Made, count: int = 3) -> None:
        self.made, self.count = made, count
        self.absent: list[str] = []

    def covers(self, goal: Any, task: str) -> bool:
        return True

    def missing(self, goal: Any, task: str) -> list[str]:
        return self.absent

    def load(self, goal: Any, task: str, limit: int | None) -> list[Any]:
        sample = part("samples").Sample
        found = []
        for number in range(self.count):
            inputs = tuple(
                self.made.shown(f"image{number}") if item.type == "image" else f"{item.role}{number}"
                for item in goal.inputs
            )
            found.append(sample(str(number), inputs, ("right",), self.made.shown(f"original{number}")))
        return found[:limit]


class Names:
    """Scores 1 where the output is the expression wanted for the sample, else 0."""

    name = "expression"
    is_score = True

    def __init__(self, made: Made, wanted: Any = None) -> None:
        self.made, self.wanted = made, wanted
        self.seen: list[str] = []

    def measure(self, outputs: Any, samples: Any) -> list[Any]:
        said = [self.made.said(output) for output in outputs]
        self.seen += said
        measured = part("metrics").Measured
        return [
            measured(float(self.wanted is None or text == self.wanted(sample.name)))
            for text, sample in zip(said, samples, strict=True)
        ]

    def batch(self, scores: Any) -> float:
        return float(sum(scores) / len(scores))


def _scorer(made: Made, metric: Any = None, **changes: Any) -> Any:
    crew = part("crew").Crew(made.experts())
    found = metric or Names(made)
    scorer = part("executed").ExecutedScorer("test score", crew, Given(made), lambda goal: found, batch_size=2)
    return replace(scorer, **changes)


async def _score(scorer: Any, task: str, plan: Json) -> Score:
    score = await scorer.score(TASKS[task], answered(plan))
    assert isinstance(score, Score)
    return score


def _nested(task: str, number: str) -> str:
    """What the task's reference plan must come to, written out by hand from the goal."""
    wanted = goal(task)
    modules = part("modules").MODULES

    def prepared(item: Any) -> str:
        expression = f"{item.role}{number}"
        for name in part("modules").RESTORATIONS:
            if modules[name].restores in item.defects:
                expression = f"{name}({expression})"
        return expression

    operands = [prepared(item) for item in wanted.inputs]
    if wanted.core == "Question Answering":
        operands.reverse()  # The query is the lower operand, the document the first input.
    expression = operands[0] if wanted.core is None else f"{wanted.core}({', '.join(operands)})"
    return f"Machine Translation({expression})" if wanted.language == "German" else expression


@pytest.mark.parametrize("form", ["flat", "postfix"])
async def test_every_reference_plan_computes_what_its_task_asks(form: str) -> None:
    made = Made()
    crew = part("crew").Crew(made.experts())
    for task in TASKS:
        plan = getattr(part("reference"), form)(goal(task))
        metric = Names(made, lambda number, task=task: _nested(task, number))
        scorer = part("executed").ExecutedScorer("s", crew, Given(made, 1), lambda goal, found=metric: found)
        score = await _score(scorer, task, [str(token) for token in plan])
        assert (score.value, score.reason) == (1.0, ""), (task, plan, metric.seen)
        made.pictures.clear()
    assert set(crew.loads.values()) == {1}


async def test_batches_go_through_the_models_in_file_order() -> None:
    made = Made()
    await _score(_scorer(made), "13", ["Image Denoising"])
    assert made.batches == [("Image Denoising", 2), ("Image Denoising", 1)]


async def test_limit_takes_the_first_samples() -> None:
    made = Made()
    score = await _score(_scorer(made, limit=1), "116", ["Sentiment Analysis"])
    rows: Any = score.details["samples"]
    assert [row["sample"] for row in rows] == ["0"]
    assert rows[0]["output"] == "Sentiment Analysis(text0)"


@pytest.mark.parametrize(
    ("task", "plan", "reason"),
    [
        ("13", [], "parse_empty"),
        ("13", ["Make it nice"], "unknown_module"),
        ("13", ["Sentiment Analysis"], "type_mismatch"),
        ("13", ["Image Captioning"], "wrong_output"),
        ("184", ["Text Summarization"], "arity"),
        ("13", ["Input Text 0", "Fill Mask"], "wrong_input"),
        ("116", ["Text Generation"] * 21, "max_steps"),
    ],
)
async def test_plan_that_cannot_run_scores_zero_with_its_code(task: str, plan: Json, reason: str) -> None:
    made = Made()
    score = await _score(_scorer(made), task, plan)
    assert (score.value, score.reason, score.details["valid"]) == (0.0, reason, False)
    assert made.batches == []


async def test_task_whose_modules_the_set_lacks_is_not_covered_whatever_the_plan() -> None:
    made = Made(["Image Denoising"])
    for plan in (["Image Denoising", "Colorization"], [], ["nonsense"]):
        assert await _score(_scorer(made), "5", plan) == Score(None, "not_covered", {"valid": None})
    assert (await _score(_scorer(made), "13", ["Image Denoising"])).value == 1.0


async def test_absent_module_on_a_covered_task_scores_zero_and_says_so() -> None:
    score = await _score(_scorer(Made(["Image Denoising"])), "13", ["Image Denoising", "Colorization"])
    assert (score.value, score.reason) == (0.0, "module_absent")
    scorer = _scorer(Made(), absent=frozenset({"Image Denoising"}))
    assert (await _score(scorer, "13", ["Image Denoising"])).reason == "not_covered"


async def test_sample_that_a_model_refuses_counts_zero_and_the_others_count() -> None:
    made = Made()

    def refuse(operands: tuple[str, ...]) -> None:
        if operands == ("text1",):
            raise OperatorError("too sad")

    made.broken["Sentiment Analysis"] = refuse
    score = await _score(_scorer(made), "116", ["Sentiment Analysis"])
    assert score.value == pytest.approx(2 / 3)
    assert (score.reason, score.details["message"]) == ("runtime_error", "Sentiment Analysis: too sad")
    rows: Any = score.details["samples"]
    assert [row.get("failed") for row in rows] == [None, "Sentiment Analysis: too sad", None]


async def test_model_that_breaks_leaves_the_task_unscored() -> None:
    made = Made()

    def breaks(operands: tuple[str, ...]) -> None:
        raise RuntimeError("device lost")

    made.broken["Sentiment Analysis"] = breaks
    with pytest.raises(SandboxError, match="device lost"):
        await _score(_scorer(made), "116", ["Sentiment Analysis"])


async def test_distance_is_reported_and_is_no_score() -> None:
    made = Made()
    metric = Names(made)
    metric.is_score = False
    score = await _score(_scorer(made, metric), "13", ["Image Denoising"])
    assert (score.value, score.reason, score.details["figure"]) == (None, "distance", 1.0)


async def test_task_figure_is_over_samples_or_over_batches_as_asked() -> None:
    made = Made()
    metric = Names(made, lambda number: f"Sentiment Analysis(text{number})" if number == "2" else "never")
    over_samples = await _score(_scorer(made, metric), "116", ["Sentiment Analysis"])
    over_batches = await _score(_scorer(made, metric, over_batches=True), "116", ["Sentiment Analysis"])
    assert over_samples.details["batches"] == [0.0, 1.0]
    assert (over_samples.value, over_batches.value) == (pytest.approx(1 / 3), 0.5)


async def test_pictures_are_kept_side_by_side_below_the_runs_folder(tmp_path: Path) -> None:
    made = Made()
    scorer = _scorer(made).keeping(tmp_path)
    score = await _score(scorer, "13", ["Image Denoising"])
    again = await _score(scorer, "13", ["Input Image 0", "Image Denoising"])
    other = await _score(scorer, "13", ["Image Denoising", "Image Denoising"])
    name = score.details["pictures"]
    assert isinstance(name, str)
    assert re.fullmatch(r"images/13-[0-9a-f]{8}\.jpg", name)
    assert again.details["pictures"] == name
    assert other.details["pictures"] != name
    from PIL import Image

    with Image.open(tmp_path / name) as sheet:
        assert sheet.width == 3 * 256
        assert sheet.height > 3 * 256
    assert "pictures" not in (await _score(scorer, "116", ["Sentiment Analysis"])).details


async def test_missing_packages_and_data_are_named_before_anything_runs() -> None:
    made = Made()
    scorer = _scorer(made)
    scorer.check(list(TASKS.values()))
    lacking = replace(scorer.crew.experts["Colorization"], packages={"no_such_module": "no-such-package"})
    scorer.crew.experts["Colorization"] = lacking
    with pytest.raises(
        MissingDependencyError, match=r"Colorization lacks the package no-such-package \(blocks 88"
    ) as found:
        scorer.check([TASKS["13"]])
    assert found.value.hint is not None
    assert """--benchmark-option 'absent=["Colorization"]'""" in found.value.hint
    replace(scorer, absent=frozenset({"Colorization"})).check([TASKS["13"]])
    data = Given(made)
    data.absent = ["/data/13/inputs/images"]
    with pytest.raises(
        MissingDependencyError, match=r"(?s)no-such-package.*samples of 1 tasks.*/data/13/inputs/images"
    ):
        replace(scorer, samples=data).check([TASKS["13"]])
    with pytest.raises(DataError, match="/data/13/inputs/images"):
        _scorer(Made(), samples=data).check([TASKS["13"]])


async def test_scorer_says_what_the_report_needs() -> None:
    scorer = _scorer(Made())
    assert isinstance(scorer, ChecksFirst)
    assert isinstance(scorer, KeepsFiles)
    assert isinstance(scorer, Explains)
    assert scorer.groups(TASKS["117"]) == {"plan length": "6", "form": "non-linear", "metric": "expression"}
    score = await _score(scorer, "13", ["Image Denoising"])
    facts = scorer.facts([(TASKS["13"], score), (TASKS["14"], Score(None, "not_covered", {"valid": None}))])
    assert facts["samples"] == "made"
    assert set(scorer.secondary) <= set(score.details)


async def test_reference_plan_and_doing_nothing_stand_beside_any_plan(tmp_path: Path) -> None:
    made = Made()
    # Right is what the reference plan of task 9 makes; the input as it is, is not.
    metric = Names(made, lambda number: _nested("9", number))
    scorer = _scorer(made, metric, beside=True).keeping(tmp_path)
    for plan, value in (
        (["Image Deblurring", "Image Denoising"], 0.0),
        (["Sharpen"], 0.0),
        (["Image Denoising", "Image Deblurring"], 1.0),
    ):
        score = await _score(scorer, "9", plan)
        assert (score.value, score.details["reference_score"], score.details["nothing_score"]) == (value, 1.0, 0.0)
        assert (tmp_path / str(score.details["reference_pictures"])).is_file()
        facts = scorer.facts([(TASKS["9"], score)])
        assert facts["derived reference plans on the same samples (doing nothing)"] == {"9": "1.000 (0.000)"}
    unchanged = Names(made, lambda number: f"image{number}")
    score = await _score(_scorer(made, unchanged, beside=True), "13", ["Image Denoising"])
    assert (score.value, score.details["nothing_score"]) == (0.0, 1.0)
    # A label is asked for, and doing nothing leaves a picture.
    score = await _score(_scorer(made, beside=True), "97", ["Image Denoising"])
    assert score.reason == "wrong_output"
    assert (score.details["reference_score"], score.details["nothing_score"]) == (1.0, 0.0)
