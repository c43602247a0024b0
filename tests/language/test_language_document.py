"""Reading a file: what is taken, where things stand, and what every refusal says."""

from pathlib import Path

import pytest
import yaml

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language import nodes
from autoflow.language.document import load, parse

PLAN = """\
autoflow: 1
name: plan
description: Plan a chain.
steps:
  - name: draft
    type: process
    instruction: Write a list.
    next: check
  - name: check
    type: decision
    instruction: Is it right?
    branches: {yes: done, no: draft}
    max_visits: 3
    otherwise: done
  - name: done
    type: terminal
    output: {type: array, items: {type: string}}
"""


def body(step: str) -> str:
    return f"autoflow: 1\nname: x\nsteps:\n  - name: a\n    type: terminal\n    {step}\n"


def refusal(text: str | bytes) -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        parse(text, "plan.yaml")
    return caught.value


def test_a_file_becomes_the_workflow_it_says() -> None:
    assert parse(PLAN).workflow == Workflow(
        name="plan",
        description="Plan a chain.",
        steps=(
            Step("draft", "process", "Write a list.", next="check"),
            Step(
                "check",
                "decision",
                "Is it right?",
                branches={"yes": "done", "no": "draft"},
                max_visits=3,
                otherwise="done",
            ),
            Step("done", "terminal", output={"type": "array", "items": {"type": "string"}}),
        ),
    )


def test_yes_and_no_stay_two_labels_in_order() -> None:
    branches = parse(PLAN).workflow.step("check").branches
    assert list(branches.items()) == [("yes", "done"), ("no", "draft")]


def test_every_key_label_and_step_has_its_place() -> None:
    document = parse(PLAN)
    assert document.place() == (1, 1)
    assert document.place(None, "name") == (2, 1)
    assert document.place(1) == (9, 5)
    assert document.place(1, "max_visits") == (13, 5)
    assert document.place(1, "branches", "no") == (12, 27)


def test_what_does_not_stand_in_the_text_is_placed_at_what_holds_it() -> None:
    document = parse(PLAN)
    assert document.place(1, "branches", "maybe") == (12, 5)
    assert document.place(1, "next") == (9, 5)
    assert document.place(7, "next") == (1, 1)


def test_plain_names_are_kept_as_written() -> None:
    text = "autoflow: 1\nname: 1.10\nsteps:\n- {name: on, type: process, instruction: x, next: 007}\n"
    workflow = parse(text).workflow
    assert (workflow.name, workflow.entry.name, workflow.entry.next) == ("1.10", "on", "007")


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_an_optional_key_with_nothing_after_it_is_absent(nothing: str) -> None:
    keys = ["next", "branches", "max_visits", "otherwise", "reads", "for_each", "output", "model", "timeout_s"]
    keys += ["instruction", "operator", "parameters"]
    lines = "\n    ".join(f"{key}: {nothing}" for key in keys)
    assert parse(body(lines)).workflow.entry == Step("a", "terminal")


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("yes", "yes"),
        ("off", "off"),
        ("12", 12),
        ("-0o17", "-0o17"),
        ("0o17", 15),
        ("0xff", 255),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("12:30", "12:30"),
        ('"true"', "true"),
        ("[1, a]", [1, "a"]),
        ("{1: a}", {"1": "a"}),
    ],
)
def test_parameters_are_read_by_yaml_1_2s_core_schema(scalar: str, value: object) -> None:
    found = parse(body(f"parameters: {{x: {scalar}}}")).workflow.entry.parameters["x"]
    assert (found, type(found)) == (value, type(value))


def test_timeout_is_a_float_however_it_is_written() -> None:
    value = parse(body("timeout_s: 30")).workflow.entry.timeout_s
    assert (value, type(value)) == (30.0, float)


def test_reads_and_inputs_are_tuples() -> None:
    workflow = parse("inputs: [image, text]\n" + body("reads: [a, 1]")).workflow
    assert workflow.inputs == ("image", "text")
    assert workflow.entry.reads == ("a", "1")


def test_bytes_with_a_byte_order_mark_are_read() -> None:
    assert parse(b"\xef\xbb\xbf" + PLAN.encode()).workflow.name == "plan"


