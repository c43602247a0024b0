"""What changed, in the words of the language."""

import json
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from language_strategies import workflows

from autoflow.core.workflow import Step, Workflow
from autoflow.language.diff import diff, words

FLOW = Workflow(
    "plan",
    (
        Step("draft", "process", "Write a list for $(task).", next="check"),
        Step("check", "decision", "Is $(draft) right?", branches={"yes": "done", "no": "draft"}),
        Step("done", "terminal", "Output it."),
    ),
)


def changed(number: int, **fields: object) -> Workflow:
    steps = list(FLOW.steps)
    steps[number] = replace(steps[number], **fields)  # type: ignore[arg-type]
    return replace(FLOW, steps=tuple(steps))


def kinds(a: Workflow, b: Workflow) -> list[tuple[str, str | None, str | None]]:
    return [(change.kind, change.step, change.key) for change in diff(a, b).changes]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows, workflows)
def test_a_diff_is_empty_exactly_for_equal_workflows(a: Workflow, b: Workflow) -> None:
    assert not diff(a, a)
    assert diff(a, a).to_text() == ""
    if a.fingerprint() != b.fingerprint():
        assert diff(a, b)
    json.dumps(diff(a, b).to_json())
    assert "\x00" not in diff(a, b).to_text()


def test_a_reworded_step_shows_the_words() -> None:
    found = diff(FLOW, changed(0, instruction="Write a short list for $(task)."))
    assert [(c.kind, c.step, c.key) for c in found.changes] == [("reworded", "draft", "instruction")]
    assert found.to_text() == '~ step "draft" reworded:\n    Write a {+short+} list for $(task).\n'


def test_rewired_steps() -> None:
    assert kinds(FLOW, changed(0, next="done")) == [("rewired", "draft", "next")]
    b = changed(1, branches={"yes": "done", "no": "check"}, max_visits=3, otherwise="done")
    assert kinds(FLOW, b) == [("rewired", "check", key) for key in ("branches", "max_visits", "otherwise")]
    assert '~ step "check" rewired: max_visits: none -> 3' in diff(FLOW, b).to_text()


def test_the_order_of_branches_is_wiring() -> None:
    assert kinds(FLOW, changed(1, branches={"no": "draft", "yes": "done"})) == [("rewired", "check", "branches")]


def test_other_fields_are_changed_one_by_one() -> None:
    b = changed(0, operator="ensemble", parameters={"n": 2}, reads=("check",))
    assert kinds(FLOW, b) == [("changed", "draft", key) for key in ("operator", "parameters", "reads")]
    assert 'parameters: {} -> {"n": 2}' in diff(FLOW, b).to_text()
    assert 'reads: none -> ["check"]' in diff(FLOW, b).to_text()


def test_added_and_removed_steps() -> None:
    b = replace(FLOW, steps=(*FLOW.steps, Step("more", "terminal", "x")))
    assert kinds(FLOW, b) == [("added", "more", None)]
    assert kinds(b, FLOW) == [("removed", "more", None)]
    assert diff(FLOW, b).to_text() == '+ step "more" added\n'
    assert diff(b, FLOW).to_text() == '- step "more" removed\n'


def test_a_renamed_step_is_one_change_wherever_it_is_named() -> None:
    b = Workflow(
        "plan",
        (
            Step("list", "process", "Write a list for $(task).", next="check"),
            Step("check", "decision", "Is $(list) right?", branches={"yes": "done", "no": "list"}),
            Step("done", "terminal", "Output it."),
        ),
    )
    assert kinds(FLOW, b) == [("renamed", "list", "name")]
    assert diff(FLOW, b).to_text() == '~ step "list" renamed from "draft"\n'


def test_two_renamed_steps_that_name_each_other() -> None:
    b = Workflow(
        "plan",
        (
            Step("list", "process", "Write a list for $(task).", next="judge"),
            Step("judge", "decision", "Is $(list) right?", branches={"yes": "done", "no": "list"}),
            Step("done", "terminal", "Output it."),
        ),
    )
    assert kinds(FLOW, b) == [("renamed", "list", "name"), ("renamed", "judge", "name")]


def test_reordered_steps() -> None:
    b = replace(FLOW, steps=(FLOW.steps[1], FLOW.steps[0], FLOW.steps[2]))
    assert kinds(FLOW, b) == [("reordered", None, "steps")]
    assert 'steps reordered: ["draft", "check", "done"] -> ["check", "draft", "done"]' in diff(FLOW, b).to_text()


def test_the_workflows_own_fields() -> None:
    b = replace(FLOW, name="x", description="y", inputs=("image",))
    assert kinds(FLOW, b) == [("workflow", None, key) for key in ("name", "description", "inputs")]
    assert '~ inputs: none -> ["image"]' in diff(FLOW, b).to_text()


def test_duplicate_names_are_told_apart() -> None:
    b = replace(FLOW, steps=(*FLOW.steps, Step("done", "terminal", "Again.")))
    assert kinds(FLOW, b) == [("added", "done (2)", None)]


def test_words_taken_out_and_put_in() -> None:
    assert words("a b c", "a x c") == "a [-b-] {+x+} c"
    assert words("", "a") == "{+a+}"


def test_very_long_texts_are_shown_whole() -> None:
    assert words("a " * 1500, "b " * 1500).startswith("[-a a")
