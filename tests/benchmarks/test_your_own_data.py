"""What docs/your_own_data.md says of errors, and own data in each format is read or refused with its place."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoflow.benchmarks import held_out, loader
from autoflow.cli.main import main
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, DataError, UnknownNameError

SCRIPT = """\
- when: rain
  replies: [rain]
- when: "pen costs"
  replies: ["5"]
- replies: [billing]
"""

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(here: Path, **files: str) -> None:
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (here / f"{stem}.{suffix}").write_text(text, encoding="utf-8")


def _definition(file: str = "rows.csv", extra: str = "scorer: exact\n", splits: str = "{train: all}") -> str:
    return (
        f"name: own\ndescription: Own.\ndata:\n  file: {file}\n"
        f"  fields: {{text: q, reference: {{answer: a}}}}\nsplits: {splits}\n{extra}"
    )


# -- the guide


def test_errors_that_the_guide_shows_are_raised(here: Path, root: Path) -> None:
    guide = (root / "docs/your_own_data.md").read_text(encoding="utf-8")
    blocks = {info: body for _, info, body in FENCE.findall(guide)}
    yaml, rows = blocks[' title="support.yaml"'], blocks[' title="support.jsonl"']
    broken = [
        yaml.replace("    text: message", "    text: message\n    txt: x").replace("  fields:\n", "  fields:\n", 1),
        yaml.replace("text: message", "text: messsage"),
        yaml.replace("train: 25%", "train: [T9]"),
    ]
    shown = next(body for language, _, body in FENCE.findall(guide) if language == "text").splitlines()
    (here / "support.jsonl").write_text(rows, encoding="utf-8")
    for text, error in zip(broken, shown, strict=True):
        (here / "support.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(DataError) as caught:
            loader.load("support.yaml")
        place, _, said = error.partition(": ")
        assert re.sub(r":\d+", "", place) in str(caught.value)
        assert said in str(caught.value)


def test_init_writes_a_benchmark_that_runs_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "script.yaml").write_text(SCRIPT)
    assert main(["init", "benchmark", "My Tasks.yaml"]) == 0
    benchmark = loader.load("My Tasks.yaml")
    assert benchmark.name == "my-tasks"
    assert (len(benchmark.train), len(benchmark.validation), held_out.splits("My Tasks.yaml")["test"]) == (3, 3, 4)
    assert main(["bench", "My Tasks.yaml", "--interpreter", "scripted/script.yaml"]) == 0
    assert "exact match on my-tasks, split test" in capsys.readouterr().out


def test_init_replaces_nothing_unasked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mytasks.jsonl").write_text("mine")
    assert main(["init", "benchmark"]) == 2
    assert "mytasks.jsonl exists" in capsys.readouterr().err
    assert (here / "mytasks.jsonl").read_text() == "mine"
    assert not (here / "mytasks.yaml").exists()
    assert main(["init", "benchmark", "--overwrite"]) == 0
    assert (here / "mytasks.jsonl").read_text() != "mine"
    assert main(["init", "benchmark", "x.json"]) == 2
    assert main(["init", "benchmark", "nowhere/x.yaml"]) == 2
    assert main(["bench", "y.yaml"]) == 2
    assert "autoflow init benchmark y.yaml writes one" in capsys.readouterr().err


# -- formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", '{"q": "a, b", "a": "1"}\n\n{"q": "c\u2028", "a": "2"}\n'),
        ("rows.json", '[{"q": "a, b", "a": "1"}, {"q": "c\u2028", "a": "2"}]'),
        ("rows.csv", '\ufeffq,a\r\n"a, b",1\r\n\r\nc\u2028,2\r\n'),
        ("rows.tsv", "q\ta\na, b\t1\nc\u2028\t2\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_each_text_format_gives_the_same_tasks(here: Path, name: str, text: str, packed: bool) -> None:
    import gzip

    file = here / (f"{name}.gz" if packed else name)
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    _write(here, own_yaml=_definition(file.name))
    assert loader.load("own.yaml").train == (
        Task("0", "a, b", reference={"answer": "1"}),
        Task("1", "c\u2028", reference={"answer": "2"}),
    )


def test_parquet_rows_become_json(here: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import datetime
    import decimal

    from pyarrow import parquet

    values = {"n": 3, "d": datetime.date(2020, 1, 2), "x": decimal.Decimal("1.5"), "l": [b"\x01"], "none": None}
    parquet.write_table(pyarrow.Table.from_pylist([{"q": "?", "a": values}]), here / "rows.parquet")
    _write(here, own_yaml=_definition("rows.parquet"))
    assert loader.load("own.yaml").train[0].reference == {
        "answer": {"n": 3, "d": "2020-01-02", "x": 1.5, "l": ["01"], "none": None}
    }
    (here / "rows.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read as Parquet"):
        loader.load("own.yaml")
    (here / "rows.parquet").unlink()
    with pytest.raises(DataError, match=r"rows\.parquet: the benchmark's data is not there"):
        loader.load("own.yaml")


def test_parquet_without_its_package_names_the_extra(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    _write(here, own_yaml=_definition("rows.parquet"))
    with pytest.raises(Exception, match=r"needs the package pyarrow\n  pip install 'autoflow\[parquet\]'"):
        loader.load("own.yaml")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "rows.csv",
            "q,a\na, b,1\n",
            r"rows\.csv:2: has 3 cells, but there are 2 columns: q, a\n  a cell with a comma",
        ),
        ("rows.csv", 'q,a\n"x,1\n', r"rows\.csv:\d: unexpected end of data"),
        ("rows.csv", "q,q\n1,2\n", r"rows\.csv:1: the column 'q' is there twice"),
        ("rows.csv", "q,b\n1,2\n", r"rows\.csv:2: has no field 'a'; it has: q, b"),
        ("rows.csv", "q,a\n,2\n", r"rows\.csv:2: the field 'q' must be a text that is not empty"),
        ("rows.json", '{"q": 1}', r"rows\.json: must be a list of objects"),
        ("rows.json", "[1]", r"rows\.json:1: must be a JSON object"),
        ("rows.json", "[{]", r"rows\.json:1:3: is not JSON"),
        ("rows.xlsx", "", r"rows\.xlsx: the suffix says no format; there are: \.jsonl, \.json, \.csv"),
        ("rows.csv.gz", "no gzip", r"rows\.csv\.gz: cannot be read as UTF-8 text"),
    ],
)
def test_fault_in_a_file_is_named_with_its_row(here: Path, name: str, text: str, message: str) -> None:
    (here / name).write_text(text)
    _write(here, own_yaml=_definition(name))
    with pytest.raises(DataError, match=message):
        loader.load("own.yaml")


def test_option_data_reads_another_file(here: Path) -> None:
    _write(here, rows_csv="q,a\n1?,1\n", other_csv="q,a\n2?,2\n", own_yaml=_definition())
    assert loader.load("own.yaml", options={"data": "other.csv"}).train[0].text == "2?"
    same = (here / "rows.csv").read_text()
    (here / "copy.csv").write_text(same)
    assert (
        loader.load("own.yaml", options={"data": "copy.csv"}).fingerprint
        == loader.load("own.yaml", options={"data": "rows.csv"}).fingerprint
    )


# -- splits

TEN = "q,a\n" + "".join(f"{n}?,{n}\n" for n in range(10))


def test_shares_part_the_tasks_without_overlap(here: Path) -> None:
    _write(here, rows_csv=TEN, own_yaml=_definition(splits='{train: "30%", validation: 30 %, test: 40%}'))
    assert held_out.splits("own.yaml") == {"train": 3, "validation": 3, "test": 4}
    ids = [task.id for name in ("train", "validation", "test") for task in held_out.load_split("own.yaml", name)]
    assert sorted(ids) == list("0123456789")


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        ("{train: [0-1], validation: {file: ids.txt}, test: {rest: [train, validation]}}", [2, 3, 5]),
        ("{train: [0-1], validation: [2], both: {union: [validation, train]}}", [2, 1, 3]),
        ("{train: {shuffle: 0, rows: 0-3}, test: {shuffle: 0, rows: 4-9}}", [4, 6]),
    ],
)
def test_splits_may_be_said_in_other_ways(here: Path, splits: str, sizes: list[int]) -> None:
    _write(here, rows_csv=TEN, ids_txt="# mine\n7 8\n9\n", own_yaml=_definition(splits=splits))
    assert list(held_out.splits("own.yaml").values()) == sizes


def test_without_splits_every_task_is_held_out(here: Path) -> None:
    _write(here, rows_csv=TEN, own_yaml=_definition().replace("splits: {train: all}\n", ""))
    assert held_out.splits("own.yaml") == {"test": 10}
    assert loader.load("own.yaml").train == ()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ("{train: 60%, test: 60%}", r"own\.yaml:6:9: the shares add up to 120 %"),
        ("{train: 120%}", "a split is a list of ids"),
        ("{train: {rest: [tset]}}", "split 'train' names 'tset', which does not exist; there are: train"),
        ("{a: {rest: [b]}, b: {rest: [a]}}", "split 'a' names 'b', which is a rest or union itself"),
        ("{train: {file: gone.txt}}", r"split 'train': .*gone\.txt cannot be read"),
        ("{train: {shuffle: 0, rows: 5-10}}", "there are only 10 tasks, so no place 10"),
        ("{train: {shuffle: 0, rows: 5-1}}", "a split is a list of ids"),
        (
            "{train: [0], test: {rest: [train]}}\npinned: {test: abc}",
            r"own\.yaml:7:16: split 'test' is not the one pinned",
        ),
        ("{train: [0]}\npinned: {tset: abc}", "pinned: there is no split 'tset'"),
        ("{train: [x, y]}", r"there is no task 'x' \(and 1 more\); there are 10: 0, 1, 2 \.\.\. 9"),
    ],
)
def test_fault_in_a_split_is_named_with_its_line(here: Path, splits: str, message: str) -> None:
    _write(here, rows_csv=TEN, own_yaml=_definition(splits=splits))
    with pytest.raises(DataError, match=message):
        loader.load("own.yaml")


# -- a function of one's own

Define = Callable[[str], str]


@pytest.fixture
def define(here: Path) -> Define:
    def make(code: str) -> str:
        _write(here, rows_csv="q,a\n1?,1\n", judge_py=code, own_yaml=_definition(extra="scorer: 'judge:rate'\n"))
        return "own.yaml"

    return make


async def _score(path: str, answer: object = "1") -> object:
    benchmark = loader.load(path)
    task = benchmark.train[0]
    return await benchmark.scorer.score(task, Trace("w", task.id, (), answer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "value", "reason"),
    [
        ("def rate(task, answer): return answer == task.reference['answer']", 1.0, ""),
        ("def rate(task, answer): return 0.5", 0.5, "partial"),
        ("async def rate(task, answer): return 0", 0.0, "mismatch"),
        ("def rate(task, answer): return None", None, "unscored"),
        ("from autoflow.core.score import Score\ndef rate(task, answer): return Score(1.0, 'fine')", 1.0, "fine"),
        ("async def later(): return 1\ndef rate(task, answer): return later()", 1.0, ""),
    ],
)
async def test_own_function_judges(define: Define, body: str, value: float | None, reason: str) -> None:
    score = await _score(define(body + "\n"))
    assert (score.value, score.reason) == (value, reason)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def rate(task, answer):\n    return 1 / 0",
            r"judge\.py:2: scorer judge:rate raised ZeroDivisionError on task 0",
        ),
        ("def rate(task, answer): return 2", r"returned 2 on task 0; it must return a number in \[0, 1\]"),
        ("def rate(task, answer): return 'good'", "returned 'good' on task 0"),
    ],
)
async def test_own_function_that_fails_is_named_with_its_line(define: Define, body: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        await _score(define(body + "\n"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def rated(task, answer): return 1", "judge has no function 'rate'; it has: rated"),
        ("def rate(task): return 1", r"scorer 'judge:rate' must take \(task, answer\)"),
        ("import nothing_there_is", r"judge\.py needs 'nothing_there_is', which is absent"),
        ("x = = 1", r"judge\.py:1: scorer 'judge:rate' cannot be imported: SyntaxError"),
        ("1 / 0", r"judge\.py:1: scorer 'judge:rate' cannot be imported: ZeroDivisionError"),
    ],
)
def test_own_function_that_cannot_be_used_is_refused_before_the_run(define: Define, body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loader.load(define(body + "\n"))


def test_own_function_is_part_of_the_fingerprint_and_of_no_other_folder(define: Define) -> None:
    first = loader.load(define("def rate(task, answer): return 1\n"))
    assert loader.load(define("def rate(task, answer): return 0\n")).fingerprint != first.fingerprint
    with pytest.raises(ConfigError, match=r"there is neither .*gone\.py nor an installed module 'gone'"):
        loader.load("own.yaml", scorer="gone:rate")
    with pytest.raises(ConfigError, match="must be written module:function"):
        loader.load("own.yaml", scorer="judge:")
    with pytest.raises(UnknownNameError, match="or a function of your own, written module:function"):
        loader.load("own.yaml", scorer="judge")
    assert loader.load("own.yaml", scorer="operator:eq").scorer.label == "operator:eq"


def test_definitions_code_is_the_file_of_its_name_alone(here: Path) -> None:
    code = "from autoflow.core.task import Task\ndef tasks(options): return [Task('1', '?')]\n"
    yaml = "name: own\ndescription: Own.\ndata: {python: tasks}\nsplits: {train: all}\nscorer: exact\n"
    _write(here, own_py=code, unrelated_py="x = 1\n", own_yaml=yaml)
    first = loader.load("own.yaml")
    assert first.train[0].id == "1"
    _write(here, unrelated_py="x = 2\n")
    assert loader.load(os.fspath(here / "own.yaml")).fingerprint == first.fingerprint


# -- data of the hub, named in one's own file

HUB = """\
name: own
description: Own.
data: {hub: me/mine, files: [rows.jsonl], local: [mine/rows.jsonl], MAPPING}
splits: {train: all}
scorer: exact
"""


@pytest.mark.parametrize("folder", ["", "mine", "mine/rows.jsonl"])
def test_hub_data_may_lie_here(here: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    (here / "mine").mkdir()
    (here / "mine/rows.jsonl").write_text('{"q": "1?", "a": "1"}\n')
    _write(here, own_yaml=HUB.replace("MAPPING", "fields: {text: q, reference: {answer: a}}"))
    if not folder:
        monkeypatch.setenv("AUTOFLOW_DATA", str(here))
    options = {"data": folder} if folder else {}
    assert loader.load("own.yaml", options=options).train == (Task("0", "1?", reference={"answer": "1"}),)


@pytest.mark.parametrize(
    ("mapping", "code", "message"),
    [
        ("row: task, fields: {text: q}", "", "exactly one of fields and row is needed"),
        (
            "row: task",
            "def task(row, index, file): return 3",
            r"own\.py: task must return an autoflow\.core\.task\.Task",
        ),
        (
            "row: task",
            "def task(row, index, file): return 1 / 0",
            r"rows\.jsonl:1: .*own\.py:1: task raised ZeroDivision",
        ),
        ("row: task", "def task(row, index, file): return None", "split 'train': no task is in it"),
        ("row: task", "", r"own\.py has no function 'task'"),
    ],
)
def test_fault_in_reading_hub_data_is_named(here: Path, mapping: str, code: str, message: str) -> None:
    (here / "rows.jsonl").write_text('{"q": "1?"}\n')
    _write(here, own_yaml=HUB.replace("MAPPING", mapping), own_py=f"{code}\n")
    with pytest.raises(DataError, match=message):
        loader.load("own.yaml", options={"data": "rows.jsonl"})
