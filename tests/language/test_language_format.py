"""Formatting: comments, order and meaning stay."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from language_strategies import workflows

from autoflow.core.workflow import Workflow
from autoflow.errors import WorkflowError
from autoflow.language import format as fmt
from autoflow.language.document import parse
from autoflow.language.dump import dump
from autoflow.language.format import format_text
from autoflow.language.nodes import comments

MESSY = """\
# a plan
autoflow: 1   # format
name:   plan
inputs: [ image,text ]

steps:
- name: 1.10
  # what to do
  type: process
  instruction: |
    # not a comment
     Indented.
  parameters: {a: 0x10, b: yes, c: ~, d: 1_000, e: "q", f: 'r', g: 1e5, h: [ ], i: True}
  next: "yes"

  # before the decision

- name: "yes"
  type: decision
  instruction: over
    two lines
  branches: {yes: done, no: 1.10}
- {name: done, type: terminal,
   output: {type: array}}
# end
"""

NEAT = """\
# a plan
autoflow: 1   # format
name: plan
inputs: [image, text]

steps:
  - name: 1.10
    # what to do
    type: process
    instruction: |
      # not a comment
       Indented.
    parameters: {a: 0x10, b: yes, c: null, d: 1_000, e: "q", f: 'r', g: 1e5, h: [], i: True}
    next: "yes"

  # before the decision

  - name: "yes"
    type: decision
    instruction: over two lines
    branches: {yes: done, no: 1.10}
  - {name: done, type: terminal, output: {type: array}}
# end
"""


def test_a_messy_file_is_laid_out_and_keeps_its_comments() -> None:
    assert format_text(MESSY) == NEAT


def test_a_neat_file_stays_as_it_is() -> None:
    assert format_text(NEAT) == NEAT
    assert format_text(NEAT.encode()) == NEAT


def test_the_meaning_stays() -> None:
    assert parse(format_text(MESSY)).workflow == parse(MESSY).workflow


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows, st.data())
def test_any_workflow_keeps_its_meaning_and_formatting_twice_is_formatting_once(
    workflow: Workflow, data: st.DataObject
) -> None:
    lines = []
    for line in dump(workflow).split("\n"):
        stripped = line.lstrip()
        if stripped.startswith(("- name:", "type:")) and data.draw(st.booleans()):
            lines.append(f"{' ' * (len(line) - len(stripped))}# about it")
        lines.append(line)
    text = "\n".join(lines)
    formatted = format_text(text)
    assert parse(formatted).workflow == workflow
    assert format_text(formatted) == formatted
    assert formatted.count("# about it") == text.count("# about it")


def test_a_canonical_file_of_common_texts_can_always_be_formatted() -> None:
    text = dump(parse(MESSY).workflow)
    assert parse(format_text(text)).workflow == parse(MESSY).workflow


def test_a_hash_inside_a_value_is_no_comment_and_one_beside_it_is() -> None:
    text = 'a: | # one\n  # not\n# two\nb: "x # not\n  # not" # three\nc: p#q # four\nd: >-\n  # not\n  # not\n'
    assert comments(text) == ["# one", "# two", "# three", "# four"]
    assert comments("a: |2") == []


def test_a_refused_file_is_refused_with_its_place() -> None:
    with pytest.raises(WorkflowError) as caught:
        format_text("autoflow: 1\nnme: x", "w.yaml")
    assert (caught.value.file, caught.value.line) == ("w.yaml", 2)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda text, file: text.replace("# end", ""), "a comment would be lost"),
        (lambda text, file: text.replace("name: done", "name: gone"), "meaning would change"),
        (lambda text, file: text.replace("no: 1.10", "no: 1.1"), "meaning would change"),
        (lambda text, file: text + "#", "does not settle"),
    ],
)
def test_a_layout_that_loses_something_is_refused(monkeypatch: pytest.MonkeyPatch, broken: object, words: str) -> None:
    monkeypatch.setattr(fmt, "_laid_out", broken)
    with pytest.raises(WorkflowError, match=words):
        format_text(NEAT)


def test_a_layout_that_the_library_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        dump = None

        def load(self, text: str) -> None:
            raise AssertionError

    monkeypatch.setattr(fmt, "round_trip", Broken)
    with pytest.raises(WorkflowError, match="cannot be formatted: AssertionError"):
        format_text(NEAT)
