"""A comparison is made on what both runs scored, of the same thing, and says what it cannot show."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoflow.bench import BenchConfig, bench
from autoflow.compare import compare, read
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import RunError, UsageError
from autoflow.models.scripted import Rule, Scripted

WORKFLOW = Workflow("one step", (Step("answer", "terminal", "Answer with a number."),))
CONFIG = BenchConfig(benchmark="numbers", interpreter="scripted/a", command="autoflow bench numbers")
TASKS = tuple(Task(f"t{number}", f"task number {number} end") for number in range(12))


class Number:
    """The answer is the score."""

    label = "number score"

    async def score(self, task: Task, trace: Trace) -> Score:
        value = float(str(trace.answer))
        return Score(value, "" if value == 1 else "wrong")


BENCHMARK = Benchmark("numbers", "Numbers.", (), (), Number(), fingerprint="f1")


def _bench(
    path: Path,
    scores: Sequence[float | tuple[float, ...] | None],
    *,
    config: BenchConfig = CONFIG,
    benchmark: Benchmark = BENCHMARK,
    tasks: Sequence[Task] = TASKS,
    model: str = "scripted/a",
) -> Path:
    # A task without a rule meets a provider error, as in an outage. A tuple gives one reply an epoch.
    rules = [
        Rule(tuple(str(item) for item in (score if isinstance(score, tuple) else (score,))), when=task.text)
        for task, score in zip(tasks, scores, strict=True)
        if score is not None
    ]
    asyncio.run(bench(config, WORKFLOW, benchmark, Scripted(rules, name=model), tasks=tasks, folder=path))
    return path


def test_equal_runs_show_no_difference(tmp_path: Path) -> None:
    scores = [1, 0] * 6
    report = compare(_bench(tmp_path / "a", scores), _bench(tmp_path / "b", scores))
    assert (report.comparison.difference, report.comparison.p_value, report.comparison.n) == (0, 1, 12)
    assert (report.worse, report.needed, report.differing, len(report.left_out)) == (False, None, [], 0)
    text = report.to_text()
    assert "B against A: no difference that 12 tasks can show" in text
    assert "sample size: none shows a difference of 0" in text
    assert "differs: nothing" in text
    assert "tasks that differ most" not in text


def test_clearly_worse_run_is_worse_and_the_better_one_is_not(tmp_path: Path) -> None:
    a, b = _bench(tmp_path / "a", [1] * 12), _bench(tmp_path / "b", [1] + [0] * 11)
    report = compare(a, b)
    assert report.worse
    assert report.comparison.test == "mcnemar"
    assert (report.mean_a.mean, report.mean_b.mean) == (1, pytest.approx(1 / 12))
    assert report.comparison.difference == pytest.approx(-11 / 12)
    assert report.comparison.low < -11 / 12 < report.comparison.high < 0
    assert report.needed == report.comparison.needed
    text = report.to_text()
    assert "B against A: worse by 0.92" in text
    assert "  t1   A 1.000  B 0.000  -1.000  task number 1 end (B: wrong)" in text
    assert "  and 1 more" in text
    swapped = compare(b, a)
    assert not swapped.worse
    assert "B against A: better by 0.92" in swapped.to_text()


def test_gap_inside_the_noise_is_not_worse_and_says_how_many_tasks_it_takes(tmp_path: Path) -> None:
    report = compare(_bench(tmp_path / "a", [1] * 12), _bench(tmp_path / "b", [0] + [1] * 11))
    assert report.comparison.difference < 0
    assert not report.worse
    assert report.needed is not None
    assert report.needed > 12
    assert f"sample size: about {report.needed:,} tasks show a difference of this size with power 0.8" in (
        report.to_text()
    )


def test_task_unscored_in_one_run_is_left_out_and_counted(tmp_path: Path) -> None:
    a = _bench(tmp_path / "a", [None, 1, 0, *[1] * 9])
    b = _bench(tmp_path / "b", [0, None, 0, *[1] * 9])
    report = compare(a, b)
    assert report.left_out.unscored == ("t0", "t1")
    assert report.comparison.n == report.mean_a.n == report.mean_b.n == 10
    assert report.comparison.difference == 0
    assert "left out: 2 (0 only in A, 0 only in B, 2 without a score in one)" in report.to_text()


def test_task_of_one_run_alone_is_left_out_and_counted(tmp_path: Path) -> None:
    a = _bench(tmp_path / "a", [1] * 12, config=replace(CONFIG, limit=10))
    b = _bench(tmp_path / "b", [1] * 12, config=replace(CONFIG, tasks="t1,t2,t3,t11"))
    report = compare(a, b)
    assert [pair.id for pair in report.pairs] == ["t1", "t2", "t3"]
    assert report.left_out.only_a == ("t0", "t4", "t5", "t6", "t7", "t8", "t9")
    assert report.left_out.only_b == ("t11",)
    assert {item.key for item in report.differs} == {"tasks", "limit"}


def test_epochs_count_as_one_mean_a_task(tmp_path: Path) -> None:
    drawn = replace(CONFIG, epochs=2, concurrency=1)
    a = _bench(tmp_path / "a", [(1, 0)] * 12, config=drawn)
    b = _bench(tmp_path / "b", [(0, 0)] * 12, config=drawn)
    report = compare(a, b)
    assert report.comparison.n == 12
    assert report.comparison.test == "permutation (exact)"
    assert {(pair.a, pair.b) for pair in report.pairs} == {(0.5, 0.0)}
    assert report.worse


def test_what_people_compare_is_listed_not_refused(tmp_path: Path) -> None:
    other = replace(CONFIG, interpreter="scripted/b", seed=7, settings=replace(CONFIG.settings, protocol="segment"))
    a = _bench(tmp_path / "a", [1] * 12)
    b = _bench(tmp_path / "b", [1] * 12, config=other, model="scripted/b")
    report = compare(a, b)
    told = {item.key: (item.stored, item.asked) for item in report.differs}
    assert told["interpreter"] == ("scripted/a", "scripted/b")
    assert told["seed"] == (0, 7)
    assert told["settings.protocol"] == ("fused", "segment")
    assert told["answered"] == (["scripted/a"], ["scripted/b"])
    assert "settings.seed" not in told
    assert 'differs: interpreter: "scripted/a" in A, "scripted/b" in B' in report.to_text()


class Other(Number):
    label = "other score"


@pytest.mark.parametrize(
    ("config", "benchmark", "said"),
    [
        (CONFIG, replace(BENCHMARK, name="letters", fingerprint="f2"), 'benchmark: "numbers" and "letters"'),
        (replace(CONFIG, split="validation"), BENCHMARK, 'split: "test" and "validation"'),
        (CONFIG, replace(BENCHMARK, scorer=Other(), fingerprint="f2"), 'scorer: "number score" and "other score"'),
        (CONFIG, replace(BENCHMARK, fingerprint="f2"), "data: the tasks, options or code of numbers are not the same"),
    ],
)
def test_runs_that_measured_different_things_are_refused(
    tmp_path: Path, config: BenchConfig, benchmark: Benchmark, said: str
) -> None:
    a = _bench(tmp_path / "a", [1] * 12)
    b = _bench(tmp_path / "b", [1] * 12, config=config, benchmark=benchmark)
    with pytest.raises(UsageError, match="did not measure the same thing") as caught:
        compare(a, b)
    assert said in caught.value.message
    # One difference, one line: the hash that follows from it is not told as well.
    assert caught.value.message.count("\n") == 1


def test_runs_without_a_task_in_common_are_refused(tmp_path: Path) -> None:
    a = _bench(tmp_path / "a", [1] * 12, config=replace(CONFIG, tasks="t1,t2"))
    b = _bench(tmp_path / "b", [1] * 12, config=replace(CONFIG, tasks="t3"))
    with pytest.raises(UsageError, match=r"2 are only in the first, 1 only in the second, 0 without a score"):
        compare(a, b)


def test_run_that_did_not_finish_is_refused_with_its_command(tmp_path: Path) -> None:
    a = _bench(tmp_path / "a", [1] * 12, config=replace(CONFIG, budget=Budget(calls=3)))
    with pytest.raises(RunError, match=r"not finished \(budget\)") as caught:
        read(a)
    assert caught.value.hint == "finish it: autoflow bench numbers"


def test_folder_without_a_bench_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no bench report: there is no report\.json"):
        read(tmp_path)
    (tmp_path / "report.json").mkdir()
    with pytest.raises(RunError, match="cannot be read"):
        read(tmp_path)


def _changed(report: dict[str, Any], change: Mapping[str, Any]) -> str:
    return json.dumps({**report, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "improve"}, "but one of kind 'improve'"),
        ({"schema": 2}, "is of version 2; this autoflow reads version 1"),
        ({"rows": [{"id": "t0"}]}, "is damaged: KeyError"),
        ({"rows": [{"id": "t0", "score": 2, "text": "", "reason": ""}]}, "task t0 has the score 2"),
        ({"rows": [{"id": "t0", "score": True, "text": "", "reason": ""}]}, "task t0 has the score True"),
        ({"rows": [{"id": "t0", "score": 1, "text": "", "reason": ""}] * 2}, "task t0 stands in it twice"),
        ({"config": {"benchmark": "numbers"}}, "its configuration has no split"),
    ],
)
def test_report_that_cannot_be_trusted_is_refused(tmp_path: Path, change: Mapping[str, Any], said: str) -> None:
    folder = _bench(tmp_path / "a", [1] * 12)
    file = folder / "report.json"
    file.write_text(_changed(json.loads(file.read_text()), change))
    with pytest.raises(RunError) as caught:
        read(folder)
    assert said in caught.value.message


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError):
        read(tmp_path)


def test_long_values_and_texts_are_cut(tmp_path: Path) -> None:
    tasks = tuple(Task(f"t{number}", f"task\nnumber {number} end {'x' * 80}") for number in range(12))
    a = _bench(tmp_path / "a", [1] * 12, tasks=tasks)
    b = _bench(tmp_path / "b", [0] * 12, tasks=tasks, config=replace(CONFIG, base_url=f"http://host/{'y' * 80}"))
    text = compare(a, b).to_text()
    assert "task number 0 end xxx" in text
    assert max(len(line) for line in text.splitlines()) < 200


def test_equal_seeds_give_equal_reports(tmp_path: Path) -> None:
    a = _bench(tmp_path / "a", [0.1 * number for number in range(10)] + [1, 1])
    b = _bench(tmp_path / "b", [0.5] * 12)
    assert compare(a, b, seed=4).to_json() == compare(a, b, seed=4).to_json()
