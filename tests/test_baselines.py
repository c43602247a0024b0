"""Reference methods: found by name, sound on every bundled benchmark, in the form that its scorer reads."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from autoflow import baselines
from autoflow.benchmarks import folder, loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.counting import load_of
from autoflow.errors import DataError, UnknownNameError, UsageError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.language.lint import lint
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library

STEPS = 20
LISTED = {"type": "array", "items": {"type": "string"}}


class _Judge:
    label = "score"

    async def score(self, task: Task, trace: Trace) -> object:
        raise NotImplementedError


def _benchmark(**more: object) -> Benchmark:
    return Benchmark("mine", "Mine.", (), (), _Judge(), **more)  # type: ignore[arg-type]


def _definition(name: str, place: Path) -> Benchmark:
    """A bundled benchmark without its data: with a task of the test's own."""
    file = folder.find(name)
    definition = file.read_text(encoding="utf-8")
    head = definition[: definition.index("data:")]
    rest = definition[definition.index("scorer:") :]
    (place / "benchmark.yaml").write_text(f"{head}data: {{jsonl: tasks.jsonl, fields: {{text: text}}}}\n{rest}")
    (place / "tasks.jsonl").write_text(json.dumps({"text": "What is 1 + 1?"}) + "\n")
    return loader.load(str(place), scorer="exact")


def _operators(benchmark: Benchmark) -> Mapping[str, Operator]:
    return {**library(), **benchmark.operators}


# TravelPlanner's baselines use operators over its data: its own tests bring some.
@pytest.mark.parametrize("name", [name for name in folder.names() if name != "travelplanner"])
def test_every_baseline_of_every_benchmark_is_sound(name: str, tmp_path: Path) -> None:
    benchmark = loader.load(name) if name == "openagi" else _definition(name, tmp_path)
    known = baselines.names(benchmark)
    assert {"io", "cot", "cot-sc", "manual"} <= set(known)
    cards = {key: operator.card for key, operator in _operators(benchmark).items()}
    for asked in [*known, "cot-sc:1", "cot-sc:7"]:
        assert lint(baselines.find(asked, benchmark, STEPS).workflow, cards) == [], asked


def test_openagi_brings_the_published_ones_in_its_form() -> None:
    benchmark = loader.load("openagi")
    assert set(baselines.names(benchmark)) == {"zero", "cot", "few", "manual", "io", "cot-sc"}
    assert baselines.find("zero", benchmark, STEPS).workflow.name == "openagi-zero"
    assert baselines.find("manual", benchmark, STEPS).workflow == benchmark.baseline
    form = baselines.find("cot-sc:3", benchmark, STEPS).workflow.steps[-1].output
    assert form is not None
    assert "Image Denoising" in form["items"]["enum"]  # type: ignore[index, call-overload]


def test_plain_question_takes_one_call_and_reasoning_one_more() -> None:
    benchmark = _benchmark()
    calls = [
        load_of(baselines.find(name, benchmark, STEPS).workflow, library(), Settings()).calls
        for name in ("io", "cot", "cot-sc:5")
    ]
    assert [(each.low, each.high) for each in calls] == [(1, 1), (2, 2), (6, 6)]


def test_the_form_of_the_hand_written_answer_is_the_baselines_too() -> None:
    hand = Workflow("hand", (Step("answer", "terminal", "List.", output=LISTED),))
    for name in ("io", "cot", "cot-sc:2"):
        assert baselines.find(name, _benchmark(baseline=hand), STEPS).workflow.steps[-1].output == LISTED
        assert baselines.find(name, _benchmark(), STEPS).workflow.steps[-1].output is None


