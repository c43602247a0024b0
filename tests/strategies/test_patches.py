"""Patches: every edit of the closed set does what it says, and what fits the schema is a workflow or an error."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy_helpers import CARDS, chain, flow

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.generator.draft import Limits
from autoflow.language.lint import lint
from autoflow.strategies.merging import merged
from autoflow.strategies.mutations import mutation, simplification
from autoflow.strategies.patches import OPS, Scope, patch_schema, patched, told

LOOP = Workflow(
    "loop",
    (
        Step("draft", "process", "Write.", next="check"),
        Step(
            "check",
            "decision",
            "Is $(draft) good?",
            branches={"yes": "done", "no": "draft"},
            max_visits=2,
            otherwise="done",
        ),
        Step("done", "terminal", "Give it.", reads=("draft",)),
    ),
)
CHAIN = chain("Think.", "Look again.", "Answer.")
SCOPE = Scope(limits=Limits(max_steps=6, max_instruction_chars=60))


def edit(workflow: Workflow, op: str, **what: object) -> Workflow:
    return patched(workflow, [{"op": op, **what}], CARDS, SCOPE)  # type: ignore[dict-item]


def names(workflow: Workflow) -> list[str]:
    return [step.name for step in workflow.steps]


def test_an_instruction_is_replaced() -> None:
    made = edit(CHAIN, "replace_instruction", step="s1", instruction=" Think twice. ")
    assert made.step("s1").instruction == "Think twice."
    assert made.steps[1:] == CHAIN.steps[1:]


def test_an_operator_is_swapped_and_keeps_the_parameters_that_it_knows() -> None:
    first = edit(CHAIN, "swap_operator", step="s1", operator="ensemble")
    first = edit(first, "set_parameter", step="s1", parameter="samples", value=3.0)
    first = edit(first, "set_parameter", step="s1", parameter="max_tokens", value=99)
    assert first.step("s1").parameters == {"samples": 3, "max_tokens": 99}
    back = edit(first, "swap_operator", step="s1", operator="generate")
    assert back.step("s1").parameters == {"max_tokens": 99}


def test_a_step_is_inserted_before_another_wherever_that_was_led_to_from() -> None:
    made = edit(CHAIN, "insert_step", before="answer", name="sum up", operator="generate", instruction="Sum up.")
    assert [(step.name, step.next) for step in made.steps] == [
        ("s1", "s2"),
        ("s2", "sum up"),
        ("sum up", "answer"),
        ("answer", None),
    ]
    first = edit(CHAIN, "insert_step", before="s1", name="s1", operator="generate", instruction="Begin.")
    assert first.entry.name == "s1 2"
    looped = edit(LOOP, "insert_step", before="done", name="(x)", operator="generate", instruction="Polish.")
    assert looped.step("check").branches == {"yes": "x", "no": "draft"}
    assert looped.step("check").otherwise == "x"


def test_a_check_sends_back_a_bounded_number_of_times() -> None:
    made = edit(CHAIN, "insert_check", after="s2", question="Is it right?", back_to="s1")
    check = made.step("check s2")
    assert (check.branches, check.max_visits, check.otherwise) == ({"yes": "answer", "no": "s1"}, 2, "answer")
    assert made.step("s2").next == "check s2"
    with pytest.raises(WorkflowError, match="a check follows a process"):
        edit(CHAIN, "insert_check", after="answer", question="?", back_to="s1")


def test_a_step_is_removed_and_what_led_to_it_leads_on() -> None:
    assert [(step.name, step.next) for step in edit(CHAIN, "remove_step", step="s1").steps] == [
        ("s2", "answer"),
        ("answer", None),
    ]
    assert edit(CHAIN, "remove_step", step="s2").step("s1").next == "answer"
    assert names(edit(LOOP, "remove_step", step="check")) == ["draft", "done"]
    with pytest.raises(WorkflowError, match="terminal"):
        edit(CHAIN, "remove_step", step="answer")
    with pytest.raises(WorkflowError, match="uses the result of 'draft'"):
        edit(LOOP, "remove_step", step="draft")


def test_ways_and_readings_are_changed_and_what_nothing_leads_to_is_removed() -> None:
    assert names(edit(CHAIN, "rewire", step="s1", to="answer")) == ["s1", "answer"]
    assert edit(LOOP, "set_reads", step="done", reads=None).step("done").reads is None
    assert edit(CHAIN, "set_reads", step="answer", reads=["s2", "s2"]).step("answer").reads == ("s2",)
    straight = edit(LOOP, "rewire_branch", step="check", label="no", to="done")
    assert straight.step("check").branches["no"] == "done"
    with pytest.raises(WorkflowError, match="has no branch 'perhaps'"):
        edit(LOOP, "rewire_branch", step="check", label="perhaps", to="done")
    with pytest.raises(WorkflowError, match="only a process"):
        edit(LOOP, "rewire", step="check", to="done")


def test_a_model_is_set_only_where_the_scope_names_some() -> None:
    assert edit(CHAIN, "set_model", step="s1", model="openai/x").step("s1").model == "openai/x"
    assert "set_model" not in ops_of(patch_schema(CHAIN, CARDS, SCOPE))
    assert "set_model" in ops_of(patch_schema(CHAIN, CARDS, Scope(models=("openai/x",))))


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([{"op": "sing"}], "there is no edit 'sing'"),
        ([{"op": "rewire", "step": "s1", "to": "nowhere"}], "edit 1: rewire finds no 'nowhere'"),
        ([{"op": "rewire", "step": "s1", "to": "s1"}], "no step is a terminal"),
        ([{"op": "swap_operator", "step": "s1", "operator": "magic"}], "does not exist"),
        ([{"op": "replace_instruction", "step": "s1", "instruction": "x" * 61}], "at most 60 are allowed"),
        ([{"op": "replace_instruction", "step": "s1", "instruction": "Think."}], "change nothing"),
        ([{"op": "set_parameter", "step": "s1", "parameter": "samples", "value": 3}], "no parameter"),
    ],
)
def test_what_cannot_be_made_says_why(edits: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(WorkflowError, match=why):
        patched(CHAIN, edits, CARDS, SCOPE)


def test_steps_are_bounded() -> None:
    full = chain("1", "2", "3", "4", "5", "Answer.")
    assert "insert_step" not in ops_of(patch_schema(full, CARDS, SCOPE))
    with pytest.raises(WorkflowError, match="at most 6 are allowed"):
        edit(full, "insert_step", before="s1", name="x", operator="generate", instruction="More.")


def ops_of(schema: dict[str, Any]) -> list[str]:
    return [kind["properties"]["op"]["enum"][0] for kind in schema["properties"]["edits"]["items"]["anyOf"]]


def test_the_schema_offers_what_the_workflow_has_a_place_for() -> None:
    assert "rewire_branch" not in ops_of(patch_schema(CHAIN, CARDS, SCOPE))
    assert ops_of(patch_schema(LOOP, CARDS, Scope(models=("a/b",)))) == list(OPS)
    assert ops_of(patch_schema(LOOP, CARDS, Scope(ops=("remove_step",)))) == ["remove_step"]


def drawn(schema: Any, rng: random.Random) -> Any:
    """A value that fits a schema of the kinds that patches use."""
    if "anyOf" in schema:
        return drawn(rng.choice(schema["anyOf"]), rng)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema["type"]
    if kind == "object":
        return {key: drawn(item, rng) for key, item in schema["properties"].items()}
    if kind == "array":
        return [drawn(schema["items"], rng) for _ in range(rng.randint(schema.get("minItems", 0), schema["maxItems"]))]
    return {"string": "Do this.", "number": 2, "boolean": True, "null": None}[kind]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([CHAIN, LOOP]))
def test_whatever_fits_the_schema_becomes_a_sound_workflow_or_is_refused(seed: int, workflow: Workflow) -> None:
    schema = patch_schema(workflow, CARDS, SCOPE)
    value = drawn(schema, random.Random(seed))
    assert isinstance(told(value["edits"]), str)
    try:
        made = patched(workflow, value["edits"], CARDS, SCOPE)
    except WorkflowError:
        return
    cards = {card.name: card for card in CARDS}
    assert not [finding for finding in lint(made, cards) if finding.severity == "error"]
    assert made.fingerprint() != workflow.fingerprint()


# -- edits that no model writes


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([CHAIN, LOOP]))
def test_a_mutation_is_sound_and_changes_something(seed: int, workflow: Workflow) -> None:
    found = mutation(workflow, CARDS, random.Random(seed), Scope())
    assert found is not None
    assert found[0].fingerprint() != workflow.fingerprint()
    assert found == mutation(workflow, CARDS, random.Random(seed), Scope())


def test_a_mutation_stays_at_the_place_that_is_at_fault() -> None:
    for seed in range(30):
        found = mutation(CHAIN, CARDS, random.Random(seed), Scope(), step="s2")
        assert found is not None
        assert "s2" in found[1].values()
        assert found[0].step("s1").instruction == "Think."


def test_a_simplification_leaves_less_to_pay_for() -> None:
    voted = edit(chain("Think.", "Answer."), "swap_operator", step="answer", operator="ensemble")
    seen = {simplification(voted, CARDS, random.Random(seed), Scope())[0].fingerprint() for seed in range(20)}  # type: ignore[index]
    assert seen == {chain("Think.", "Answer.").fingerprint(), edit(voted, "remove_step", step="s1").fingerprint()}
    assert simplification(flow("Answer."), CARDS, random.Random(0), Scope()) is None


# -- merging


def test_what_two_changed_in_different_places_is_put_together() -> None:
    ours = edit(CHAIN, "replace_instruction", step="s1", instruction="Think hard.")
    theirs = edit(CHAIN, "swap_operator", step="s2", operator="ensemble")
    both = merged(CHAIN, ours, theirs)
    assert both is not None
    assert (both.step("s1").instruction, both.step("s2").operator) == ("Think hard.", "ensemble")


def test_where_both_changed_the_same_ours_stands() -> None:
    ours = edit(CHAIN, "replace_instruction", step="s1", instruction="Ours.")
    theirs = edit(edit(CHAIN, "replace_instruction", step="s1", instruction="Theirs."), "remove_step", step="s2")
    both = merged(CHAIN, ours, theirs)
    assert both is not None
    assert [(step.name, step.instruction) for step in both.steps] == [("s1", "Ours."), ("answer", "Answer.")]
    assert merged(CHAIN, ours, edit(CHAIN, "replace_instruction", step="s1", instruction="Theirs.")) is None


def test_steps_that_both_put_in_the_same_place_come_one_after_the_other() -> None:
    ours = edit(CHAIN, "insert_step", before="answer", name="a", operator="generate", instruction="A.")
    theirs = edit(CHAIN, "insert_step", before="answer", name="b", operator="generate", instruction="B.")
    both = merged(CHAIN, ours, theirs)
    assert both is not None
    assert [(step.name, step.next) for step in both.steps] == [
        ("s1", "s2"),
        ("s2", "b"),
        ("a", "answer"),
        ("b", "a"),
        ("answer", None),
    ]
    assert not lint(both, {card.name: card for card in CARDS})
