"""Every bundled workflow is sound, and runs to its answer with a scripted model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from autoflow import resources
from autoflow.benchmarks import loader
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import ProtocolName, Settings
from autoflow.language import document, lint
from autoflow.language.dump import dump
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library

FOLDER = resources.folder("workflows")
FILES = sorted(FOLDER.rglob("*.yaml"))
OPENAGI = loader.load("openagi")
OPERATORS: Mapping[str, Operator] = {**library(), **OPENAGI.operators}
CAPTION = Task("t", "Given noisy image, how to return the caption in English step by step?")
PLAN = '["Image Denoising", "Image Captioning"]'


async def run(name: str, rules: Sequence[Rule], text: str = CAPTION.text, protocol: ProtocolName = "fused") -> Trace:
    """Run a bundled workflow on a task with a script."""
    interpreter = Interpreter(Scripted(rules), OPERATORS, Settings(protocol=protocol))
    return await interpreter.run(document.load(FOLDER / name).workflow, Task("t", text))


def visited(trace: Trace) -> list[str]:
    assert trace.failure is None, trace.failure
    return [record.step for record in trace.steps]


def rule(when: str, *replies: str) -> Rule:
    return Rule(replies, when=when)


def label(name: str) -> str:
    return json.dumps({"reason": "It is so.", "label": name})


def test_there_are_at_least_six() -> None:
    assert len(FILES) >= 6
    assert len({document.load(file).workflow.name for file in FILES}) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_workflow_has_no_finding_of_any_severity(file: Path) -> None:
    cards = {name: operator.card for name, operator in OPERATORS.items()}
    assert lint.lint(document.load(file), cards) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_workflow_explains_itself_and_survives_a_round_trip(file: Path) -> None:
    loaded = document.load(file)
    assert loaded.text.startswith("# ")
    assert loaded.workflow.description.endswith(".")
    assert document.parse(dump(loaded.workflow)).workflow == loaded.workflow


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_output_schemas_are_valid_draft_07(file: Path) -> None:
    for step in document.load(file).workflow.steps:
        if step.output is not None:
            jsonschema.Draft7Validator.check_schema(dict(step.output))


# -- OpenAGI

MANUAL = [
    rule("Identify the input data type", "image"),
    rule("Identify the output data type", "text"),
    rule("Select models", "Image Denoising, Image Captioning"),
    rule("Output the to-do list", PLAN),
]


async def test_manual_flow_makes_a_plan_that_scores() -> None:
    rules = [*MANUAL, rule("among the provided models", label("yes")), rule("output data type of each", label("yes"))]
    trace = await run("openagi/manual.yaml", rules)
    assert visited(trace) == [
        "identify input",
        "identify output",
        "select models",
        "check names",
        "check types",
        "output list",
    ]
    assert trace.answer == ["Image Denoising", "Image Captioning"]
    task = next(task for task in OPENAGI.train if task.category == "image-text")
    score = await OPENAGI.scorer.score(task, trace)
    assert score.value is not None
    assert score.value > 0


async def test_manual_flow_starts_over_where_a_check_fails_and_ends_after_three_lists() -> None:
    rules = [*MANUAL, rule("among the provided models", label("yes")), rule("output data type of each", label("no"))]
    steps = visited(await run("openagi/manual.yaml", rules))
    assert steps.count("select models") == 3
    assert steps[-1] == "output list"
    rules = [*MANUAL, rule("among the provided models", label("no"))]
    steps = visited(await run("openagi/manual.yaml", rules))
    assert steps.count("select models") == 3
    assert "check types" not in steps


async def test_manual_flow_gives_the_same_plan_in_segments() -> None:
    whole = json.dumps(
        {
            "step_1": "image",
            "step_2": "text",
            "step_3": "Image Denoising, Image Captioning",
            "step_4": {"reason": "They are.", "label": "yes"},
        }
    )
    rules = [
        rule("Identify the input data type", whole),
        rule("output data type of each", label("yes")),
        rule("Output the to-do list", PLAN),
    ]
    trace = await run("openagi/manual.yaml", rules, protocol="segment")
    assert trace.answer == ["Image Denoising", "Image Captioning"]
    assert len(trace.calls) == 3


@pytest.mark.parametrize("name", ["zero", "few", "cot"])
async def test_baseline_answers_with_a_plan(name: str) -> None:
    rules = [rule("step by step. What", "It is noisy."), rule("must be applied", PLAN)]
    trace = await run(f"openagi/{name}.yaml", rules)
    assert trace.failure is None, trace.failure
    assert trace.answer == ["Image Denoising", "Image Captioning"]
    assert len(trace.calls) == (2 if name == "cot" else 1)


async def test_name_that_no_module_has_is_refused_by_the_plan_schema() -> None:
    trace = await run("openagi/zero.yaml", [rule("", '["Image Polishing"]')])
    assert trace.failure is not None
    assert trace.failure.reason == "reply"


# -- the others


async def test_chain_of_thought_answers_with_the_result_alone() -> None:
    rules = [rule("Think through", "6 x 7 = 42"), rule("State the final answer", "42")]
    assert (await run("chain_of_thought.yaml", rules, "6 x 7?")).answer == "42"


async def test_self_consistency_passes_on_what_most_lines_of_reasoning_reach() -> None:
    model = Scripted(
        [rule("Think through", "a\n41", "b\n42", "c\n42", "d\n43", "e\n42"), rule("State the final answer", "42")]
    )
    flow = document.load(FOLDER / "self_consistency.yaml").workflow
    trace = await Interpreter(model, OPERATORS).run(flow, Task("t", "6 x 7?"))
    assert trace.failure is None, trace.failure
    assert trace.steps[0].result == "b\n42"
    assert len(trace.calls) == 6
    shown = "\n".join(message.text for message in model.requests[-1].messages)
    assert "b\n42" in shown
    assert "41" not in shown


async def test_plan_and_solve_carries_out_its_own_plan() -> None:
    rules = [
        rule("devise a plan", "1. Multiply."),
        rule("Carry out this plan step by step, and write down what each step gives:\n\n1. Multiply.", "It gives 42."),
        rule("State the final answer", "42"),
    ]
    assert visited(await run("plan_and_solve.yaml", rules, "6 x 7?")) == ["plan", "carry out", "answer"]


WRITER = [
    rule("Write a complete first answer", "draft"),
    rule("Review the newest version", "Too short."),
    rule("Write the answer again", "longer", "longest"),
    rule("Output the newest version", "final"),
]


async def test_review_revise_ends_when_the_review_is_content() -> None:
    rules = [*WRITER, rule("Does the last review", label("yes"), label("no"))]
    trace = await run("generate_review_revise.yaml", rules, "Write a poem.")
    assert visited(trace) == ["draft", "review", "judge", "revise", "review", "judge", "deliver"]
    assert trace.answer == "final"


async def test_review_revise_revises_twice_at_most() -> None:
    steps = visited(
        await run("generate_review_revise.yaml", [*WRITER, rule("Does the last review", label("yes"))], "x")
    )
    assert steps.count("revise") == 2
    assert steps.count("review") == 3
    assert steps[-1] == "deliver"


TICKET = {"category": "refund", "urgent": False, "summary": "Wants money back.", "reply": "Which order was it?"}


@pytest.mark.parametrize(
    ("kind", "urgent", "path"),
    [
        ("refund", "no", ["sort", "refund facts", "urgent", "answer"]),
        ("bug", "yes", ["sort", "bug facts", "urgent", "hand over", "answer"]),
        ("question", "no", ["sort", "question facts", "urgent", "answer"]),
        ("other", "no", ["sort", "other facts", "urgent", "answer"]),
    ],
)
async def test_triage_takes_the_path_of_the_message_and_fills_in_a_ticket(
    kind: str, urgent: str, path: list[str]
) -> None:
    rules = [
        rule("What is it mainly about?", label(kind)),
        rule("Does the message speak of danger", label(urgent)),
        rule("Fill in the ticket", json.dumps(TICKET)),
        rule("", "facts"),
    ]
    trace = await run("triage_support_message.yaml", rules, "The kettle leaks. I want my money back.")
    assert visited(trace) == path
    assert trace.answer == TICKET


async def test_summary_treats_each_part_on_its_own_and_joins_them_in_order() -> None:
    rules = [
        rule("Name the subjects", '["tea", "coffee"]'),
        rule("this subject: tea", "Tea is hot."),
        rule("this subject: coffee", "Coffee is black."),
        rule("Write one summary", "Both are drinks."),
    ]
    trace: Any = await run("summarise_document.yaml", rules, "A long text on tea and coffee.")
    assert visited(trace) == ["parts", "summarise parts", "join"]
    assert list(trace.steps[1].result) == ["Tea is hot.", "Coffee is black."]
    assert trace.answer == "Both are drinks."


TOOLS = """\
autoflow: 1
name: modules-as-steps
inputs: [image]
steps:
  - {name: denoise, type: process, operator: Image Denoising, instruction: Denoise it., next: caption}
  - {name: caption, type: process, operator: Image Captioning, instruction: Caption it., next: done}
  - {name: done, type: terminal}
