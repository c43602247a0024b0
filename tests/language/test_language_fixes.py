"""`lint --fix`: what it mends, what it leaves to a person, and that nothing else changes."""

import pytest
from hypothesis import given, settings
from language_strategies import workflows

from autoflow.core.operator import Card
from autoflow.core.workflow import Workflow
from autoflow.language.document import parse
from autoflow.language.dump import dump
from autoflow.language.fixes import fix
from autoflow.language.lint import lint
from autoflow.language.nodes import comments

CARDS = {
    "generate": Card("generate", "Asks the model."),
    "Image Denoising": Card("Image Denoising", "Removes noise.", ("image",), "image", kind="tool"),
}

SOUND = """\
# A plan.
autoflow: 1
name: plan
inputs: [image]
steps:
  - name: draft # the first
    type: process
    operator: generate
    instruction: Draft an answer to $(task).
    next: check
  - name: check
    type: decision
    instruction: Is $(draft) good?
    branches: {"yes": done, "no": draft}
    max_visits: 3
    otherwise: done
  - name: done
    type: terminal
    instruction: |
      Give $(draft) as it is,
      and nothing else.
"""


def test_a_sound_file_stays_byte_for_byte() -> None:
    odd = SOUND.replace("  - name", "- name").replace("    ", "  ")
    assert fix(odd, CARDS).text == odd
    assert fix(odd, CARDS).mended == ()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    next: check\n", ""),
        ("    next: check\n", "    next: Check\n"),
        ("    next: check\n", '    next: " check"\n'),
        ("otherwise: done", "otherwise: DONE"),
        ('"yes": done', '"yes": Done'),
        ("operator: generate", "operator: Generate"),
        ("$(task)", "$(Task)"),
        ("Is $(draft)", "Is $(Draft)"),
        ("    max_visits: 3\n    otherwise: done\n", ""),
    ],
)
def test_a_fault_without_doubt_is_mended(right: str, wrong: str) -> None:
    assert right in SOUND
    broken = SOUND.replace(right, wrong)
    assert any(finding.severity == "error" for finding in lint(parse(broken), CARDS))
    fixed = fix(broken, CARDS)
    assert lint(parse(fixed.text), CARDS) == []
    assert parse(fixed.text).workflow == parse(SOUND).workflow
    assert comments(fixed.text) == comments(SOUND)
    assert "      Give $(draft) as it is,\n" in fixed.text


def test_settings_without_effect_are_taken_out() -> None:
    idle = SOUND.replace("    instruction: |", "    max_visits: 1\n    instruction: |")
    assert parse(fix(idle, CARDS).text).workflow == parse(SOUND).workflow


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"yes": done', '"yes": finish'),
        ("operator: generate", "operator: generat"),
        ("    instruction: Draft an answer to $(task).\n", ""),
    ],
)
def test_a_guess_is_left_to_a_person(right: str, wrong: str) -> None:
    broken = SOUND.replace(right, wrong)
    assert fix(broken, CARDS).text == broken
    assert lint(parse(broken), CARDS)


def test_a_name_that_two_steps_could_be_is_not_guessed() -> None:
    twice = SOUND.replace("    next: check\n", "    next: CHECK\n").replace(
        "  - name: done\n", "  - {name: Check, type: terminal, instruction: Say it.}\n  - name: done\n"
    )
    assert fix(twice, CARDS).text == twice


def test_several_faults_are_mended_in_one_go() -> None:
    broken = SOUND.replace("    next: check\n", "").replace("    max_visits: 3\n    otherwise: done\n", "")
    fixed = fix(broken, CARDS)
    assert {finding.rule for finding in fixed.mended} == {"AF105", "AF205"}
    assert parse(fixed.text).workflow == parse(SOUND).workflow


@given(workflows)
@settings(max_examples=40, deadline=None)
def test_mending_never_makes_more_errors_and_is_done_at_once(workflow: Workflow) -> None:
    text = dump(workflow)
    fixed = fix(text, CARDS).text
    errors = [sum(f.severity == "error" for f in lint(parse(each), CARDS)) for each in (text, fixed)]
    assert errors[1] <= errors[0]
    assert fix(fixed, CARDS).mended == ()
