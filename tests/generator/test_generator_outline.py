"""Outlines: straight workflows for generators too small for more."""

import json
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from autoflow.core.json import Json
from autoflow.core.operator import Card
from autoflow.core.workflow import Step, Workflow
from autoflow.generator.draft import DraftRequest, Form, Limits, bounded_schema, conversation, draft, form_of, written
from autoflow.generator.outline import EXAMPLE, TOOLS_EXAMPLE, from_outline, outline_schema, to_outline
from autoflow.language.lint import lint
from autoflow.models.scripted import Rule, Scripted

GOLDEN = Path(__file__).parent / "golden"

CARDS = (
    Card("generate", "Ask the language model."),
    Card("blur", "Blur a picture.", inputs=("image",), output="image", kind="tool"),
    Card("caption", "Say what a picture shows.", inputs=("image",), output="text", kind="tool"),
)
REQUEST = DraftRequest("Describe pictures.", CARDS, limits=Limits(max_steps=4, max_instruction_chars=80))
SMALL = frozenset({"schema", "grammar"})


def _outline(*operators: str, answer: str = "Say it.") -> str:
    return json.dumps({"steps": [["Do it.", name] for name in operators], "answer": answer})


def test_whatever_fits_the_schema_is_wired_soundly() -> None:
    schema = outline_schema(["generate"], max_steps=4, max_instruction_chars=20)
    for count in (1, 2, 3):
        value = {"steps": [["", "generate"]] * count, "answer": ""}
        jsonschema.validate(value, schema)
        workflow = from_outline(value)
        assert len(workflow.steps) == count + 1
        assert not [finding for finding in lint(workflow, {"generate": CARDS[0]}) if finding.severity == "error"]


def test_the_schema_bounds_every_text_and_list() -> None:
    schema = bounded_schema(CARDS, REQUEST.limits, "outline")
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(json.loads(_outline("blur", "generate", "caption")))
    for wrong in (["blur"], ["blur", "Do it."], ["Do it.", "blur", "caption"], "blur"):
        assert not validator.is_valid({"steps": [wrong], "answer": ""})
    assert not validator.is_valid(json.loads(_outline("blur", "blur", "blur", "caption")))  # 4 steps and the answer
    assert not validator.is_valid(json.loads(_outline("sharpen")))
    assert not validator.is_valid(json.loads(_outline("blur", answer="x" * 81)))


@pytest.mark.parametrize("example", [EXAMPLE, TOOLS_EXAMPLE])
def test_an_outline_survives_the_way_there_and_back(example: Mapping[str, Json]) -> None:
    assert to_outline(from_outline(example)) == example


def test_tools_alone_are_asked_for_in_fewer_words() -> None:
    alone, mixed = (
        conversation(DraftRequest("Do it.", cards, scope="task"), "outline") for cards in (CARDS[1:], CARDS)
    )
    assert "`answer`" in mixed[0].text
    assert "`answer`" not in alone[0].text
    assert '(image -> text): "caption"' in alone[1].text


@pytest.mark.parametrize("form", ["outline", "json", "yaml"])
def test_golden_prompts_for_one_task(form: Form) -> None:
    turns = conversation(DraftRequest("Given a blurry picture, how to return its caption?", CARDS, scope="task"), form)
    text = "\n\n".join(f"=== {turn.role}\n{turn.text}" for turn in turns) + "\n"
    assert text == (GOLDEN / f"task-{form}.txt").read_text(encoding="utf-8")


def test_prompts_for_tasks_of_one_set_differ_only_at_their_end() -> None:
    first, second = (conversation(DraftRequest(task, CARDS, scope="task"), "outline") for task in ("One.", "Two."))
    assert first[0] == second[0]
    assert first[1].text.removesuffix("One.") == second[1].text.removesuffix("Two.")


def test_a_workflow_with_a_decision_is_no_outline_and_is_shown_as_json() -> None:
    workflow = Workflow(
        "w",
        (
            Step("check", "decision", "Well?", branches={"yes": "end", "no": "end"}),
            Step("end", "terminal", "Answer."),
        ),
    )
    assert to_outline(workflow) is None
    assert json.loads(written(workflow, "outline"))["steps"][0]["type"] == "decision"


def test_a_jump_is_no_outline() -> None:
    end = Step("end", "terminal", "Answer.")
    steps = (Step("a", "process", "A.", next="end"), Step("b", "process", "B.", next="end"), end)
    assert to_outline(Workflow("w", steps)) is None


async def test_a_small_model_is_asked_for_an_outline_and_its_draft_runs_in_order() -> None:
    model = Scripted([Rule((_outline("blur", "caption", answer=""),))], features=SMALL)
    assert form_of(model) == "outline"
    found = await draft(model, REQUEST)
    assert found.workflow is not None
    assert [step.operator for step in found.workflow.steps] == ["blur", "caption", "generate"]
    assert found.workflow.steps[-1].instruction == ""
    assert "terminal" not in model.requests[0].messages[0].text


async def test_types_that_do_not_fit_go_back_with_the_step_at_fault() -> None:
    model = Scripted([Rule((_outline("caption", "blur"), _outline("blur", "caption")))], features=SMALL)
    found = await draft(model, REQUEST)
    assert found.workflow is not None
    assert found.repairs == 1
    assert "step 2" in model.requests[1].messages[-1].text


async def test_the_user_may_ask_for_another_form() -> None:
    model = Scripted([Rule(("{}",))], features=SMALL)
    found = await draft(model, REQUEST, repairs=0, form="yaml")
    assert found.workflow is None
    assert model.requests[0].schema is None
    assert "YAML" in conversation(REQUEST, "yaml")[1].text


async def test_a_model_that_enforces_no_schema_is_asked_for_an_outline_in_the_same_words() -> None:
    request = DraftRequest("Caption a blurry picture.", CARDS, scope="task")
    model = Scripted([Rule((_outline("blur", "caption", answer=""),))])
    found = await draft(model, request, form="outline", repairs=0)
    assert found.workflow is not None
    assert model.requests[0].messages == conversation(request, "outline")
    assert model.requests[0].schema is None
    wrong = Scripted([Rule(("no JSON", _outline("sharpen"), _outline("blur")))])
    assert (await draft(wrong, request, form="outline", repairs=2)).repairs == 2
    assert "'sharpen' is not one of" in wrong.requests[2].messages[-1].text