def test_windows_line_ends_change_nothing() -> None:
    assert parse(PLAN.replace("\n", "\r\n")).workflow == parse(PLAN).workflow


def test_an_alias_stands_for_its_anchor() -> None:
    text = "autoflow: 1\nname: x\nsteps:\n"
    text += "- {name: a, type: process, instruction: x, next: b, output: &list {type: array}}\n"
    text += "- {name: b, type: terminal, output: *list}\n"
    assert parse(text).workflow.steps[1].output == {"type": "array"}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "empty"),
        ("# nothing\n", 1, 1, "empty"),
        ("- a", 1, 1, "mapping, not a list"),
        ("name: x\nsteps: []", 1, 1, "`autoflow`, the format version, is missing"),
        ("autoflow: 2\nname: x", 1, 11, 'format 1, not "2"'),
        ("autoflow: []\nname: x", 1, 11, "format 1, not a list"),
        ("autoflow: 1\nsteps: []", 1, 1, "the workflow has no `name`"),
        ("autoflow: 1\nname: x", 1, 1, "no `steps`"),
        ("autoflow: 1\nname: x\nsteps: []", 3, 8, "`steps` is empty"),
        ("autoflow: 1\nname: x\nsteps: {}", 3, 8, "`steps` is a list, not a mapping"),
        ("autoflow: 1\nname: x\nsteps: [a]", 3, 9, "a step is a mapping, not a text"),
        ("autoflow: 1\nname: x\nstpes: []", 3, 1, 'no key "stpes"'),
        ("autoflow: 1\nname: [x]\nsteps: []", 2, 7, "`name` is a text, not a list"),
        ("autoflow: 1\nname: x\ninputs: image\nsteps: [{name: a, type: terminal}]", 3, 9, "`inputs` is a list"),
        (body("nxt: b"), 6, 5, 'a step has no key "nxt"'),
        (body("next: [b]"), 6, 11, "`next` is a text"),
        (body("branches: [b]"), 6, 15, "mapping from label to step"),
        (body("branches: {yes: }"), 6, 21, 'branch "yes" leads nowhere'),
        (body("branches: {yes: [b]}"), 6, 21, "`branches.yes` is a text"),
        (body("reads: a"), 6, 12, "`reads` is a list"),
        (body("reads: [~]"), 6, 13, "an item of `reads` is empty"),
        (body("reads: [[a]]"), 6, 13, "`reads` is a text"),
        (body('max_visits: "3"'), 6, 17, "whole number"),
        (body("max_visits: 3.0"), 6, 17, "whole number"),
        (body("max_visits: [3]"), 6, 17, "not a list"),
        (body("max_visits: " + "9" * 30), 6, 17, "whole number"),
        (body("timeout_s: soon"), 6, 16, 'number of seconds, not "soon"'),
        (body("timeout_s: 1e999"), 6, 16, "number of seconds"),
        (body("timeout_s: {}"), 6, 16, "not a mapping"),
        (body("parameters: 3"), 6, 17, "`parameters` is a mapping"),
        (body("output: [a]"), 6, 13, "`output` is a mapping"),
        (body("parameters: {a: .nan}"), 6, 21, "no JSON number"),
        (body("parameters: {a: 1e999}"), 6, 21, "too large"),
        (body("parameters: {a: " + "9" * 5000 + "}"), 6, 21, "too long"),
        (body("name: b"), 6, 5, 'key "name" stands twice in one mapping, first on line 4'),
        (body("output: {a: 1, a: 2}"), 6, 20, 'key "a" stands twice'),
        (body("instruction: !x y"), 6, 18, "tag !x is not taken"),
        (body("instruction: !!str y"), 6, 18, "is not taken"),
        (body("output: {<<: {a: 1}}"), 6, 14, "merge keys"),
        (body("output: {[a]: 1}"), 6, 14, "a key must be a text, not a list"),
        (body("? {a: 1}\n    : b"), 6, 7, "a key must be a text, not a mapping"),
        (body("output: &a {b: *a}"), 6, 20, "alias *a stands for nothing"),
        (body("output: {*b : 1}"), 6, 14, "alias *b"),
        (body("output: &a {b: c}\n    *a : x"), 7, 5, "a key must be a text"),
        ("a\n---\nb", 2, 1, "second document"),
        ("a: b: c", 1, 5, "not YAML"),
        ("a: [", 2, 1, "not YAML"),
        ("\ta: 1", 1, 1, "not YAML"),
        ("autoflow: 1\nname: a\x07", 2, 8, "U+0007"),
        ("a\ud800", 1, 2, "U+D800"),
        ('a: "\\ud800"', 1, None, ""),
        (b"autoflow: 1\nname: \xff", 2, 7, "0xFF is not UTF-8"),
        ("\ufeffa".encode("utf-16"), 1, 1, "not UTF-8"),
        ("[" * 1000, 1, 51, "nested deeper than 50"),
        ("- " * 1000, 1, 101, "nested deeper than 50"),
        ("x" * (nodes.MAX_BYTES + 1), 1, 1, "larger than 1 MiB"),
        ("ü" * (nodes.MAX_BYTES // 2 + 1), 1, 1, "larger than 1 MiB"),
        (b"x" * (nodes.MAX_BYTES + 1), 1, 1, "larger than 1 MiB"),
        ("- a\n" * (nodes.MAX_NODES + 1), 10000, 3, "more than 10,000 values"),
    ],
)
def test_a_fault_is_refused_with_its_place(text: str | bytes, line: int, column: int | None, words: str) -> None:
    error = refusal(text)
    assert (error.file, error.line) == ("plan.yaml", line)
    if column is not None:
        assert error.column == column
    assert words in error.message
    assert error.hint
    assert error.rule == "AF001"


