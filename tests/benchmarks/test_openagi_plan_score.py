"""The plan score: what is measured in OPENAGI terms, and that nothing a model writes breaks it."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoflow.benchmarks import folder, held_out, loader
from autoflow.core.json import Json, canonical
from autoflow.core.score import Score
from autoflow.core.trace import StepRecord, Trace

TASKS = {task.id: task for task in held_out.load_split("openagi", "all")}
SCORER = loader.load("openagi").scorer
CODE = folder.open_folder("openagi", {}).code.module
NAMES = list(loader.load("openagi").operators)
SHORT = {
    "SR": "Image Super Resolution",
    "DN": "Image Denoising",
    "DB": "Image Deblurring",
    "CO": "Colorization",
    "IC": "Image Classification",
    "CA": "Image Captioning",
    "OD": "Object Detection",
    "T2I": "Text to Image Generation",
    "VQA": "Visual Question Answering",
    "QA": "Question Answering",
    "SA": "Sentiment Analysis",
    "TS": "Text Summarization",
    "TG": "Text Generation",
    "MT": "Machine Translation",
    "FM": "Fill Mask",
    "I": "Input Image",
    "T0": "Input Text 0",
    "T1": "Input Text 1",
}


def _trace(answer: Json = None, steps: Sequence[StepRecord] = ()) -> Trace:
    return Trace(workflow="w", task="t", steps=tuple(steps), answer=answer)


async def _score(task: str, answer: Json, steps: Sequence[StepRecord] = ()) -> Score:
    return await SCORER.score(TASKS[task], _trace(answer, steps))


async def _plan(task: str, plan: str) -> Score:
    return await _score(task, [SHORT[word] for word in plan.split()])


def _find(sentence: str) -> str:
    return next(task.id for task in TASKS.values() if task.text == f"Given {sentence} step by step?")


def _part(name: str) -> Any:
    assert CODE is not None
    return sys.modules[f"{CODE.__name__}.{name}"]


def test_label_is_always_plan_score() -> None:
    assert SCORER.label == "plan score"
    assert loader.load("openagi", scorer="plan").scorer.label == "plan score"


async def test_every_reference_plan_scores_one_in_both_forms() -> None:
    goal_of, reference = _part("goal"), _part("reference")
    for task in TASKS.values():
        goal = goal_of.from_json(task.reference)
        for plan in (reference.flat(goal), reference.postfix(goal)):
            score = await _score(task.id, [str(token) for token in plan])
            assert (score.value, score.reason) == (1.0, ""), (task.text, plan, score)
            assert score.details["exact_match"] is True


async def test_dropping_a_module_or_swapping_two_different_neighbours_scores_less() -> None:
    cases = 0
    for task in TASKS.values():
        plan: Any = task.reference["derived_plan"]
        damaged = [plan[:place] + plan[place + 1 :] for place in range(len(plan))]
        damaged += [
            [*plan[:place], plan[place + 1], plan[place], *plan[place + 2 :]]
            for place in range(len(plan) - 1)
            if plan[place] != plan[place + 1]
        ]
        cases += len(damaged)
        for changed in damaged:
            score = await _score(task.id, changed)
            assert score.value is not None
            assert score.value < 1, (task.text, changed)
            assert score.details["exact_match"] is False
    assert cases == 1111


async def test_adding_any_module_anywhere_scores_less() -> None:
    for task in TASKS.values():
        plan: Any = task.reference["derived_plan"]
        for place in range(len(plan) + 1):
            for name in NAMES:
                score = await _score(task.id, [*plan[:place], name, *plan[place:]])
                assert score.value is not None
                assert score.value < 1, (task.text, plan, place, name)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(TASKS)), st.lists(st.sampled_from([*SHORT.values()]), max_size=9))
async def test_full_score_is_the_reference_in_one_of_its_forms(task: str, plan: list[str]) -> None:
    score = await _score(task, plan)
    assert (score.value == 1.0) == (score.details["exact_match"] is True)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(TASKS)), st.lists(st.sampled_from([*SHORT.values(), "Input Text 7", "magic"]) | st.text())
)
async def test_any_list_of_names_scores_between_zero_and_one(task: str, plan: list[str]) -> None:
    score = await _score(task, plan)
    assert score.value is not None
    assert 0 <= score.value <= 1
    assert canonical(score.details)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def _texts(value: Json) -> list[str]:
    if isinstance(value, dict):
        return [*value, *_texts(list(value.values()))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


@settings(max_examples=300, deadline=None)
@given(_JSON)
async def test_any_answer_is_scored_and_none_raises(answer: Json) -> None:
    score = await _score("20", answer)
    assert score.value is not None
    assert 0 <= score.value <= 1
    # Generated text may happen to be a module's name; without one there is no plan to score.
    fold = _part("plan").fold
    if not any(fold(name) in fold(text) for name in _part("modules").MODULES for text in _texts(answer)):
        assert score.reason in ("parse_empty", "unknown_module")


@pytest.mark.parametrize("answer", ["[" * 100_000, '{"a":' * 100_000, "1. " * 50_000, "," * 200_000, "```\n" * 50_000])
async def test_hostile_text_is_read_in_bounded_time(answer: str) -> None:
    assert (await _score("20", answer)).value == 0.0


async def test_very_long_plan_is_scored() -> None:
    score = await _score("20", ["Text Summarization"] * 20_000)
    assert score.reason == "type_mismatch"
    assert (await _score("116", ["Text Summarization"] * 20_000)).value == 0.5


# -- reading the plan

CAPTION = _find("noisy image, how to return the caption in English")


@pytest.mark.parametrize(
    "answer",
    [
        ["Image Denoising", "Image Captioning"],
        ["image-denoising", " IMAGE  CAPTIONING "],
        {"plan": ["Image Denoising", "Image Captioning"]},
        '["Image Denoising", "Image Captioning"]',
        '```json\n{"models": ["Image Denoising", "Image Captioning"]}\n```',
        "Image Denoising, Image Captioning",
        "Image Denoising -> Image Captioning.",
        "1. Image Denoising\n2. Image Captioning",
        "Step 1: Image Denoising\nStep 2: Image Captioning\n",
        "- `Image Denoising`\n- **Image Captioning**",
        "1) Image Denoising, 2) Image Captioning",
        '"Image Denoising, Image Captioning"',
        "Image Denoising; Image\u2011Captioning",
    ],
)
async def test_plan_is_read_in_every_plain_form(answer: Json) -> None:
    score = await _score(CAPTION, answer)
    assert score.value == 1.0
    assert score.details["plan"] == ["Image Denoising", "Image Captioning"]
    assert score.details["source"] == "answer"


@pytest.mark.parametrize(
    "answer",
    [
        "First, Image Denoising",
        "Denoise",
        "Image Denoiser, Image Captioning",
        ["Image Denoising", 3],
        [["Image Denoising"]],
        7,
        True,
        {"first": "Image Denoising", "then": "Image Captioning"},
        "[Image Denoising, Image Captioning",
        "Input Video 1, Image Captioning",
    ],
)
async def test_name_that_is_no_modules_is_never_guessed(answer: Json) -> None:
    score = await _score(CAPTION, answer)
    assert (score.value, score.reason) == (0.0, "unknown_module")
    assert score.details["valid"] is False


@pytest.mark.parametrize(
    "answer", [None, "", "  \n", [], [""], {}, "[]", '""', "```\n```", "Input Image", ["Input Image 0"]]
)
async def test_answer_without_a_module_is_empty(answer: Json) -> None:
    score = await _score("14", answer)
    assert (score.value, score.reason) == (0.0, "parse_empty")


def _step(operator: str, *tools: str) -> StepRecord:
    return StepRecord(step=operator, visit=1, operator=operator, result="", tools=tools)


async def test_modules_that_the_workflows_steps_ran_are_the_plan_whatever_it_answers() -> None:
    steps = [_step("Image Denoising", "Image Denoising"), _step("Image Captioning", "Image Captioning")]
    for answer in (None, "done", ["Colorization"]):
        score = await _score(CAPTION, answer, [_step("generate"), *steps])
        assert (score.value, score.details["source"]) == (1.0, "steps")


async def test_answer_that_reads_as_a_plan_wins_over_tools_that_the_model_tried() -> None:
    tried = [_step("generate", "Colorization", "Image Captioning")]
    score = await _score(CAPTION, ["Image Denoising", "Image Captioning"], tried)
    assert (score.value, score.details["source"]) == (1.0, "answer")


async def test_tools_that_the_model_called_are_the_plan_where_the_answer_is_none() -> None:
    called = [_step("generate", "Image Denoising"), _step("generate", "web-search", "Image Captioning")]
    score = await _score(CAPTION, "A dog on a beach.", called)
    assert (score.value, score.details["source"]) == (1.0, "tools")
    score = await _score(CAPTION, "A dog on a beach.", [_step("generate", "web-search")])
    assert (score.value, score.reason) == (0.0, "unknown_module")


# -- running it

REPAIR = _find("low-resolutioned noisy blurry grayscale image, how to return the regular image")
GERMAN = _find("noisy image, how to return the caption in German")
TRANSLATE = _find("clozed English text, how to translate the text in German")
SENTIMENT = _find("English text, how to return the sentiment in English")
DRAW = _find("clozed English text, how to generate a image")
ASK = _find("noisy image and clozed English query, how to answer the question in English")
READ = _find("clozed English document and clozed English query, how to answer the question in German")


@pytest.mark.parametrize(
    ("task", "plan", "value", "reason"),
    [
        (REPAIR, "SR DN DB CO", 1.0, ""),
        (REPAIR, "DN SR DB CO", 0.95, "order_fault"),
        (REPAIR, "CO DB DN SR", 0.85, "order_fault"),
        (REPAIR, "SR DN DB CO CO", 0.95, "needless_module"),
        (REPAIR, "SR", 2 / 5, "unmet_requirement"),
        (REPAIR, "SR DN DB CO CA", 0.0, "wrong_output"),
        (REPAIR, "SR DN DB CO CA T2I", 4 / 5, "unmet_requirement"),
        (REPAIR, "FM", 0.0, "type_mismatch"),
        (REPAIR, "VQA", 0.0, "arity"),
        (REPAIR, "I SR DN DB CO", 1.0, ""),
        (REPAIR, "I SR I", 0.0, "arity"),
        (REPAIR, "T0 FM", 0.0, "wrong_input"),
        (REPAIR, "SR I", 0.0, "arity"),
        (GERMAN, "DN CA MT", 1.0, ""),
        (GERMAN, "DN CA", 2 / 3, "unmet_requirement"),
        (GERMAN, "CA MT", 2 / 3, "unmet_requirement"),
        (GERMAN, "DN OD MT", 2 / 3, "unmet_requirement"),
        (GERMAN, "DN CA MT MT", 0.95, "needless_module"),
        (GERMAN, "DN CA MT TS", 1 / 3, "unmet_requirement"),
        (GERMAN, "CA DN", 0.0, "type_mismatch"),
        (GERMAN, "I CA DN", 0.0, "type_mismatch"),
        (TRANSLATE, "FM MT", 1.0, ""),
        (TRANSLATE, "MT FM", 2 / 3, "unmet_requirement"),
        (SENTIMENT, "SA", 1.0, ""),
        # The expert reads English: the sentiment of the German text is not what was asked.
        (SENTIMENT, "MT SA", 1 / 2, "unmet_requirement"),
        (DRAW, "FM T2I", 1.0, ""),
        (DRAW, "T2I FM", 0.0, "type_mismatch"),
        (DRAW, "FM T2I SR", 0.95, "needless_module"),
        (ASK, "DN FM VQA", 1.0, ""),
        # Fill Mask comes last of the restorations, also where they act on another value.
        (ASK, "FM DN VQA", 0.95, "order_fault"),
        (ASK, "DN FM CA QA", 3 / 4, "unmet_requirement"),
        (ASK, "DN FM CA", 0.0, "arity"),
        (ASK, "I DN T0 FM VQA", 1.0, ""),
        (ASK, "T0 FM I DN VQA", 0.0, "type_mismatch"),
        (READ, "FM FM QA MT", 1.0, ""),
        (READ, "FM QA MT", 3 / 4, "unmet_requirement"),
        (READ, "T1 FM T0 FM QA MT", 1.0, ""),
        (READ, "T0 FM T1 FM QA MT", 3 / 4, "unmet_requirement"),
        (READ, "T0 FM T0 FM QA MT", 2 / 4, "unmet_requirement"),
        (READ, "FM FM MT QA MT", 3 / 4, "unmet_requirement"),
        (READ, "T0 VQA", 0.0, "arity"),
        (READ, "T0 T1 T0 VQA", 0.0, "type_mismatch"),
    ],
)
async def test_plan_gets_what_it_would_achieve(task: str, plan: str, value: float, reason: str) -> None:
    score = await _plan(task, plan)
    assert score.value == pytest.approx(value), score.details
    assert score.reason == reason
    assert score.details["valid"] is (reason not in ("type_mismatch", "arity", "wrong_input", "wrong_output"))


async def test_details_say_what_held_and_what_was_in_vain() -> None:
    score = await _plan(GERMAN, "CO DN CA")
    assert score.details["requirements"] == {"content": True, "language German": False, "noisy image restored": True}
    assert score.details["needless"] == ["Colorization"]
    assert score.value == pytest.approx(2 / 3 - 0.05)
    assert "derived_plan" not in canonical(score.details)


async def test_code_names_the_place_in_the_plan() -> None:
    assert (await _plan(GERMAN, "CA DN")).details["message"] == (
        "at step 2 of the plan: Image Denoising takes image, there is only text"
    )
    assert str((await _plan(ASK, "DN FM CA")).details["message"]).startswith("at the end: 2 values are left")
    assert "the task has 0 text input(s)" in str((await _plan(REPAIR, "T0 FM")).details["message"])


async def test_score_never_falls_below_zero() -> None:
    assert (await _plan(SENTIMENT, "MT " + "FM " * 30 + "MT")).value == 0.0
