"""Every rule is seen to fire at its place, and to stay silent on a sound workflow."""

import subprocess
import sys
from dataclasses import replace

import pytest

from autoflow.core.operator import Card
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.findings import rule
from autoflow.language.lint import RULES, Finding, check, lint, unreadable

CARDS = {
    card.name: card
    for card in [
        Card("generate", "Asks the model.", parameters={"samples": {"type": "integer", "minimum": 1, "default": 1}}),
        Card("search", "Looks up.", parameters={"index": {"type": "string"}, "top": {"type": "integer", "default": 3}}),
        Card("script", "Runs code.", parameters={"code": {"contentMediaType": "text/x-python", "x-defines": "run"}}),
        Card("Image Denoising", "Removes noise.", ("image",), "image", kind="tool"),
        Card("Image Captioning", "Says what is on an image.", ("image",), "text", kind="tool"),
        Card("Machine Translation", "Translates.", ("text",), "text", kind="tool"),
        Card("Visual Question Answering", "Answers on an image.", ("image", "text"), "text", kind="tool"),
        Card("Concatenation", "Joins.", ("text", "text"), "text", kind="tool"),
        Card("Drain", "Uses up a text.", ("text",), "signal", kind="tool"),
        Card("Echo", "Gives back anything.", ("any",), "any", kind="tool"),
    ]
}

SOUND = """\
autoflow: 1
name: sound
inputs: [image, text]
steps:
  - name: list questions
    type: process
    instruction: List three questions about $(task), as in $$(this).
    output: {type: array, items: {type: string}}
    next: answer each
  - name: answer each
    type: process
    instruction: Answer.
    for_each: list questions
    timeout_s: 30
    next: look
  - name: look
    type: process
    operator: Visual Question Answering
    instruction: Ask the image.
    next: find
  - name: find
    type: process
    operator: search
    parameters: {index: wiki, top: 5}
    model: openai/gpt-5-mini
    instruction: Find out.
    reads: [look]
    next: check
  - name: check
    type: decision
    instruction: Does $(find) answer it?
    branches: {yes: done, no: find}
    max_visits: 3
    otherwise: done
  - name: done
    type: terminal
"""


def flow(*steps: str, head: str = "") -> str:
    """A file of these flow mappings as steps, from line 4 (5 with a head) on."""
    lines = "".join(f"  - {{{step}}}\n" for step in steps)
    return f"autoflow: 1\nname: w\n{head}steps:\n{lines}"


def process(name: str, following: str, rest: str = "") -> str:
    return f"name: {name}, type: process, instruction: Go., next: {following}{', ' + rest if rest else ''}"


def decision(name: str, branches: str, rest: str = "") -> str:
    return f"name: {name}, type: decision, instruction: Ok?, branches: {{{branches}}}{', ' + rest if rest else ''}"


END = "name: end, type: terminal"