def test_a_misspelt_key_is_told_the_nearest_and_all() -> None:
    hint = refusal("autoflow: 1\nname: x\nstpes: []").hint
    assert hint == "did you mean `steps`? keys are: autoflow, name, description, inputs, steps"


@pytest.mark.parametrize("written", ["Process", "proces", " process"])
def test_a_misspelt_type_is_told_the_nearest(written: str) -> None:
    error = refusal(f"autoflow: 1\nname: x\nsteps:\n- {{name: a, type: '{written}'}}")
    assert 'did you mean "process"?' in (error.hint or "")


def test_a_missing_name_names_the_step_by_number() -> None:
    error = refusal("autoflow: 1\nname: x\nsteps:\n- {name: a, type: terminal}\n- {type: terminal}")
    assert (error.message, error.line) == ("step 2 has no `name`", 5)


def test_a_name_that_is_the_word_null_must_be_quoted() -> None:
    assert 'quote it: "null"' in (refusal("autoflow: 1\nname: null\nsteps: []").hint or "")
    assert parse('autoflow: 1\nname: "null"\nsteps: [{name: "~", type: terminal}]').workflow.name == "null"


def test_aliases_that_explode_are_refused_for_their_number() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    error = refusal("\n".join(lines))
    assert "10,000 values" in error.message
    assert error.line == 4


def test_aliases_of_a_long_text_are_refused_for_their_characters() -> None:
    assert "characters" in refusal("a: &a " + "x" * 500_000 + "\nb: [*a, *a, *a]").message


def test_aliases_cannot_nest_deeper_than_the_limit() -> None:
    text = "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*a" + "]" * 30
    assert "nested deeper" in refusal(text).message


def test_messages_cannot_carry_control_sequences() -> None:
    error = refusal('autoflow: 1\n"\\e[31mred\\u202e": 1\nname: x')
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.file == str(tmp_path / "none.yaml")
    assert "cannot read" in caught.value.message


@pytest.mark.parametrize("name", ["a folder", "nul\0"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    if "\0" not in name:
        (tmp_path / name).mkdir()
    with pytest.raises(WorkflowError, match="cannot read"):
        load(tmp_path / name)


def test_a_file_is_called_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    assert load(path).file == str(path)
    assert load(path).workflow == parse(PLAN).workflow


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as stream:
        stream.truncate(1 << 34)
    with pytest.raises(WorkflowError, match="larger than 1 MiB"):
        load(path)


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"', 'a: "\\ud800"', "%YAML 1." + "9" * 5000 + "\n---\na: b", PLAN])
def test_without_libyaml_the_same_is_read_and_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    if text == PLAN:
        assert parse(text).workflow.name == "plan"
    else:
        refusal(text)
