"""Drafting: text or JSON of a model becomes a workflow, or a typed list of what is wrong with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoflow.core.model import Message
from autoflow.core.operator import Card
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import BudgetExhaustedError, ProviderError
from autoflow.generator.draft import (
    EXAMPLE,
    Draft,
    DraftRequest,
    Limits,
    answer_of,
    bounded_schema,
    conversation,
    draft,
    extract,
    spoken,
    usable,
    written,
)
from autoflow.language.document import parse
from autoflow.language.json_schema import fault_of_value
from autoflow.language.lint import lint
from autoflow.language.schema import from_generated
from autoflow.models.scripted import Rule, Scripted

GOLDEN = Path(__file__).parent / "golden"

CARDS = (
    Card("generate", "Ask the language model."),
    Card(
        "ensemble",
        "Ask several times and keep the commonest answer.",
        parameters={"samples": {"type": "integer", "default": 5}},
    ),
    Card("look-up", "Find a page.", parameters={"source": {"enum": ["web", "book"]}}, kind="tool"),
)

REQUEST = DraftRequest(
    description="Answer riddles.",
    cards=CARDS,
    examples=("What has keys but opens no lock?",),
    evidence="The hand-written workflow scored 0.250 on 4 tasks",
    wish="Write a workflow that scores higher.",
)

GOOD = """autoflow: 1
name: riddle
steps:
  - name: think
    type: process
    instruction: Think of three answers.
    next: answer
  - name: answer
    type: terminal
    instruction: Give the best answer.