"""


@pytest.mark.parametrize("protocol", ["fused", "segment"])
async def test_plan_score_reads_the_modules_that_a_workflow_runs_as_steps(protocol: ProtocolName) -> None:
    cards = {name: operator.card for name, operator in OPERATORS.items()}
    flow = lint.check(document.parse(TOOLS), cards)
    task = next(task for task in OPENAGI.train if task.category == "image-text")
    wanted: Any = task.reference["derived_plan"]
    trace = await Interpreter(Scripted([]), OPERATORS, Settings(protocol=protocol)).run(flow, task)
    assert trace.failure is None, trace.failure
    assert trace.calls == ()
    score = await OPENAGI.scorer.score(task, trace)
    assert score.details["source"] == "steps"
    assert score.details["plan"] == ["Image Denoising", "Image Captioning"] != wanted


async def test_manual_flow_runs_in_the_published_protocol_and_its_answer_is_the_plan() -> None:
    flow = document.load(FOLDER / "openagi" / "manual.yaml").workflow
    # Its prompts repeat the earlier steps, so the rule of the latest step must come first.
    answers = [*MANUAL[:3], rule("among the provided", "yes"), rule("output data type of each", "yes"), MANUAL[3]]
    rules = [Rule(item.replies, item.when, purpose="answer") for item in reversed(answers)]
    model = Scripted([*rules, Rule(("1",), purpose="branch"), rule("", "No")])
    trace = await Interpreter(model, OPERATORS, Settings(protocol="core", core_tools=False)).run(flow, CAPTION)
    assert trace.failure is None, trace.failure
    assert trace.answer == ["Image Denoising", "Image Captioning"]