CASES: list[tuple[str, str | Workflow, int | None, str]] = [
    ("AF101", Workflow("w", ()), None, "no steps"),
    ("AF102", flow(process("a", "end"), "name: a, type: terminal", END), 5, 'second step is called "a"'),
    ("AF103", flow("name: '', type: terminal"), 4, "blank name"),
    ("AF103", flow("name: 'a ', type: terminal"), 4, "white space"),
    ("AF104", flow(process("a b", "A  B"), "name: A  B, type: terminal"), 5, "only in case or space"),
    ("AF105", flow("name: a, type: process, instruction: x", END), 4, 'process "a" has no `next`'),
    ("AF105", flow(END, "name: a, type: process, instruction: x"), 5, "no `next`"),
    ("AF106", flow("name: a, type: process, instruction: x, branches: {b: end}", END), 4, "has `branches`"),
    ("AF107", flow(decision("a", "b: end, c: end", "next: end"), END), 4, 'decision "a" has `next`'),
    ("AF108", flow(decision("a", "b: end"), END), 4, "has one branch"),
    ("AF108", flow(decision("a", "", "otherwise: end"), END), 4, "has no branches"),
    ("AF109", flow("name: a, type: terminal, next: end", END), 4, 'terminal "a" has `next`'),
    ("AF109", flow("name: a, type: terminal, branches: {x: end}", END), 4, "has `branches`"),
    ("AF109", flow("name: a, type: terminal, otherwise: end", END), 4, "has `otherwise`"),
    ("AF110", flow("name: a, type: process, instruction: ' ', next: end", END), 4, "no instruction"),
    ("AF111", flow(decision("a", "'': end, b: end"), END), 4, "blank label"),
    ("AF112", flow(decision("a", "Yes: end, 'yes ': end"), END), 4, '"Yes" and "yes "'),
    ("AF113", flow(process("a", "end", "max_visits: 0, otherwise: end"), END), 4, "is 0"),
    ("AF114", flow(process("a", "end", "timeout_s: -1.5"), END), 4, "is -1.5"),
    ("AF114", Workflow("w", (Step("a", "terminal", timeout_s=float("inf")),)), None, "is inf"),
    ("AF115", Workflow("w", (Step("a", "loop"),)), None, 'unknown type "loop"'),  # type: ignore[arg-type]
    ("AF116", flow(END).replace("name: w", "name: ' '"), 2, "name is blank"),
    ("AF117", flow("name: a, type: terminal, max_visits: 2"), 4, "`max_visits` does nothing"),
    ("AF117", flow(process("a", "end", "otherwise: end"), END), 4, "never taken"),
    ("AF117", flow(process("b", "a"), process("a", "end", "reads: [b, b]"), END), 5, "twice"),
    ("AF118", flow(process("b", "a"), decision("a", "x: end, y: b", "for_each: b"), END), 5, "has `for_each`"),
    ("AF119", flow("name: a, type: terminal, model: gpt"), 4, "not provider/name"),
    ("AF120", flow("name: task, type: terminal"), 4, "is the task"),
    ("AF120", flow("name: 'a)', type: terminal"), 4, "not paired"),
    ("AF201", flow(process("a", "nd"), END), 4, 'step "a" leads to "nd", which does not exist'),
    ("AF201", flow(decision("a", "x: end, y: End"), END), 4, 'branches to "End"'),
    ("AF201", flow(process("a", "end", "max_visits: 2, otherwise: b"), END), 4, "leads otherwise"),
    ("AF202", flow(process("a", "end"), END, process("b", "end")), 6, 'to step "b"'),
    ("AF203", flow(process("a", "a", "max_visits: 2")), 3, "no step is a terminal"),
    ("AF204", flow(decision("d", "x: a, y: end"), process("a", "a", "max_visits: 2"), END), 5, "no terminal"),
    ("AF205", flow(process("a", "b"), decision("b", "x: a, y: end"), END), 5, "the loop a, b has no bound"),
    ("AF205", flow(decision("a", "x: a, y: end"), END), 4, 'the loop "a" has no bound'),
    (
        "AF205",
        flow(decision("a", "x: b, y: end", "max_visits: 3, otherwise: b"), process("b", "a"), END),
        4,
        'does not end: `otherwise` of "a" leads back into it',
    ),
    ("AF206", flow(decision("a", "x: a, y: end", "max_visits: 2"), END), 4, "no `otherwise`"),
    ("AF207", flow(decision("a", "x: end, y: end"), END), 4, "every branch"),
    ("AF208", flow(process("a", "end", "max_visits: 2, otherwise: end"), END), 4, "in no loop"),
    ("AF301", flow(process("a", "end", "reads: [b]"), END), 4, '`reads` "b"'),
    ("AF301", flow(process("a", "end", "for_each: b"), END), 4, "`for_each`"),
    ("AF301", flow("name: a, type: terminal, instruction: Say $(b)."), 4, "reads $(b), and no step"),
    ("AF302", flow(process("a", "end", "reads: [end]"), END), 4, "never runs before it"),
    ("AF302", flow(process("a", "b", "reads: [b]"), process("b", "end"), END), 4, "never runs before it"),
    (
        "AF303",
        flow(decision("a", "x: b, y: end"), process("b", "end"), "name: end, type: terminal, reads: [b]"),
        6,
        "not run on every path",
    ),
    ("AF304", flow(process("a", "end", "reads: [a]"), END), 4, "its own result"),
    ("AF305", flow("name: a, type: terminal, instruction: 'Say $('"), 4, "names no step"),
    (
        "AF306",
        flow(process("a", "b", "output: {type: string}"), process("b", "end", "for_each: a"), END),
        5,
        'whose output is of type "string"',
    ),
    ("AF307", flow(process("a", "b"), process("b", "end", "for_each: a"), END), 5, "gives a text"),
    ("AF308", flow("name: a, type: terminal, output: {type: strin}"), 4, "no JSON Schema"),
    ("AF308", flow("name: a, type: terminal, output: {items: [{$ref: 'http://x.y/z'}]}"), 4, "no JSON Schema"),
    ("AF308", flow("name: a, type: terminal, output: {allOf: [{$ref: 'http://x.y/z'}]}"), 4, "another document"),
    ("AF309", flow(END, head="inputs: [image, '']\n"), 3, "blank type"),
    ("AF401", flow("name: a, type: terminal, operator: generat"), 4, 'operator "generat", which does not exist'),
    ("AF402", flow("name: a, type: terminal, parameters: {sample: 2}"), 4, 'no parameter "sample"'),
    ("AF403", flow("name: a, type: terminal, operator: search"), 4, 'lacks the parameter "index"'),
    ("AF404", flow("name: a, type: terminal, parameters: {samples: '2'}"), 4, "is not of type 'integer'"),
    (
        "AF405",
        flow(
            process("y", "x", "operator: Image Captioning"),
            process("x", "end", "operator: Image Denoising"),
            END,
        ),
        5,
        'step "x": Image Denoising takes image, but after "y" (Image Captioning) only text is left',
    ),
    (
        "AF406",
        flow(process("a", "x"), process("x", "end", "operator: Image Denoising, reads: [a]"), END),
        5,
        "takes image, but `reads` gives text",
    ),
    (
        "AF407",
        flow(process("x", "end", "operator: Image Denoising, model: openai/x"), END),
        4,
        "is a tool",
    ),
    (
        "AF408",
        flow(process("x", "end", "operator: script, parameters: {code: 'def run(:'}"), END),
        4,
        'parameter "code" of operator "script": line 1: invalid syntax',
    ),
]


