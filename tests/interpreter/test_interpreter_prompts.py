"""What the model reads, word for word: each template has a golden render beside this file.

After a change that is meant: GOLDEN=write pytest tests/interpreter/test_interpreter_prompts.py, and read the diff.
"""

import os
from pathlib import Path

import pytest

from autoflow import resources
from autoflow.interpreter.conversation import (
    DecisionTurn,
    ItemTurn,
    SegmentPart,
    SegmentTurn,
    SystemTurn,
    TaskTurn,
    text,
)
from autoflow.interpreter.core_protocol import (
    AnswerPrompt,
    BranchPrompt,
    Entry,
    RetrieveDirectPrompt,
    RetrievePrompt,
    SummaryPrompt,
    ToolArgumentsPrompt,
    ToolNamePrompt,
    ToolNeedPrompt,
    Turn,
)
from autoflow.prompts import Prompt, render

GOLDEN = Path(__file__).parent / "golden"

CARDS = ["Colorization: Colors a grayscale image.", "Image Captioning: Describes an image in a sentence."]
ENTRY = Entry("Round 2", 'Search({"input": "x"})', "It counts {{ apples }}.", "42 apples", 1)
TASK = "Given grayscale image, how to {{ return }} the caption?"

PROMPTS: dict[str, Prompt] = {
    "system": SystemTurn([]),
    "system_cards": SystemTurn(CARDS),
    "task": TaskTurn(TASK),
    "item": ItemTurn("Summarise it.", "$(item) one"),
    "decision": DecisionTurn("Is every model in the list?", ("yes", "no"), reason=True),
    "decision_label": DecisionTurn("Is every model in the list?", ("yes", "no"), reason=False),
    "segment": SegmentTurn(
        [SegmentPart("step_1", "Identify the input."), SegmentPart("step_2", "Is it an image?", ("yes", "no"))],
        reason=True,
    ),
    "segment_label": SegmentTurn(
        [SegmentPart("step_1", "Identify the input."), SegmentPart("step_2", "Is it an image?", ("yes", "no"))],
        reason=False,
    ),
    "core_answer": AnswerPrompt(CARDS, [Turn("Identify the input.", "An image.")], TASK, [ENTRY], "Select models."),
    "core_answer_first": AnswerPrompt([], [], TASK, [], "Select models."),
    "core_retrieve": RetrievePrompt(TASK, "Select models.", ENTRY),
    "core_retrieve_direct": RetrieveDirectPrompt(TASK, "Select models.", [ENTRY, ENTRY]),
    "core_tool_need": ToolNeedPrompt(CARDS, ["Search()"], "Select models.", "Colorization"),
    "core_tool_need_first": ToolNeedPrompt(CARDS, [], "Select models.", "Colorization"),
    "core_tool_name": ToolNamePrompt(CARDS, "Select models.", "Colorization"),
    "core_tool_arguments": ToolArgumentsPrompt(CARDS[0], "Select models.", "Colorization", ["input", "limit"], ""),
    "core_tool_arguments_again": ToolArgumentsPrompt(CARDS[0], "Select.", "Colorization", ["input"], "no image"),
    "core_summary": SummaryPrompt(CARDS[0], "Colorization()"),
    "core_branch": BranchPrompt("Is it an image?", "It is.", ("yes", "no")),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_prompt_reads_as_reviewed(name: str) -> None:
    file = GOLDEN / f"{name}.txt"
    found = render(PROMPTS[name]) + "\n"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def test_every_template_has_a_type_and_a_golden_render() -> None:
    templates = {path.relative_to(resources.folder("prompts")).as_posix() for path in _templates()}
    assert {prompt.template for prompt in PROMPTS.values()} == templates
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(PROMPTS)


def _templates() -> list[Path]:
    return sorted((resources.folder("prompts") / "interpreter").glob("*.j2"))


def test_results_that_are_no_text_are_shown_as_json() -> None:
    assert text("as it is") == "as it is"
    assert text(["ä", 1, None]) == '["ä", 1, null]'