"""
LOST = GOOD.replace("next: answer", "next: anser")


def good_json() -> dict[str, object]:
    step = {"operator": "generate", "next": None, "branches": [], "max_visits": None, "otherwise": None}
    step["parameters"] = []
    return {
        "name": "riddle",
        "description": "Riddles.",
        "steps": [
            {"name": "think", "type": "process", "instruction": "Think.", **step, "next": "answer"},
            {"name": "answer", "type": "terminal", "instruction": "Give the best answer.", **step},
        ],
    }


def writer(*replies: str, schema: bool = False) -> Scripted:
    return Scripted([Rule(replies)], features=frozenset({"schema"}) if schema else frozenset())


def test_the_example_that_every_generator_sees_is_sound_in_both_forms() -> None:
    assert lint(EXAMPLE, {card.name: card for card in CARDS}) == []
    assert parse(written(EXAMPLE, "yaml")).workflow == EXAMPLE
    system = conversation(REQUEST, "json")[0].text
    example = json.loads(system[system.index('{"name"') :])
    assert from_generated(example).fingerprint() == EXAMPLE.fingerprint()
    assert fault_of_value(example, bounded_schema(CARDS, Limits())) is None


async def test_a_valid_draft_takes_one_call() -> None:
    model = writer(GOOD)
    found = await draft(model, REQUEST)
    assert found == Draft(parse(GOOD).workflow, GOOD, readable=True)
    (request,) = model.requests
    assert (request.purpose, request.schema) == ("draft", None)
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.max_tokens) == (1.0, 1.0, 2000)


async def test_errors_go_back_with_line_and_text_of_the_line() -> None:
    model = writer(LOST, GOOD)
    found = await draft(model, REQUEST)
    assert found.workflow == parse(GOOD).workflow
    assert (found.errors, found.repairs) == ((), 1)
    repair = model.requests[1].messages
    assert repair[0] == model.requests[0].messages[0]
    assert "Answer riddles." in repair[1].text
    # What scored how is no help with the form, and a small context needs the room.
    assert REQUEST.evidence not in repair[1].text
    assert (repair[2].role, repair[2].text) == ("assistant", LOST)
    assert "line 7:" in repair[3].text
    assert "anser" in repair[3].text
    assert "| next: anser" in repair[3].text
    assert model.requests[0].sample != model.requests[1].sample


async def test_after_three_repairs_the_draft_is_invalid_and_says_why() -> None:
    model = writer(LOST, "nothing: [", LOST, LOST, GOOD)
    found = await draft(model, REQUEST)
    assert found.workflow is None
    assert found.repairs == 3
    assert found.text == LOST
    assert any("anser" in error for error in found.errors)
    # Only the draft before goes back, so the conversation does not grow.
    assert [len(request.messages) for request in model.requests] == [2, 4, 4, 4]


async def test_without_repairs_the_first_error_ends_it() -> None:
    model = writer(LOST)
    assert (await draft(model, REQUEST, repairs=0)).repairs == 0
    assert len(model.requests) == 1


async def test_bounds_hold_for_drafts_in_yaml_too() -> None:
    request = DraftRequest("d", CARDS, limits=Limits(max_steps=1, max_instruction_chars=20))
    found = await draft(writer(GOOD), request, repairs=0)
    assert found.workflow is None
    assert any("2 steps; at most 1" in error for error in found.errors)
    assert any('step "think": the instruction has 23 characters' in error for error in found.errors)


async def test_a_draft_may_not_choose_a_model() -> None:
    text = GOOD.replace("    next: answer", "    model: openai/dear\n    next: answer")
    found = await draft(writer(text), REQUEST, repairs=0)
    assert found.workflow is None
    assert any("remove the key `model`" in error for error in found.errors)


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "\ud800", "\u202e", "\x00"])
async def test_hostile_characters_neither_break_a_draft_nor_reach_a_terminal(hostile: str) -> None:
    value = good_json()
    value["steps"][0]["instruction"] = hostile  # type: ignore[index]
    value["steps"][0]["next"] = hostile  # type: ignore[index]
    replies = [(json.dumps(value), True), (LOST.replace("anser", f'anser "{hostile}'), False)]
    for reply, schema in replies:
        found = await draft(writer(reply, schema=schema), REQUEST, repairs=0)
        assert found.workflow is None
        assert all(error.isprintable() for error in found.errors)
        "".join(found.errors).encode()


async def test_an_operator_that_is_not_on_the_cards_is_an_error() -> None:
    text = GOOD.replace("    next: answer", "    operator: telepathy\n    next: answer")
    found = await draft(writer(text), REQUEST, repairs=0)
    assert found.workflow is None
    assert any("telepathy" in error for error in found.errors)


async def test_many_and_long_errors_are_shortened_for_the_model() -> None:
    steps = "".join(
        f"  - {{name: s{number}, type: process, instruction: x, next: {'y' * 900}{number}}}\n" for number in range(9)
    )
    model = writer(f"autoflow: 1\nname: x\nsteps:\n{steps}", GOOD)
    found = await draft(model, REQUEST)
    assert found.workflow is not None
    shown = model.requests[1].messages[3].text
    assert len(shown) < 3000
    assert "more" in shown


async def test_a_model_that_enforces_schemas_is_held_to_one_and_converted() -> None:
    model = writer(json.dumps(good_json()), schema=True)
    found = await draft(model, REQUEST)
    assert found.workflow is not None
    assert [step.name for step in found.workflow.steps] == ["think", "answer"]
    schema = model.requests[0].schema
    assert schema == bounded_schema(CARDS, REQUEST.limits)


async def test_errors_in_json_name_the_step() -> None:
    lost = good_json()
    lost["steps"][0]["next"] = "anser"  # type: ignore[index]
    model = writer(json.dumps(lost), json.dumps(good_json()), schema=True)
    found = await draft(model, REQUEST)
    assert (found.workflow is not None, found.repairs) == (True, 1)
    assert "anser" in model.requests[1].messages[3].text
    assert 'step "think"' in model.requests[1].messages[3].text


async def test_json_that_breaks_off_is_an_invalid_draft_and_no_exception() -> None:
    found = await draft(writer(json.dumps(good_json())[:80], schema=True), REQUEST, repairs=1)
    assert found.workflow is None
    assert found.repairs == 1
    assert "fewer and shorter steps" in found.errors[0]


async def test_json_that_fits_the_schema_but_is_no_workflow_is_an_invalid_draft() -> None:
    twice = good_json()
    branch = {"label": "yes", "target": "answer"}
    twice["steps"][0] |= {"type": "decision", "next": None, "branches": [branch, branch]}  # type: ignore[index]
    found = await draft(writer(json.dumps(twice), schema=True), REQUEST, repairs=0)
    assert found.workflow is None
    assert "twice" in found.errors[0]


class Failing(Scripted):
    def __init__(self, error: Exception) -> None:
        super().__init__([])
        self.error = error

    async def complete(self, request):  # type: ignore[no-untyped-def]
        raise self.error


@pytest.mark.parametrize("error", [ProviderError("gone", transient=True), BudgetExhaustedError("spent")])
async def test_faults_that_are_not_the_draft_s_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        await draft(Failing(error), REQUEST)


class Cut(Scripted):
    async def complete(self, request):  # type: ignore[no-untyped-def]
        return replace(await super().complete(request), finish="length")


async def test_yaml_that_was_cut_off_is_refused_even_where_it_would_parse() -> None:
    found = await draft(Cut([Rule((GOOD,))]), REQUEST, repairs=0)
    assert found.workflow is None
    assert "broke off" in found.errors[0]
    fenced = await draft(Cut([Rule((f"```yaml\n{GOOD}```\nand so on and",))]), REQUEST, repairs=0)
    assert fenced.workflow is not None


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```yaml\n{GOOD}```",
        f"Here it is:\n\n```\n{GOOD}```\nGood luck!",
        f"~~~yml\n{GOOD}~~~",
        f"```yaml\n{GOOD}",
        f"Sure! Here is the workflow:\n{GOOD}",
        f"<think>autoflow: 1 would\nsteps: be</think>\n{GOOD}",
        f"```text\na plan\n```\nand\n```yaml\n{GOOD}```\n```\nsome other block\n```",
    ],
)
async def test_the_workflow_is_found_in_a_fence_or_bare(text: str) -> None:
    found = await draft(writer(text), REQUEST, repairs=0)
    assert found.workflow == parse(GOOD).workflow


def test_text_without_a_workflow_is_left_as_it_is() -> None:
    assert extract("I cannot do that.") == ("I cannot do that.", False)
    assert extract("```\nno\n```") == ("no\n", True)
    assert extract("") == ("", False)


async def test_the_benchmark_s_answer_form_is_put_on_every_terminal() -> None:
    answer = {"type": "array", "items": {"type": "string"}}
    request = DraftRequest("d", CARDS, answer=answer)
    for model in (writer(GOOD), writer(json.dumps(good_json()), schema=True)):
        found = await draft(model, request)
        assert found.workflow is not None
        assert found.workflow.step("answer").output == answer
        assert found.workflow.step("think").output is None
        assert '"type": "array"' in model.requests[0].messages[1].text
        assert answer_of(found.workflow) == answer
        assert "output" not in written(found.workflow, "yaml", answer)
    assert answer_of(None) is None


def test_a_form_offers_no_operator_that_needs_a_parameter_which_it_cannot_state() -> None:
    assert [card.name for card in usable(CARDS, "outline")] == ["generate", "ensemble"]
    assert usable(CARDS, "yaml") == usable(CARDS, "json") == CARDS
    needs_object = Card("chart", "Draws.", parameters={"axes": {"type": "object"}})
    assert usable((needs_object,), "yaml") == (needs_object,)
    assert usable((needs_object,), "json") == ()


async def test_json_states_parameters_and_lint_checks_them() -> None:
    value = good_json()
    value["steps"][0] |= {"operator": "ensemble", "parameters": [{"name": "samples", "value": 3}]}  # type: ignore[index]
    model = writer(json.dumps(value), schema=True)
    found = await draft(model, REQUEST)
    assert found.workflow is not None
    assert found.workflow.step("think").parameters == {"samples": 3}
    assert written(found.workflow, "json").count('"parameters": [{"name": "samples", "value": 3}]') == 1
    assert "samples (integer, default 5)" in model.requests[0].messages[1].text
    value["steps"][0]["parameters"] = [{"name": "source", "value": "web"}]  # type: ignore[index]
    lost = await draft(writer(json.dumps(value), schema=True), REQUEST, repairs=0)
    assert any('operator "ensemble" has no parameter "source"' in error for error in lost.errors)
    value["steps"][0]["parameters"] = [{"name": "samples", "value": "x" * 50}]  # type: ignore[index]
    lost = await draft(writer(json.dumps(value), schema=True), REQUEST, repairs=0)
    assert any("not of type 'integer'" in error for error in lost.errors)


async def test_a_parameter_may_not_be_longer_than_the_bound() -> None:
    cards = (*CARDS, Card("note", "Notes.", parameters={"text": {"type": "string"}}))
    request = DraftRequest("d", cards, limits=Limits(max_parameter_chars=10))
    text = GOOD.replace(
        "    next: answer", f"    operator: note\n    parameters: {{text: {'x' * 11}}}\n    next: answer"
    )
    found = await draft(writer(text), request, repairs=0)
    assert any('the parameter "text" has 11 characters; at most 10' in error for error in found.errors)


def test_parameters_that_leave_the_run_s_setting_are_not_offered() -> None:
    cards = (Card("generate", "Ask.", parameters={"temperature": {"type": "number", "default": None}}),)
    for form in ("yaml", "json"):
        text = "\n".join(turn.text for turn in conversation(DraftRequest("d", cards), form))  # type: ignore[arg-type]
        assert "temperature" not in text
    assert '"parameters"' not in str(bounded_schema(cards, Limits()))
    # What is not offered may be stated all the same.
    text = GOOD.replace("    next: answer", "    parameters: {temperature: 0.5}\n    next: answer")
    assert [finding.rule for finding in lint(parse(text), {card.name: card for card in cards})] == []


def test_cards_can_be_shown_without_their_descriptions() -> None:
    text = conversation(replace(REQUEST, describe_cards=False), "yaml")[1].text
    assert "- look-up (any -> text) Parameters: source (web|book)." in text
    assert "Find a page" not in text


def test_every_text_and_list_of_the_schema_is_bounded() -> None:
    def check(schema: object) -> None:
        if isinstance(schema, dict):
            kind = schema.get("type")
            kinds = kind if isinstance(kind, list) else [kind]
            if "string" in kinds and "enum" not in schema:
                assert "maxLength" in schema
            if "array" in kinds:
                assert "maxItems" in schema
            for item in schema.values():
                check(item)

    check(bounded_schema(CARDS, Limits()))


async def test_drafts_of_different_samples_share_no_recorded_reply() -> None:
    model = writer(LOST)
    for sample in (0, 1):
        await draft(model, DraftRequest("d", CARDS, sample=sample))
    keys = {request.key(model.name) for request in model.requests}
    # The repairs too: a model that repeats itself is asked afresh, not answered from the record.
    assert len(keys) == len(model.requests) == 8


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_golden_prompts(form: str) -> None:
    turns = conversation(REQUEST, form)  # type: ignore[arg-type]
    text = "\n\n".join(f"=== {turn.role}\n{turn.text}" for turn in turns) + "\n"
    assert text == (GOLDEN / f"draft-{form}.txt").read_text(encoding="utf-8")


def test_the_prompt_leaves_room_in_a_context_of_2000_tokens() -> None:
    manual = Workflow("m", (Step("answer", "terminal", "Answer."),))
    for form in ("yaml", "json"):
        turns = conversation(DraftRequest("Answer riddles.", CARDS, evidence=written(manual, form)), form)  # type: ignore[arg-type]
        # About four characters a token.
        assert sum(len(turn.text) for turn in turns) < 4 * 900


def test_data_in_a_prompt_is_never_rendered() -> None:
    hostile = "{{ 7 * 7 }}{% for x in y %}"
    turns = conversation(DraftRequest(hostile, CARDS, examples=(hostile,), evidence=hostile), "yaml")
    assert turns[1].text.count(hostile) == 3


# -- notes, turns and checks

NOTED = replace(REQUEST, note="analysis", limits=Limits(max_note_chars=90))


async def test_a_note_stands_before_the_workflow_and_survives_repairs() -> None:
    model = writer(f"It guesses.\n\n```yaml\n{LOST}```", f"```yaml\n{GOOD}```")
    found = await draft(model, NOTED)
    assert (found.note, found.repairs, found.text) == ("It guesses.", 1, GOOD)
    assert "Write the analysis first" in model.requests[0].messages[1].text
    # A repair is asked for the workflow alone: the analysis is kept.
    assert "analysis" not in "".join(turn.text for turn in model.requests[1].messages)
    assert spoken(found, "yaml", "analysis") == f"It guesses.\n\n```yaml\n{GOOD.strip()}\n```"


async def test_a_note_in_json_is_written_first_and_bounded() -> None:
    value = {"analysis": "It guesses.", **good_json()}
    model = writer(json.dumps(value), schema=True)
    found = await draft(model, NOTED)
    assert (found.workflow is not None, found.note) == (True, "It guesses.")
    schema = json.loads(json.dumps(model.requests[0].schema))
    assert next(iter(schema["properties"])) == "analysis"
    assert schema["properties"]["analysis"]["maxLength"] == 90
    assert json.loads(spoken(found, "json", "analysis")) == value


async def test_turns_follow_the_opening_and_repairs_leave_them_out() -> None:
    turns = (Message("assistant", "EARLIER"), Message("user", "FEEDBACK"))
    model = writer("no workflow", GOOD)
    await draft(model, replace(REQUEST, turns=turns))
    assert model.requests[0].messages[2:] == turns
    assert "EARLIER" not in "".join(turn.text for turn in model.requests[1].messages)


async def test_a_check_sends_its_errors_back_and_can_refuse() -> None:
    seen: list[Workflow] = []

    async def check(workflow: Workflow) -> list[str]:
        seen.append(workflow)
        return ["step X failed: no reason"] if len(seen) < 3 else []

    model = writer(GOOD)
    found = await draft(model, REQUEST, check=check)
    assert (found.workflow, found.repairs) == (parse(GOOD).workflow, 2)
    assert "step X failed: no reason" in model.requests[1].messages[-1].text
    seen.clear()
    refused = await draft(writer(GOOD), REQUEST, repairs=1, check=check)
    assert (refused.workflow, refused.errors) == (None, ("step X failed: no reason",))
