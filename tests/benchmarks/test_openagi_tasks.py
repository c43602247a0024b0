"""The OpenAGI tasks: the published sentences, the splits, the goals, the derived references."""

import hashlib
import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autoflow import resources
from autoflow.benchmarks import folder, held_out, loader
from autoflow.core.json import canonical
from autoflow.core.operator import Invocation, Operator
from autoflow.language import document

DATA = os.environ.get("AUTOFLOW_DATA") or None


@pytest.fixture(scope="module")
def part() -> Any:
    """A module of the benchmark's code, by name."""
    module = folder.open_folder("openagi", {}).code.module
    assert module is not None

    def find(name: str) -> ModuleType:
        return sys.modules[f"{module.__name__}.{name}"]

    return find


def test_sentences_are_the_published_ones_byte_for_byte(part: Any) -> None:
    text = part("sentences").document().encode()
    assert len(text) == 17_248
    assert hashlib.sha256(text).hexdigest() == part("sentences").SHA256
    assert part("sentences").SHA256 == "803ad7856bf8797e860f72ebc34ba8b30be738a723b16c292c6f48fe95fd0a18"


@pytest.mark.skipif(DATA is None, reason="AUTOFLOW_DATA is not set: the published file is not shipped")
def test_sentences_are_those_of_the_published_file(part: Any) -> None:
    published = Path(str(DATA), "openagi", "task_description.txt").read_text(encoding="utf-8")
    assert part("sentences").document() == published


def test_splits_are_as_published_and_do_not_overlap() -> None:
    assert held_out.splits("openagi") == {
        "train": 13,
        "validation": 13,
        "test": 13,
        "formal17": 17,
        "nonlinear": 68,
        "all": 185,
        "local": 17,
    }
    benchmark = loader.load("openagi")
    assert [task.id for task in benchmark.train[:3]] == ["5", "7", "13"]
    test = held_out.load_split("openagi", "test")
    assert [task.id for task in test] == ["2", "3", "10", "15", "20", "35", "45", "55", "65", "70", "90", "106", "107"]
    texts = [task.text for task in (*benchmark.train, *benchmark.validation, *test)]
    assert len(set(texts)) == 39
    assert all("+" in task.category for task in held_out.load_split("openagi", "nonlinear"))


def test_categories_have_the_published_sizes() -> None:
    counts = Counter(task.category for task in held_out.load_split("openagi", "all"))
    assert counts == {
        "image-image": 15,
        "image-text": 90,
        "text-image": 2,
        "text-text": 10,
        "image+text-text": 60,
        "text+text-text": 8,
    }


def test_task_shows_its_input_types_and_keeps_the_goal_apart() -> None:
    task = held_out.load_split("openagi", "all")[117]
    assert task.id == "117"
    assert task.text == (
        "Given low-resolutioned noisy blurry grayscale image and clozed English query, how to answer the question in "
        "English step by step?"
    )
    assert task.context == {"inputs": ["image", "text"]}
    assert task.reference["core"] == "Visual Question Answering"
    assert canonical(task.reference)


def test_goal_survives_the_way_through_json(part: Any) -> None:
    goal_of = part("goal")
    for task in held_out.load_split("openagi", "all"):
        goal = goal_of.from_json(task.reference)
        assert {**task.reference, **goal_of.to_json(goal)} == task.reference
        assert goal.category() == task.category


def test_derived_references_have_the_measured_lengths() -> None:
    tasks = held_out.load_split("openagi", "all")
    lengths = Counter(len(task.reference["derived_plan"]) for task in tasks)  # type: ignore[arg-type]
    assert [lengths[length] for length in range(1, 8)] == [9, 31, 53, 52, 30, 9, 1]


def test_postfix_references_are_those_of_the_rule(part: Any) -> None:
    reference, goals = part("reference"), [goal for _, goal in part("sentences").sentences()]
    assert [str(token) for token in reference.postfix(goals[177])] == [
        "Input Text 1", "Fill Mask", "Input Text 0", "Fill Mask", "Question Answering", "Machine Translation",
    ]  # fmt: skip
    assert [str(token) for token in reference.postfix(goals[118])] == [
        "Input Image 0", "Image Super Resolution", "Image Denoising", "Image Deblurring", "Colorization",
        "Input Text 0", "Fill Mask", "Visual Question Answering", "Machine Translation",
    ]  # fmt: skip


