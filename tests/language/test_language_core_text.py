"""CoRE text: every published fault is told with its line, and what CoRE can say goes there and back."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from language_strategies import core_workflows, workflows

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.core_text import MAX_LINES, CoreImport, dump_core, parse_core
from autoflow.language.document import parse
from autoflow.language.dump import dump
from autoflow.language.lint import RULES, check, lint

# Read here: the shared fixture clears AUTOFLOW_ variables before each test, and would have these skipped always.
DATA = os.environ.get("AUTOFLOW_DATA")

# Texts of our own with the faults of the published flows that are not at hand (METHODS, section 2).
LOST_BRANCHES = """\
Step 1:::Process:::Identify the input data type.:::next::Step 2
Step 2:::Process:::Select candidate models from the list.:::next::Step 3
Step 3:::Decision:::Does each model take what the one before gives?:::Yes::Step 4:::No::Step 2
Step 4:::Process:::Arrange the models in order.:::next::Step 5
Step 5:::Decision:::Is the output type right?:::Yes::Step 6:::No::Step 2
Step 6:::Terminal:::Output the list of models.:::
"""

NOTHING_SELECTED = "".join(
    [
        *(f"Step {n}:::Process:::Look at the task from side {n}.:::next::Step {n + 1}\n" for n in range(1, 10)),
        "Step 10:::Terminal:::Output the sequence of models.:::\n",
        *(f"Step {n}:::Process:::Select model number {n}.:::next::Step {n + 1}\n" for n in range(11, 17)),
        "Step 17:::Terminal:::Output the models.:::\n",
    ]
)

MAPPING = """\
Step 1:::Process:::Read the task.:::next::Step 2
Step 2:::Process:::Choose a model for the input.:::next::Step 3
Step 3:::Decision:::Does the model take the input?:::Yes::Step 4::No::Step 2
Step 4:::Process:::Choose a model for the output.:::next::Step 5
Step 5:::Decision:::Does the model give the output?:::Yes::Step 6::No::Step 4
Step 6:::Process:::Map inputs to outputs.:::next::Step 7
Step 7:::Terminal:::Output the mapping.:::
Step 8:::Process:::Check the selection.:::next::Step 9
Step 9:::Process:::Order the selection.:::next::Step 10
Step 10:::Process:::Name the selection.:::next::Step 11
Step 11:::Process:::Describe the selection.:::next::Step 12
Step 12:::Terminal:::Output the list of models.:::
"""


def told(found: CoreImport) -> dict[str, list[int | None]]:
    lines: dict[str, list[int | None]] = {}
    for finding in found.findings:
        lines.setdefault(finding.rule, []).append(finding.line)
    return lines


def published(name: str) -> bytes:
    path = Path(DATA or "") / "core_flows" / f"OpenAGI_Flow_{name}.txt"
    if not DATA or not path.is_file():
        pytest.skip(f"the published flow {name} is not at hand: point AUTOFLOW_DATA at the benchmark data")
    return path.read_bytes()


def test_the_published_manual_flow_has_two_endless_loops_and_two_targets_in_another_case() -> None:
    found = parse_core(published("manual"), "OpenAGI_Flow_manual.txt")
    assert told(found) == {"AF205": [4, 5], "AF512": [1, 3]}
    assert {finding.severity for finding in found.findings} == {"warning"}
    assert found.workflow.name == "OpenAGI_Flow_manual"
    assert [step.type for step in found.workflow.steps] == ["process"] * 3 + ["decision"] * 2 + ["terminal"]


def test_the_published_gpt4mixtral_flow_loops_and_gives_up() -> None:
    found = parse_core(published("gpt4mixtral"))
    assert told(found) == {"AF205": [5], "AF513": [6]}
    assert "Step 4, Step 5, Step 8" in found.findings[0].message


@pytest.mark.parametrize("name", ["manual", "gpt4mixtral"])
def test_a_published_flow_goes_there_and_back(name: str) -> None:
    workflow = parse_core(published(name)).workflow
    assert parse_core(dump_core(workflow)).workflow == workflow
    assert parse(dump(workflow)).workflow == workflow
    check(parse_core(published(name), bound=3).workflow)


def test_branches_parted_like_fields_are_recovered_and_told() -> None:
    found = parse_core(LOST_BRANCHES)
    assert told(found)["AF502"] == [3, 5]
    assert "lose all but the first" in found.findings[0].message
    assert found.workflow.step("Step 3").branches == {"Yes": "Step 4", "No": "Step 2"}
    assert told(found)["AF205"] == [3, 5]


def test_steps_that_never_run_are_told_and_that_they_were_to_select() -> None:
    found = parse_core(NOTHING_SELECTED)
    assert told(found)["AF202"] == list(range(11, 18))
    assert told(found)["AF515"] == [10]
    assert "line 11 would, but never runs" in next(f.message for f in found.findings if f.rule == "AF515")


def test_an_answer_that_is_a_mapping_is_told() -> None:
    found = parse_core(MAPPING)
    assert told(found) == {"AF202": [8, 9, 10, 11, 12], "AF205": [3, 5], "AF514": [7]}


@pytest.mark.parametrize("text", [LOST_BRANCHES, NOTHING_SELECTED, MAPPING])
def test_an_import_for_running_passes_check(text: str) -> None:
    found = parse_core(text, bound=3)
    workflow = check(found.workflow)
    assert all(finding.severity == "warning" for finding in found.findings)
    assert len(told(found).get("AF517", [])) == sum(step.max_visits == 3 for step in workflow.steps)
    assert told(found).get("AF516", []) == told(found).get("AF202", [])
    assert {f.rule for f in lint(workflow)} == set()


def test_a_bound_leads_where_the_loop_was_left() -> None:
    workflow = parse_core(MAPPING, bound=2).workflow
    assert (workflow.step("Step 5").max_visits, workflow.step("Step 5").otherwise) == (2, "Step 6")


def test_a_bound_does_not_lead_to_giving_up_where_there_is_another_way() -> None:
    text = "a:::decision:::ok?:::no::stop::yes::go::again::a\nstop:::terminal:::Say that it is impossible.:::\n"
    assert parse_core(text + "go:::terminal:::Output it.:::", bound=2).workflow.entry.otherwise == "go"


def test_a_loop_of_processes_is_bounded_towards_a_terminal() -> None:
    text = "a:::process:::x:::next::b\nb:::decision:::y:::p::c::q::end\nc:::process:::z:::next::c\nend:::terminal::::::"
    found = parse_core(text, bound=2)
    assert found.workflow.step("c").otherwise == "end"
    check(found.workflow)


def test_a_loop_without_any_terminal_stays_an_error() -> None:
    found = parse_core("a:::process:::x:::next::a", bound=2)
    assert told(found) == {"AF203": [1], "AF205": [1]}
    assert found.workflow.entry.max_visits is None


def test_a_bound_must_be_positive() -> None:
    with pytest.raises(ValueError, match="bound must be 1 or more"):
        parse_core("a:::terminal:::x:::", bound=0)


END = "end:::terminal:::Output the answer.:::\n"

FAULTS = [
    ("AF501", "a:::terminal:::x", 1, "3 fields of four", Step("a", "terminal", "x")),
    ("AF501", "a:::process", 1, "2 fields of four", Step("a", "terminal")),
    ("AF501", f"a:::process:::x::next::end\n{END}", 1, "3 fields", Step("a", "process", "x", next="end")),
    ("AF501", f"Here is the flow\n{END}", 1, "left out", Step("end", "terminal", "Output the answer.")),
    ("AF502", f"a::process::x::next::end\n{END}", 1, "parted by `::`", Step("a", "process", "x", next="end")),
    (
        "AF502",
        f"a:::decision:::x:::yes:::end:::no:::End\n{END}",
        1,
        "inside the branches",
        Step("a", "decision", "x", branches={"yes": "end", "no": "end"}),
    ),
    (
        "AF503",
        f"a:::process:::say ::: twice:::next::end\n{END}",
        1,
        "inside the instruction",
        Step("a", "process", "say ::: twice", next="end"),
    ),
    ("AF503", "a:::terminal:::say ::: twice", 1, "inside the instruction", Step("a", "terminal", "say ::: twice")),
    ("AF504", f"a:::process:::x:::next::end::no\n{END}", 1, '"no"', Step("a", "process", "x", next="end")),
    ("AF505", f"a:::Proces:::x:::next::end\n{END}", 1, "read as process", Step("a", "process", "x", next="end")),
    ("AF506", "a:::process:::x:::", 1, "read as a terminal", Step("a", "terminal", "x")),
    ("AF507", f"a:::decision:::x:::yes::end\n{END}", 1, "has 1 branch", Step("a", "process", "x", next="end")),
    (
        "AF507",
        f"a:::process:::x:::p::end::q::end\n{END}",
        1,
        "has 2 branches",
        Step("a", "decision", "x", branches={"p": "end", "q": "end"}),
    ),
    ("AF508", f"a:::terminal:::x:::next::end\n{END}", 1, "left out", Step("a", "terminal", "x")),
    ("AF509", f"a:::process:::x:::then::end\n{END}", 1, '"then"', Step("a", "process", "x", next="end")),
    ("AF510", f"a:::decision:::x:::p::end::p::end\n{END}", 1, "twice", Step("a", "process", "x", next="end")),
    ("AF511", "a:::terminal:::x:::\na:::terminal:::y:::", 2, '"a (2)"', Step("a", "terminal", "x")),
    ("AF512", f"a:::process:::x:::next::END\n{END}", 1, 'read as "end"', Step("a", "process", "x", next="end")),
    ("AF513", "a:::terminal:::Say the task is not possible.:::", 1, "impossible", None),
    ("AF514", "a:::terminal:::Present the analysis.:::", 1, "other than the plan", None),
    ("AF515", "a:::terminal:::Name the models.:::", 1, "selects the models", None),
    ("AF201", f"a:::process:::x:::next::nd\n{END}", 1, "does not exist", None),
]


@pytest.mark.parametrize(("rule", "text", "line", "words", "entry"), FAULTS, ids=[f"{f[0]}-{f[3]}" for f in FAULTS])
def test_a_fault_is_told_with_its_line_and_recovered(
    rule: str, text: str, line: int, words: str, entry: Step | None
) -> None:
    found = parse_core(text)
    matching = [f for f in found.findings if f.rule == rule and f.line == line and words in f.message]
    assert matching, found.findings
    assert all(finding.hint for finding in matching)
    if entry is not None:
        assert found.workflow.entry == entry


def test_every_rule_of_core_text_has_a_case() -> None:
    cases = {fault[0] for fault in FAULTS} | {"AF516", "AF517"}
    assert {name for name in RULES if name >= "AF5"} <= cases


def test_a_sound_flow_has_no_findings() -> None:
    text = "a:::Process:::Choose a model.:::next::b\nb:::Decision:::Which?:::x::end::y::stop\n\r\n"
    text += "end:::terminal:::Output the list of models:::\nstop:::Terminal::::::"
    found = parse_core(text, "flows/plan.txt")
    assert found.findings == ()
    assert found.workflow.name == "plan"
    assert parse_core(text, name="other").workflow.name == "other"


def test_a_third_step_of_a_name_gets_its_own() -> None:
    text = "a:::terminal:::x:::\na:::terminal:::y:::\na (2):::terminal:::z:::\na:::terminal:::u:::"
    assert [step.name for step in parse_core(text).workflow.steps] == ["a", "a (3)", "a (2)", "a (4)"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no CoRE step"), ("nothing here", "no CoRE step"), ("a\x00", r"U\+0000"), ("\n" * (MAX_LINES + 1), "lines")],
)
def test_what_holds_no_flow_is_refused(text: str, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        parse_core(text)


@settings(max_examples=200, deadline=None)
@given(core_workflows())
def test_what_core_can_say_goes_there_and_back(workflow: Workflow) -> None:
    assert parse_core(dump_core(workflow)).workflow == workflow


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows)
def test_any_workflow_is_exported_with_loss_and_can_be_read(workflow: Workflow) -> None:
    found = parse_core(dump_core(workflow, lossy=True))
    assert len(found.workflow.steps) == len(workflow.steps)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*"ab :\nPn$", ":::", "::", "process", "terminal", "next"]), max_size=60).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_core(text, bound=2)
    except WorkflowError:
        return
    assert not [f for f in lint(found.workflow) if f.rule in {"AF102", "AF106", "AF107", "AF108"}]


def test_dollar_references_are_plain_text_in_core() -> None:
    found = parse_core("a:::terminal:::Pay $(5):::")
    assert found.workflow.entry.instruction == "Pay $$(5)"
    assert dump_core(found.workflow) == "a:::Terminal:::Pay $(5):::\n"


def test_a_colon_beside_a_delimiter_survives() -> None:
    workflow = Workflow("core", (Step("a:", "process", "Answer:", next="b"), Step("b", "terminal", ":x")))
    assert parse_core(dump_core(workflow)).workflow == workflow
    assert parse_core("b:::terminal:::Answer::::").workflow.entry.instruction == "Answer:"


BASE = Step("a", "process", "x", next="a")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (replace(BASE, operator="ensemble"), "`operator`"),
        (replace(BASE, parameters={"n": 1}), "`parameters`"),
        (replace(BASE, max_visits=2), "`max_visits`"),
        (replace(BASE, otherwise="a"), "`otherwise`"),
        (replace(BASE, reads=("a",)), "`reads`"),
        (replace(BASE, for_each="a"), "`for_each`"),
        (replace(BASE, output={}), "`output`"),
        (replace(BASE, model="a/b"), "`model`"),
        (replace(BASE, timeout_s=1.0), "`timeout_s`"),
        (replace(BASE, branches={"x": "a"}), "`branches`"),
        (Step("a", "terminal", "x", next="a"), "`next`"),
        (replace(BASE, instruction="see $(a)"), r"`\$\(a\)`"),
        (replace(BASE, instruction="a ::: b"), "holds `:::`"),
        (replace(BASE, name="a::b"), "holds `::`"),
        (replace(BASE, instruction="a\nb"), "broken over lines"),
        (replace(BASE, name=" a"), "padded"),
        (Step("a", "decision", "x", branches={"": "a", "b": "a"}), "blank"),
    ],
)
def test_what_core_cannot_say_is_refused_unless_with_loss(step: Step, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        dump_core(Workflow("w", (step,)))
    assert parse_core(dump_core(Workflow("w", (step,)), lossy=True)).workflow.steps
