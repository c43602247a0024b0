"""What the operators ask, word for word: each template has a golden render beside this file.

After a change that is meant: GOLDEN=write pytest tests/operators/test_operator_prompts.py, and read the diff.
"""

import os
from pathlib import Path

import pytest
from operator_helpers import HOSTILE

from autoflow import resources
from autoflow.operators.answer import AnswerPrompt
from autoflow.operators.code_generate import CodePrompt
from autoflow.operators.custom import CustomPrompt
from autoflow.operators.debate import DebateOpenPrompt, DebateReplyPrompt
from autoflow.operators.deciding import DecidePrompt
from autoflow.operators.decompose import DecomposePrompt
from autoflow.operators.diversity import AnotherWayPrompt
from autoflow.operators.format import FormatPrompt
from autoflow.operators.library import library
from autoflow.operators.programmer import ProgrammerPrompt, ProgrammerRepairPrompt
from autoflow.operators.reflexion import AgainPrompt, CriticPrompt
from autoflow.operators.review import ReviewPrompt
from autoflow.operators.revise import RevisePrompt
from autoflow.operators.role import AsRolePrompt, ChooseRolePrompt
from autoflow.operators.search import QueriesPrompt
from autoflow.operators.step_back import FromPrinciplesPrompt, PrinciplesPrompt
from autoflow.operators.summarize import SummarizePrompt
from autoflow.operators.test import ReflectPrompt
from autoflow.operators.voting import Candidate, MeaningPrompt, VotePrompt
from autoflow.prompts import Prompt, render

GOLDEN = Path(__file__).parent / "golden"

DO = "Solve the task in {{ two }} steps."
GIVEN = [Candidate("It is 42.", 3), Candidate("41 {{ or }} so", 1)]
SAID = ["It is 42.", "41 {{ or }} so"]

PROMPTS: dict[str, Prompt] = {
    "answer": AnswerPrompt(DO),
    "code": CodePrompt(DO, ""),
    "code_entry": CodePrompt(DO, "add"),
    "custom": CustomPrompt(DO, "What is 6 x 7?"),
    "custom_alone": CustomPrompt(DO, ""),
    "debate_open": DebateOpenPrompt(DO, ""),
    "debate_open_role": DebateOpenPrompt(DO, "a teacher"),
    "debate_reply": DebateReplyPrompt(SAID),
    "decide": DecidePrompt(DO, SAID),
    "decompose": DecomposePrompt(DO, 5),
    "diversity": AnotherWayPrompt(DO, SAID),
    "diversity_first": AnotherWayPrompt(DO, []),
    "format": FormatPrompt(DO, "one number"),
    "meaning": MeaningPrompt(DO, GIVEN),
    "programmer": ProgrammerPrompt(DO),
    "programmer_repair": ProgrammerRepairPrompt("line 2: NameError: name 'x' is not defined"),
    "reflect": ReflectPrompt(DO, "def add(a, b):\n    return a", ["assert add(1, 2) == 3"], "assertion: tests.py:1"),
    "reflexion_again": AgainPrompt(DO, "You forgot the carry."),
    "reflexion_critic": CriticPrompt(DO, "It is 42."),
    "review": ReviewPrompt(DO),
    "revise": RevisePrompt(DO),
    "role_answer": AsRolePrompt(DO, "a teacher"),
    "role_choose": ChooseRolePrompt(DO, ["a teacher", "a judge"]),
    "role_choose_any": ChooseRolePrompt(DO, []),
    "search": QueriesPrompt(DO, 12, 3),
    "step_back_answer": FromPrinciplesPrompt(DO, "Multiplication."),
    "step_back_principles": PrinciplesPrompt(DO),
    "summarize": SummarizePrompt(DO, 100),
    "vote": VotePrompt(DO, GIVEN),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_prompt_reads_as_reviewed(name: str) -> None:
    file = GOLDEN / f"{name}.txt"
    found = render(PROMPTS[name]) + "\n"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def test_every_template_belongs_to_an_operator_and_has_a_golden_render() -> None:
    folder = resources.folder("prompts")
    templates = {path.relative_to(folder).as_posix() for path in (folder / "operators").glob("*.j2")}
    assert {prompt.template for prompt in PROMPTS.values()} == templates
    assert {prompt.template for item in library().values() for prompt in getattr(item, "prompts", ())} == templates
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(PROMPTS)


def test_data_in_a_prompt_is_never_rendered() -> None:
    for prompt in (
        CustomPrompt(HOSTILE, HOSTILE),
        VotePrompt(HOSTILE, [Candidate(HOSTILE, 1)]),
        ReflectPrompt(HOSTILE, HOSTILE, [HOSTILE], HOSTILE),
        CriticPrompt(HOSTILE, HOSTILE),
    ):
        assert render(prompt).count(HOSTILE) >= 2
