"""Loading benchmarks: by name, by path, with errors that name the line, and never a test task."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from autoflow.benchmarks import held_out, loader
from autoflow.benchmarks.definition import SOURCES
from autoflow.core.json import canonical
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import DataError, UnknownNameError, WorkflowError

Write = Callable[..., str]

YAML = """\
name: tiny
description: Sums.
data:
  jsonl: rows.jsonl
  fields: {id: id, text: question, reference: {answer: gold}, context: {hint: hint}, category: kind}
splits:
  train: {field: fold, value: train}
  validation: [c]
  test: [d, e]
  all: all
scorer: exact
notes: [A note.]
"""

ROWS = "".join(
    f'{{"id": "{name}", "question": "{name}?", "gold": "{name.upper()}", "hint": 1, "kind": "k", "fold": "{fold}"}}\n'
    for name, fold in (("a", "train"), ("b", "train"), ("c", "other"), ("d", "other"), ("e", "other"))
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a benchmark's folder from texts and return its path. Without arguments: the small one."""

    def make(yaml: str = YAML, rows: str | None = ROWS, code: str | None = None, **files: str) -> str:
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        (folder / "benchmark.yaml").write_text(yaml, encoding="utf-8")
        if rows is not None:
            (folder / "rows.jsonl").write_text(rows, encoding="utf-8")
        if code is not None:
            (folder / "benchmark.py").write_text(code, encoding="utf-8")
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return str(folder)

    return make


def _answer(value: object) -> Trace:
    return Trace(workflow="w", task="t", steps=(), answer=value)  # type: ignore[arg-type]


def test_bundled_benchmarks_are_listed_by_name() -> None:
    assert "openagi" in loader.names()
    assert loader.names() == sorted(loader.names())


@pytest.mark.parametrize("suffix", ["", "/benchmark.yaml"])
def test_own_benchmark_is_found_by_the_path_of_its_folder_or_its_file(write: Write, suffix: str) -> None:
    benchmark = loader.load(write() + suffix)
    assert benchmark.name == "tiny"
    assert [task.id for task in benchmark.train] == ["a", "b"]
    assert benchmark.notes == ("A note.",)
    assert benchmark.train[0] == Task("a", "a?", {"hint": 1}, {"answer": "A"}, "k")


def test_loaded_benchmark_holds_no_test_task(write: Write) -> None:
    benchmark = loader.load(write())
    held = [getattr(benchmark, item.name) for item in fields(benchmark)]
    assert [task.id for task in held_out.load_split(write(), "test")] == ["d", "e"]
    assert not any(text in repr(held) for text in ("d?", "e?"))


def test_split_keeps_the_order_in_which_its_ids_are_given(write: Write) -> None:
    path = write(YAML.replace("[d, e]", "[e, d]"))
    assert [task.id for task in held_out.load_split(path, "test")] == ["e", "d"]


def test_tasks_are_listed_with_every_split_that_they_are_in(write: Write) -> None:
    path = write()
    listed = held_out.list_tasks(path, held_out.load_split(path, None))
    assert [task["id"] for task in listed] == ["a", "b", "c", "d", "e"]
    assert listed[3] == {"id": "d", "splits": ["test", "all"], "category": "k", "text": "d?"}
    assert canonical(listed)
    assert held_out.splits(write()) == {"train": 2, "validation": 1, "test": 2, "all": 5}


def test_unknown_names_list_what_exists(write: Write) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown benchmark 'opengi'; there are: .*openagi"):
        loader.load("opengi")
    with pytest.raises(
        UnknownNameError, match=r"exists, but is neither a YAML file nor a folder with a benchmark\.yaml"
    ):
        loader.load(str(Path(write()).parent))
    with pytest.raises(UnknownNameError, match="there are: train, validation, test, all"):
        held_out.load_split(write(), "tset")
    with pytest.raises(UnknownNameError, match=r"unknown scorer 'plan'; there are: .*contains, .*exact"):
        loader.load(write(), scorer="plan")
    with pytest.raises(UnknownNameError, match=r"unknown scorer 'exakt'; there are: .*plan"):
        loader.load("openagi", scorer="exakt")
    with pytest.raises(UnknownNameError, match="unknown option of benchmark tiny 'size'; there are: data"):
        loader.load(write(), options={"size": 3})


