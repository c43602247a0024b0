"""Operator types along paths: what tools leave for the tools after them."""

import pytest
from test_language_lint import CARDS, END, decision, flow, of, process


def tool(name: str, following: str, operator: str, rest: str = "") -> str:
    return process(name, following, f"operator: {operator}{', ' + rest if rest else ''}")


DENOISE, CAPTION, TRANSLATE, ASK = (
    "Image Denoising",
    "Image Captioning",
    "Machine Translation",
    "Visual Question Answering",
)


def messages(*steps: str, head: str = "") -> list[str]:
    return [finding.message for finding in of(flow(*steps, END, head=head), "AF405")]


def test_image_to_image_to_text_to_text_fits() -> None:
    assert messages(tool("a", "b", DENOISE), tool("b", "c", CAPTION), tool("c", "end", TRANSLATE)) == []


def test_undeclared_inputs_are_one_of_each_type_that_a_tool_takes() -> None:
    assert messages(tool("a", "b", TRANSLATE), tool("b", "end", DENOISE)) == []


def test_undeclared_inputs_are_two_where_one_tool_takes_two() -> None:
    assert messages(tool("a", "end", "Concatenation")) == []
    assert messages(tool("a", "b", "Concatenation"), tool("b", "end", "Concatenation")) != []


def test_declared_inputs_are_all_there_is() -> None:
    [message] = messages(tool("a", "end", DENOISE), head="inputs: [text]\n")
    assert message == 'step "a": Image Denoising takes image, but before any tool has run there is only text'
    [message] = messages(tool("a", "end", DENOISE), head="inputs: []\n")
    assert message.endswith("before any tool has run there is nothing")


def test_a_tool_of_two_inputs_needs_both() -> None:
    assert messages(tool("a", "end", ASK), head="inputs: [image, text]\n") == []
    [message] = messages(tool("a", "end", ASK), head="inputs: [image]\n")
    assert "takes image and text, but before any tool has run there is only image" in message


def test_a_fault_on_one_of_two_paths_is_found() -> None:
    [message] = messages(
        decision("d", "x: cap, y: den"),
        tool("cap", "den", CAPTION),
        tool("den", "end", DENOISE),
        head="inputs: [image]\n",
    )
    assert message == 'step "den": Image Denoising takes image, but after "cap" (Image Captioning) only text is left'


def test_model_steps_between_do_not_hide_the_tool_to_blame() -> None:
    [message] = messages(
        tool("cap", "think", CAPTION), process("think", "den"), tool("den", "end", DENOISE), head="inputs: [image]\n"
    )
    assert 'after "cap"' in message


def test_tools_that_leave_the_type_alone_are_not_blamed() -> None:
    [message] = messages(
        tool("cap", "tr", CAPTION), tool("tr", "den", TRANSLATE), tool("den", "end", DENOISE), head="inputs: [image]\n"
    )
    assert 'after "cap"' in message


def test_the_last_tool_is_named_where_the_type_never_was_there() -> None:
    [message] = messages(tool("tr", "den", TRANSLATE), tool("den", "end", DENOISE), head="inputs: [text]\n")
    assert 'after "tr" (Machine Translation) only text is left' in message


def test_one_fault_is_reported_once_and_not_for_the_steps_after_it() -> None:
    found = messages(
        tool("a", "b", CAPTION), tool("b", "c", DENOISE), tool("c", "end", DENOISE), head="inputs: [image]\n"
    )
    assert len(found) == 1


def test_a_loop_that_uses_up_its_input_is_found() -> None:
    [message] = messages(
        tool("cap", "d", CAPTION, "max_visits: 3, otherwise: end"),
        decision("d", "x: cap, y: end"),
        head="inputs: [image]\n",
    )
    assert 'step "cap"' in message
    assert 'after "cap"' in message


def test_a_loop_that_gives_back_what_it_takes_fits() -> None:
    found = messages(
        tool("den", "d", DENOISE, "max_visits: 3, otherwise: end"),
        decision("d", "x: den, y: end"),
        head="inputs: [image]\n",
    )
    assert found == []


def test_a_bound_is_only_reached_after_the_step_has_run() -> None:
    # `otherwise` is taken on a later entry: the caption of the first visit is there by then.
    found = messages(
        process("look", "cap"),
        tool("cap", "d", CAPTION, "reads: [look], max_visits: 2, otherwise: tr"),
        decision("d", "x: cap, y: tr"),
        tool("tr", "end", TRANSLATE),
        head="inputs: []\n",
    )
    assert found == []


def test_a_step_whose_visits_are_used_up_gives_nothing_on_that_entry() -> None:
    # Each round uses up the caption that it makes, so none is there when the bound is reached; `end` is the other exit.
    [message] = messages(
        process("look", "cap"),
        tool("cap", "use", CAPTION, "reads: [look], max_visits: 2, otherwise: tr"),
        tool("use", "d", "Drain"),
        decision("d", "x: cap, y: end"),
        tool("tr", "end", TRANSLATE),
        head="inputs: []\n",
    )
    assert message == 'step "tr": Machine Translation takes text, but after "use" (Drain) only signal is left'


def test_any_fits_on_both_sides() -> None:
    assert messages(tool("a", "b", "Echo"), tool("b", "end", DENOISE), head="inputs: []\n") == []


@pytest.mark.parametrize("reads", ["[cap]", "[cap, ask]"])
def test_named_readings_are_matched_instead_of_what_is_left(reads: str) -> None:
    steps = [tool("cap", "ask", CAPTION), process("ask", "tr"), tool("tr", "end", TRANSLATE, f"reads: {reads}")]
    source = flow(*steps, END, head="inputs: [image]\n")
    assert of(source, "AF405") == []
    assert of(source, "AF406") == []


def test_named_readings_that_lack_a_type_are_a_fault() -> None:
    steps = [tool("cap", "vqa", CAPTION), tool("vqa", "end", ASK, "reads: [cap]")]
    [finding] = of(flow(*steps, END), "AF406")
    assert finding.message == ('step "vqa": Visual Question Answering takes image and text, but `reads` gives text')
    assert finding.hint == "read a step that gives image; those are: none"


def test_reading_a_missing_step_is_another_rules_fault() -> None:
    assert of(flow(tool("den", "end", DENOISE, "reads: [x]"), END), "AF406") == []


def test_an_empty_workflow_has_no_types() -> None:
    from autoflow.core.workflow import Workflow
    from autoflow.language.lint import lint

    assert [finding.rule for finding in lint(Workflow("w", ()), CARDS)] == ["AF101"]