def of(source: str | Workflow, wanted: str) -> list[Finding]:
    found = lint(parse(source) if isinstance(source, str) else source, CARDS)
    return [finding for finding in found if finding.rule == wanted]


@pytest.mark.parametrize(("wanted", "source", "line", "words"), CASES, ids=[f"{c[0]}-{c[3]}" for c in CASES])
def test_the_rule_fires_at_its_place(wanted: str, source: str | Workflow, line: int | None, words: str) -> None:
    findings = of(source, wanted)
    assert [finding for finding in findings if words in finding.message and finding.line == line], findings
    assert all(finding.hint and finding.severity == RULES[wanted].severity for finding in findings)


def test_every_rule_is_silent_on_a_sound_workflow() -> None:
    assert lint(parse(SOUND), CARDS) == []


def test_every_rule_of_lint_has_a_case() -> None:
    assert {case[0] for case in CASES} == {name for name in RULES if name < "AF5"} - {"AF001"}


def test_every_rule_says_what_and_why() -> None:
    for name, described in RULES.items():
        assert described.id == name
        assert described.title
        assert described.why.endswith(".")


def test_an_id_cannot_be_given_twice() -> None:
    with pytest.raises(ValueError, match="AF101"):
        rule("AF101", "error", "x", "y")(lambda program: iter(()))


def test_a_refused_text_becomes_a_finding() -> None:
    with pytest.raises(WorkflowError) as caught:
        parse("autoflow: 1\nnme: x", "w.yaml")
    finding = unreadable(caught.value)
    assert (finding.rule, finding.severity, finding.line, finding.column) == ("AF001", "error", 2, 1)
    assert finding.place("w.yaml") == "w.yaml:2:1"


def test_findings_are_in_the_order_of_the_text() -> None:
    found = lint(parse(flow(process("a", "b", "reads: [q]"), process("c", "d"))), CARDS)
    lines = [(finding.line or 0, finding.column or 0) for finding in found]
    assert lines == sorted(lines)
    assert len(lines) > 3


def test_without_a_text_findings_name_steps_only() -> None:
    found = lint(parse(flow(process("a", "b"), END)).workflow)
    assert [(finding.step, finding.line) for finding in found if finding.rule == "AF201"] == [("a", None)]


def test_without_cards_nothing_is_said_of_operators() -> None:
    source = flow("name: a, type: terminal, operator: no such, parameters: {x: 1}")
    assert lint(parse(source)) == []