async def test_scorer_of_the_definition_gets_its_parameters_and_can_be_replaced(write: Write) -> None:
    path = write(YAML.replace("scorer: exact", "scorer: {exact: {ignore_case: true}}"))
    benchmark = loader.load(path)
    assert (await benchmark.scorer.score(benchmark.train[0], _answer("a"))).value == 1.0
    assert loader.load(path, scorer="contains").scorer.label == "contains"
    assert loader.load(path, scorer="contains").fingerprint != benchmark.fingerprint


def test_split_that_the_definition_lacks_is_empty(write: Write) -> None:
    benchmark = loader.load(write(YAML.replace("  validation: [c]\n", "")))
    assert benchmark.validation == ()


# -- the definition's faults


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scorer: exact", "scorer: exact\nsorer: x", r":12:8: sorer: no such key; there are: name, description, data"),
        ("description: Sums.\n", "", r":1:1: description: is missing"),
        ("name: tiny", "name: Tiny Sums", r":1:7: name: String should match pattern"),
        ("  jsonl: rows.jsonl", "  csv: rows.csv", r":4:3: data: must be a mapping with exactly one of the sources"),
        ("text: question", "txt: question", r":5:11: data\.fields\.text: is missing"),
        ("text: question", "text: question, x: y", r"data\.fields\.x: no such key; there are: text, id, reference"),
        ("  all: all", "  all: most", r":10:8: splits\.all: a split is a list of ids"),
        ("[d, e]", "[d, z]", r":9:9: split 'test': there is no task 'z'; there are 5: a, b, c, d, e"),
        ("[d, e]", "[d, d]", r":9:9: split 'test': task d is named twice"),
        ("[d, e]", "[3-1]", r":9:9: split 'test': the range 3-1 runs backwards"),
        ("[d, e]", "[d, c]", r":9:9: task c is in validation and in test; they must not overlap"),
        ("[d, e]", "[]", r":9:9: split 'test': no task is in it"),
        ("field: fold", "field: fald", r":7:10: split 'train': task a has no field 'fald'"),
        ("scorer: exact", "scorer: [exact]", r":11:9: scorer: must be a scorer's name"),
        ("scorer: exact", "scorer: exact\nname: again", r":12:1: the key 'name' is there twice"),
        ("name: tiny", "name: &a tiny\noptions: {x: *a}", r":2:14: aliases are not allowed here"),
        ("name: tiny", "name: [tiny", r":2:12: expected ',' or '\]'"),
        ("name: tiny", "? [a]\n: tiny", r":1:3: a key must be a text"),
        ("name: tiny", "name: !!python/object:os.system tiny", r":1:7: could not determine a constructor"),
        ("name: tiny", "name: tiny\x00", r"unacceptable character"),
        ("scorer: exact", "scorer: exact\nbaseline: gone.yaml", r":12:11: baseline: there is no file .*gone\.yaml"),
    ],
)
def test_fault_in_the_definition_is_named_with_its_line(write: Write, old: str, new: str, message: str) -> None:
    assert old in YAML
    path = write(YAML.replace(old, new))
    with pytest.raises(DataError, match=message) as caught:
        loader.load(path)
    assert str(caught.value).startswith(f"{path}/benchmark.yaml")


def test_every_further_fault_of_the_definition_is_in_the_hint(write: Write) -> None:
    with pytest.raises(DataError) as caught:
        loader.load(write(YAML.replace("description: Sums.", "descripton: Sums.")))
    assert "description: is missing" in str(caught.value)
    assert "descripton: no such key" in str(caught.value)