async def test_votes_decide_for_the_commonest_answer() -> None:
    workflow = baselines.find("cot-sc:3", _benchmark(), STEPS).workflow
    model = Scripted([Rule(("so\n4", "so\n5", "hence\n5"), when="last line"), Rule(("five",), when="State")])
    trace = await Interpreter(model, library()).run(workflow, Task("t", "2 + 3?"))
    assert trace.answer == "five"
    assert len(trace.calls) == 4
    assert "hence\n5" not in model.requests[-1].messages[-1].text
    assert "so\n5" in "".join(message.text for message in model.requests[-1].messages)


async def test_code_solutions_are_drawn_apart_and_compared_together() -> None:
    benchmark = _benchmark(baselines={"cot-sc": _code()})
    workflow = baselines.find("cot-sc:3", benchmark, STEPS).workflow
    replies = tuple(f"def f(): return {number}" for number in range(3))
    model = Scripted([Rule(replies, when="whole function"), Rule(("def f(): return 1",), when="Compare")])
    trace = await Interpreter(model, library(), Settings(seed=1)).run(workflow, Task("t", "Write f."))
    assert trace.answer == "def f(): return 1"
    drawn = model.requests[:3]
    assert len({request.key("m") for request in drawn}) == 3
    assert len({request.messages for request in drawn}) == 1
    shown = "".join(message.text for message in model.requests[3].messages)
    assert all(reply in shown for reply in replies)


def _code() -> Workflow:
    from autoflow import resources
    from autoflow.language import document

    return document.load(resources.folder("workflows") / "baselines" / "code_self_consistency.yaml").workflow


@pytest.mark.parametrize(("calls", "samples"), [(0.4, 1), (2, 1), (5.2, 4), (5.6, 5), (1000, 50)])
def test_equal_budget_takes_the_nearest_number_of_samples(calls: float, samples: int) -> None:
    baseline = baselines.find("cot-sc:equal", _benchmark(), STEPS)
    assert baseline.equal
    assert baselines.samples_for(baseline.workflow, calls, library(), Settings()) == samples


def test_samples_that_are_steps_stay_within_the_steps_of_a_run() -> None:
    benchmark = _benchmark(baselines={"cot-sc": _code()})
    assert baselines.samples_for(_code(), 1000, library(), Settings(max_steps=8)) == 7
    assert len(baselines.find("cot-sc:7", benchmark, 8).workflow.steps) == 8
    with pytest.raises(UsageError, match="a number from 1 to 7") as raised:
        baselines.find("cot-sc:8", benchmark, 8)
    assert "--max-steps" in str(raised.value)


@pytest.mark.parametrize("asked", ["cot-sc:0", "cot-sc:51", "cot-sc:many", "cot-sc:", "io:2", "cot-sc:²"])
def test_a_number_that_does_not_fit_is_misuse(asked: str) -> None:
    with pytest.raises(UsageError):
        baselines.find(asked, _benchmark(), STEPS)


def test_an_unknown_baseline_lists_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown baseline of mine 'few'; there are: cot, cot-sc, io$"):
        baselines.find("few", _benchmark(), STEPS)


def test_a_benchmark_of_ones_own_brings_its_baselines_by_path(tmp_path: Path) -> None:
    (tmp_path / "terse.yaml").write_text(
        "autoflow: 1\nname: terse\nsteps:\n  - {name: a, type: terminal, instruction: One word.}\n"
    )
    (tmp_path / "tasks.jsonl").write_text('{"text": "x"}\n')
    text = "name: own\ndescription: Own.\ndata: {jsonl: tasks.jsonl, fields: {text: text}}\nscorer: exact\n"
    (tmp_path / "benchmark.yaml").write_text(f"{text}baselines: {{terse: terse.yaml}}\n")
    assert baselines.find("terse", loader.load(str(tmp_path)), STEPS).workflow.name == "terse"
    (tmp_path / "benchmark.yaml").write_text(f"{text}baselines: {{terse: absent.yaml}}\n")
    with pytest.raises(DataError, match=r"benchmark.yaml:5:.*baselines.terse: there is no file .*absent.yaml"):
        loader.load(str(tmp_path))