def test_a_near_miss_in_case_is_suggested() -> None:
    [finding] = of(flow(process("a", "END"), END), "AF201")
    assert finding.hint == 'did you mean "end"? steps are: a, end'


def test_what_a_misspelt_target_leads_to_is_not_called_unreachable() -> None:
    assert of(flow(process("a", "END"), END), "AF202") == []


def test_a_label_is_placed_where_it_stands() -> None:
    source = SOUND.replace("no: find", "no: fnd")
    [finding] = of(source, "AF201")
    assert (finding.line, finding.column) == (32, 27)


def test_a_bound_anywhere_on_the_loop_ends_it() -> None:
    bounded = flow(process("a", "b", "max_visits: 2, otherwise: end"), decision("b", "x: a, y: end"), END)
    assert of(bounded, "AF205") == []


def test_two_loops_through_one_step_are_two_findings() -> None:
    source = flow(process("a", "b"), decision("b", "x: a, y: c"), decision("c", "x: a, y: end"), END)
    assert [finding.step for finding in of(source, "AF205")] == ["b", "c"]


def test_a_bound_whose_otherwise_stays_outside_a_nested_loop_is_enough() -> None:
    source = flow(
        decision("a", "x: b, y: end", "max_visits: 2, otherwise: end"),
        decision("b", "x: b, y: a", "max_visits: 5, otherwise: a"),
        END,
    )
    assert of(source, "AF205") == []


def test_the_number_of_a_reading_is_its_place() -> None:
    source = SOUND.replace("reads: [look]", "reads: [look, lok]")
    [finding] = of(source, "AF301")
    assert (finding.line, finding.column) == (27, 19)


def test_a_result_read_again_in_a_loop_is_no_fault_after_the_first_path() -> None:
    source = flow(
        process("a", "b"),
        decision("b", "x: c, y: end", "max_visits: 2, otherwise: end"),
        process("c", "b", "reads: [a, b]"),
        END,
    )
    assert [finding.rule for finding in lint(parse(source), CARDS)] == []


def test_mapping_over_an_operators_list_is_left_to_the_operator() -> None:
    source = flow(
        process("a", "b", "operator: search, parameters: {index: w}"), process("b", "end", "for_each: a"), END
    )
    assert of(source, "AF307") == []


def test_a_parameters_place_and_schema_are_told() -> None:
    [finding] = of(flow("name: a, type: terminal, parameters: {samples: 0}"), "AF404")
    assert "0 is less than the minimum of 1" in finding.message


def test_a_deep_schema_is_judged_and_not_fatal() -> None:
    schema: dict[str, object] = {"type": "array"}
    for _ in range(400):
        schema = {"items": schema}
    lint(Workflow("w", (Step("a", "terminal", output=schema),)))  # type: ignore[arg-type]
    text = "{items: " * 44 + "{type: nope}" + "}" * 44
    assert of(flow(f"name: a, type: terminal, output: {text}"), "AF308")


def test_check_gives_a_sound_workflow_back() -> None:
    document = parse(SOUND)
    assert check(document, CARDS) is document.workflow
    assert check(document.workflow) is document.workflow


def test_check_lets_warnings_pass() -> None:
    workflow = parse(flow(decision("a", "x: end, y: end"), END)).workflow
    assert check(workflow) is workflow


def test_check_raises_the_first_error_and_names_the_others() -> None:
    source = flow(process("a", "b", "reads: [q]"), *(process(f"p{n}", "b") for n in range(12)))
    with pytest.raises(WorkflowError) as caught:
        check(parse(source, "w.yaml"))
    error = caught.value
    assert (error.file, error.line, error.rule) == ("w.yaml", 3, "AF203")
    assert "AF201 on line 4:" in (error.hint or "")
    assert "more" in (error.hint or "")


def test_check_of_a_bare_workflow_names_no_line() -> None:
    with pytest.raises(WorkflowError) as caught:
        check(replace(parse(flow(END)).workflow, steps=()))
    assert (caught.value.file, caught.value.line, caught.value.rule) == (None, None, "AF101")


def test_lint_loads_no_heavy_library() -> None:
    code = (
        "import sys, autoflow.language.lint, autoflow.language.document, autoflow.language.core_text\n"
        "heavy = {'jsonschema', 'ruamel', 'ruamel.yaml', 'pydantic', 'langgraph', 'openai', 'numpy', 'difflib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