_CORES = {
    "generate a image": "Text to Image Generation",
    "generate the rest of text": "Text Generation",
    "return the caption": "Image Captioning",
    "return the class label": "Image Classification",
    "return the object names": "Object Detection",
    "return the sentiment": "Sentiment Analysis",
    "return the summarization": "Text Summarization",
    "return the regular image": None,
}


def _published_goal(goal_of: ModuleType, sentence: str) -> Any:
    """The goal of a few-shot sentence, in its older wording ("gray", Chinese)."""
    match = re.fullmatch(
        r"Given (.*?)(Chinese |English )?(image|text), how to (.*?)(?: in (\w+))? step by step\?", sentence
    )
    assert match is not None, sentence
    words, language, role, asked, wanted = match.groups()
    defects = tuple(word.replace("gray", "grayscale") for word in words.split())
    core = _CORES[asked]
    output = "image" if core in (None, "Text to Image Generation") else "text"
    given = goal_of.Input(role, defects, None if role == "image" else (language or "English").strip())
    return goal_of.Goal((given,), core, output, wanted)


@pytest.mark.skipif(DATA is None, reason="AUTOFLOW_DATA is not set: the published few-shot pairs are not shipped")
def test_rule_of_the_references_gives_all_published_few_shot_plans(part: Any) -> None:
    published = Path(str(DATA), "openagi")
    sentences = (published / "train_task_description.txt").read_text(encoding="utf-8").splitlines()
    plans = (published / "train_model_sequence.txt").read_text(encoding="utf-8").splitlines()
    assert len(sentences) == 15
    for sentence, plan in zip(sentences, plans, strict=True):
        derived = part("reference").flat(_published_goal(part("goal"), sentence))
        assert ", ".join(derived) == plan


def test_few_shot_examples_are_no_tasks_and_follow_the_rule(part: Any) -> None:
    prompt = resources.folder("workflows") / "openagi" / "few.yaml"
    shown = re.findall(r"Given .*\?", document.load(prompt).workflow.entry.instruction)
    assert len(shown) == 4
    assert not set(shown) & {sentence for sentence, _ in part("sentences").sentences()}
    if DATA is not None:
        published = Path(DATA, "openagi", "train_task_description.txt").read_text(encoding="utf-8")
        assert not any(sentence in published for sentence in shown)


def test_baseline_answers_with_the_names_of_the_fifteen_modules(part: Any) -> None:
    names = list(part("modules").MODULES)
    assert len(names) == 15
    flows = resources.folder("workflows") / "openagi"
    for name in ("manual", "zero", "cot", "few"):
        schema: Any = document.load(flows / f"{name}.yaml").workflow.steps[-1].output
        assert schema["items"]["enum"] == names
        assert schema["minItems"] <= 1
        assert schema["maxItems"] >= 7
    baseline = loader.load("openagi").baseline
    assert baseline is not None
    assert baseline.name == "openagi-manual"


async def test_operators_say_that_they_processed_nothing() -> None:
    benchmark = loader.load("openagi")
    assert len(benchmark.operators) == 15
    for name, operator in benchmark.operators.items():
        assert operator.card.name == name
        assert operator.card.kind == "tool"
        result = await operator.run(_call(operator))
        assert isinstance(result, str)
        assert name in result
        assert "nothing was processed" in result
    assert benchmark.operators["Visual Question Answering"].card.inputs == ("image", "text")
    assert benchmark.operators["Text to Image Generation"].card.output == "image"


def _call(operator: Operator) -> Invocation:
    from autoflow.core.model import Sampling
    from autoflow.models.scripted import Scripted

    task = loader.load("openagi").train[0]
    return Invocation(operator.card.name, (), {}, task, {}, None, Scripted([]), Sampling())


def test_every_report_is_told_what_the_score_is_not() -> None:
    notes = " ".join(loader.load("openagi").notes)
    assert "no expert model" in notes
    assert "not official" in notes


def test_benchmark_works_from_wherever_its_folder_lies(tmp_path: Path) -> None:
    source = resources.folder("benchmarks") / "openagi"
    copy = shutil.copytree(source, tmp_path / "site" / "openagi", ignore=shutil.ignore_patterns("__pycache__"))
    here, there = loader.load("openagi"), loader.load(str(copy))
    assert there.train == here.train
    assert there.baseline == here.baseline
    assert there.fingerprint == here.fingerprint
