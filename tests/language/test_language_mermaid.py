"""The flowchart's text."""

import re

from hypothesis import HealthCheck, given, settings
from language_strategies import workflows

from autoflow.core.workflow import Step, Workflow
from autoflow.language.mermaid import mermaid

FLOW = Workflow(
    "plan",
    (
        Step("draft", "process", "Write.", next="check"),
        Step("check", "decision", "Ok?", branches={"yes": "done", "no": "draft"}, max_visits=3, otherwise="gone"),
        Step("done", "terminal"),
    ),
)


def test_each_type_has_its_shape_and_each_exit_its_label() -> None:
    assert (
        mermaid(FLOW)
        == """\
flowchart TD
  s0["draft"]
  s1{"check"}
  s2(["done"])
  s0 --> s1
  s1 -->|"yes"| s2
  s1 -->|"no"| s0
  m0["gone (missing)"]
  s1 -.->|"otherwise (after 3)"| m0
"""
    )


def test_visits_and_moves_are_written_on_nodes_and_edges() -> None:
    text = mermaid(FLOW, {"draft": 2}, {("draft", "check"): 2})
    assert 's0["draft ×2"]' in text
    assert 's2(["done ×0"])' in text
    assert 's0 -->|"×2"| s1' in text
    assert 's1 -->|"yes ×0"| s2' in text


def test_hostile_names_cannot_leave_their_node() -> None:
    name = 'a"]; click s0 "javascript:x" <b>\n%%{init}%% --> b|c'
    text = mermaid(Workflow("w", (Step(name, "terminal"),)))
    assert text.count("\n") == 2
    label = re.fullmatch(r'  s0\(\["(.*)"\]\)', text.split("\n")[1])
    assert label is not None
    assert not re.search(r'["<>{}|\[\]%]', label[1])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows)
def test_any_workflow_gives_only_nodes_and_edges(workflow: Workflow) -> None:
    line = re.compile(
        r'flowchart TD|  [sm]\d+(\["[^"\[\]{}<>|]*"\]|\{"[^"\[\]{}<>|]*"\}|\(\["[^"\[\]{}<>|]*"\]\))'
        r'|  s\d+ (-->|-\.->)(\|"[^"\[\]{}<>|]*"\|)? [sm]\d+'
    )
    for text in mermaid(workflow).rstrip("\n").split("\n"):
        assert line.fullmatch(text), text