def test_definition_that_is_no_mapping_or_no_text_is_refused(write: Write) -> None:
    path = write("- a\n")
    with pytest.raises(DataError, match=r":1:1: must be a mapping; its keys are: name, description"):
        loader.load(path)
    with pytest.raises(DataError, match="must be a mapping"):
        loader.load(write(""))
    with pytest.raises(DataError, match="is nested too deeply"):
        loader.load(write("a: " + "[" * 800 + "]" * 800))
    Path(path, "benchmark.yaml").write_bytes(b"name: \xff")
    with pytest.raises(DataError, match="is not UTF-8 at byte 6"):
        loader.load(path)


def test_yes_and_no_stay_texts_and_true_stays_a_boolean(write: Write) -> None:
    rows = '{"question": "q", "fold": "no"}\n{"question": "r", "fold": true}\n'
    yaml = (
        "name: b\ndescription: d\ndata: {jsonl: rows.jsonl, fields: {text: question}}\nscorer: exact\n"
        "splits: {train: {field: fold, value: no}, validation: {field: fold, value: true}}\n"
    )
    benchmark = loader.load(write(yaml, rows))
    assert [task.id for task in benchmark.train] == ["0"]
    assert [task.id for task in benchmark.validation] == ["1"]


# -- data


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, r"rows\.jsonl: the benchmark's data is not there\n  put the file there, or name another: --data"),
        ("{}\n", r"rows\.jsonl:1: has no field 'id'; it has: "),
        (ROWS + "\n\nnot json\n", r"rows\.jsonl:8:1: is not JSON: Expecting value$"),
        (ROWS + "[" * 100_000 + "\n", r"rows\.jsonl:6: is not JSON"),
        (ROWS + "[1]\n", r"rows\.jsonl:6: must be a JSON object"),
        (ROWS + ROWS, r"two tasks have the id 'a'"),
        (ROWS.replace('"a?"', '" "'), r"rows\.jsonl:1: the field 'question' must be a text that is not empty"),
        (ROWS.replace('"b"', "null", 1), r"rows\.jsonl:2: an id must be a text or a whole number"),
    ],
)
def test_fault_in_the_data_is_named_with_its_row(write: Write, rows: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        loader.load(write(rows=rows))


def test_data_that_is_not_utf8_is_refused(write: Write) -> None:
    path = write()
    Path(path, "rows.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="cannot be read as UTF-8 text"):
        loader.load(path)


# -- code

CODE = """\
from autoflow.core.task import Task
from .numbers_of_mine import LIMIT

def tasks(options):
    return [Task(str(n), f"{n}?", category="odd" if n % 2 else "even") for n in range(options["size"] or LIMIT)]
"""

PYTHON_YAML = """\
name: coded
description: Numbers.
data: {python: tasks}
options: {size: 6}
splits: {train: [0-2], validation: [4], test: {field: category, value: odd}}
scorer: exact
"""


def _coded(write: Write, **changes: str) -> str:
    yaml = changes.pop("yaml", PYTHON_YAML.replace("{field: category, value: odd}", "[3, 5]"))
    code = changes.pop("code", CODE)
    return write(yaml, None, code, **{"numbers_of_mine": "LIMIT = 9\n", **changes})


def test_code_beside_the_definition_may_import_its_neighbours(write: Write) -> None:
    path = _coded(write)
    assert [task.id for task in loader.load(path).train] == ["0", "1", "2"]
    assert held_out.splits(path) == {"train": 3, "validation": 1, "test": 2}
    with pytest.raises(DataError, match="task 1 is in train and in test"):
        loader.load(_coded(write, yaml=PYTHON_YAML))


def test_options_reach_the_code(write: Write) -> None:
    yaml = PYTHON_YAML.replace("test: {field: category, value: odd}", "all: all")
    path = _coded(write, yaml=yaml)
    assert held_out.splits(path)["all"] == 6
    assert len(held_out.load_split(path, "all", options={"size": 8})) == 8
    assert len(held_out.load_split(path, "all", options={"size": 0})) == 9
    assert loader.load(path, options={"size": 8}).fingerprint != loader.load(path).fingerprint


def test_edited_code_is_imported_anew_in_one_process(write: Write) -> None:
    yaml = PYTHON_YAML.replace("test: {field: category, value: odd}", "all: all")
    before = loader.load(_coded(write, yaml=yaml), options={"size": 0})
    path = _coded(write, yaml=yaml, numbers_of_mine="LIMIT = 7\n")
    assert len(held_out.load_split(path, "all", options={"size": 0})) == 7
    assert loader.load(path, options={"size": 0}).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def tasks(options):\n    return 1 / 0\n", r"benchmark\.py:2: tasks raised ZeroDivisionError"),
        ("def tasks(options):\n    return ['a']\n", r"must return a sequence of autoflow\.core\.task\.Task"),
        ("x = 1\n", r"benchmark\.py has no function 'tasks'"),
        ("x = 1\nx = \n", r"benchmark\.py:2: cannot be imported: SyntaxError"),
        ("from .numbers_of_mine import NONE\n", r"benchmark\.py:1: cannot be imported: ImportError"),
        ("from . import nothing_there\n", r"benchmark\.py:1: cannot be imported: ImportError"),
        ("from autoflow.errors import DataError\nraise DataError('no weights')\n", "^no weights$"),
        ("from autoflow.errors import DataError\ndef tasks(o):\n    raise DataError('row 3')\n", "^row 3$"),
    ],
)
def test_fault_in_the_code_is_named_with_its_line(write: Write, code: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        loader.load(_coded(write, code=code))


def test_definition_that_needs_code_which_is_not_there_says_so(write: Write) -> None:
    with pytest.raises(DataError, match=r"benchmark\.py does not exist, but the definition uses its function 'tasks'"):
        loader.load(write(PYTHON_YAML, None))


def test_scorer_and_operators_of_the_code_are_used(write: Write) -> None:
    code = CODE + (
        "from autoflow.errors import UnknownNameError\n"
        "from autoflow.scorers.exact import Exact\n"
        "def operators(options):\n    return {'look': object()}\n"
        "def scorer(name, options):\n"
        "    if name != 'own':\n        raise UnknownNameError('scorer', name, ['own'])\n"
        "    return Exact(label='own score')\n"
    )
    path = _coded(write, code=code)
    assert set(loader.load(path).operators) == {"look"}
    assert loader.load(path, scorer="own").scorer.label == "own score"
    assert loader.load(path).scorer.label == "exact match"
    with pytest.raises(UnknownNameError, match=r"there are: .*exact, .*own"):
        loader.load(path, scorer="other")


# -- baseline and fingerprint


def test_baseline_is_read_from_the_folder(write: Write) -> None:
    path = write(YAML + "baseline: flow.yaml\n")
    flow = Path(path, "flow.yaml")
    flow.write_text("autoflow: 1\nname: b\nsteps: [{name: s, type: terminal, instruction: Do it.}]\n", encoding="utf-8")
    baseline = loader.load(path).baseline
    assert baseline is not None
    assert baseline.entry.instruction == "Do it."
    flow.write_text("steps: 3", encoding="utf-8")
    with pytest.raises(WorkflowError, match=r"flow\.yaml:1"):
        loader.load(path)


def test_fingerprint_changes_with_data_and_splits_and_not_with_notes(write: Write) -> None:
    first = loader.load(write()).fingerprint
    assert loader.load(write()).fingerprint == first
    assert loader.load(write(YAML.replace("A note.", "Another."))).fingerprint == first
    assert loader.load(write(YAML.replace("[d, e]", "[e, d]"))).fingerprint != first
    assert loader.load(write(YAML, ROWS.replace('"E"', '"F"'))).fingerprint != first
    assert loader.load(write(YAML, ROWS, "x = 1\n")).fingerprint != first


def test_every_source_is_known_by_the_key_that_names_it() -> None:
    assert all(name in kind.model_fields for name, kind in SOURCES.items())
