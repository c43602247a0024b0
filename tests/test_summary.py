"""How numbers read in reports, and the measures that stand beside the score."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from improve_helpers import CONFIG, Bench, level, writer

from autoflow import plugins
from autoflow.bench import BenchConfig, bench
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Spend
from autoflow.core.score import Measures, Score, Scorer
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.models.scripted import Rule, Scripted
from autoflow.summary import aligned, count, interval_cell, interval_text, secondary, spend_json, spend_text, total


class Graded:
    """A score with two measures beside it."""

    label = "grade"
    secondary: ClassVar[Mapping[str, str]] = {"strict": "strict match", "length": "length"}

    async def score(self, task: Task, trace: Trace) -> Score:
        right = trace.answer == task.reference["answer"]
        return Score(1.0 if right else 0.5, "", {"strict": right, "length": 0.25})


class Plain:
    label = "plain"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(1.0, "", {"strict": True})


def strict(value: float | None, *marks: bool) -> list[Score]:
    return [Score(value, "", {"strict": mark}) for mark in marks]


def test_a_measure_is_averaged_over_epochs_first_and_then_over_tasks() -> None:
    found = secondary(Graded(), [strict(1.0, True, False), strict(0.5, True, True)], 0)
    assert [item.measure for item in found] == ["strict match", "length"]
    first = found[0].interval
    assert first is not None
    assert (first.mean, first.n) == (0.75, 2)


def test_a_failed_workflow_counts_as_0_and_a_score_without_the_measure_is_left_out() -> None:
    failed = [Score(0.0, "timeout", {"message": "late", "step": "a"})]
    found = secondary(Graded(), [strict(1.0, True), failed, [Score(1.0)]], 0)
    first, other = found[0].interval, found[1].interval
    assert first is not None
    assert (first.mean, first.n) == (0.5, 2)
    # `length` is in none of the details: the failure alone has it, as 0.
    assert other is not None
    assert (other.mean, other.n) == (0.0, 1)
    assert secondary(Graded(), [[Score(1.0)]], 0)[0].interval is None
    assert secondary(Plain(), [strict(1.0, True)], 0) == ()


@pytest.mark.parametrize(
    ("name", "key"), [("gsm-hard", "strict"), ("hotpotqa-f1", "em"), ("drop-f1", "em"), ("token-f1", "em")]
)
async def test_scorers_give_the_measures_that_they_declare(name: str, key: str) -> None:
    scorer: Scorer = plugins.load("scorers", name)({})
    assert isinstance(scorer, Measures)
    assert list(scorer.secondary) == [key]
    gold = "12.5" if name == "gsm-hard" else "twelve"
    task = Task("t", "?", reference={"answer": gold, "answers": [gold]})
    for answer in (gold, "12.52", ""):
        assert key in (await scorer.score(task, Trace("w", "t", (), answer))).details


async def test_gsm_hard_shows_the_strict_mean_beside_the_published_one(tmp_path: Path) -> None:
    scorer: Scorer = plugins.load("scorers", "gsm-hard")({})
    tasks = [Task(str(number), f"sum {number} ?", reference={"answer": 10.0 + number}) for number in range(4)]
    model = Scripted([Rule(("10.0",), when="sum 0"), Rule(("11.05",), when="sum 1"), Rule(("5",))])
    report = await bench(
        BenchConfig("sums", "scripted/model"),
        Workflow("w", (Step("answer", "terminal", "Answer."),)),
        Benchmark("sums", "Sums.", (), (), scorer),
        model,
        tasks=tasks,
        folder=tmp_path,
    )
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["mean"] == 0.5
    (beside,) = stored["secondary"]
    assert (beside["measure"], beside["mean"], beside["n"]) == ("match within 1e-6", 0.25, 4)
    assert "match within 0.1 on sums, split test: 0.500 [" in report.to_text()
    assert "\nmatch within 1e-6: 0.250 [" in report.to_text()


async def test_an_improving_run_shows_them_of_validation_and_of_test(tmp_path: Path) -> None:
    run = Bench(writer(level(4)))
    run.benchmark = replace(run.benchmark, scorer=Graded())
    report = await run.improve(tmp_path, CONFIG)
    stored = json.loads((tmp_path / "report.json").read_text())
    means = {part: [[item["mean"] for item in row["secondary"]] for row in stored[part]] for part in ("rows", "test")}
    assert means == {"rows": [[0.4, 0.25], [0.8, 0.25], [0.8, 0.25]], "test": [[0.4, 0.25], [0.8, 0.25]]}
    heading, *rows = report.table()
    assert heading[3:5] == ["strict match", "length"]
    assert [row[3] for row in rows] == ["0.400", "0.800", "0.800"]
    assert "; strict match 0.800 [" in report.to_text()


def test_spends_are_summed_alike_in_any_order_and_tell_what_has_no_price() -> None:
    spends = [Spend(1, 10, 2, 0.1), Spend(1, 10, 2, 0.2, unpriced=1, cached_calls=1), Spend(1, 10, 2, 0.3)]
    assert total(spends) == total(spends[::-1])
    assert total(spends).cached_calls == 0
    assert spend_text(total(spends)) == "3 calls, 30 tokens in, 6 out, $0.6000 and 1 call without a price"
    assert spend_json(total(spends))["usd"] == 0.6


@pytest.mark.parametrize(("make", "said"), [(interval_text, "no task scored"), (interval_cell, "-")])
def test_no_interval_is_no_number(make: Callable[[None], str], said: str) -> None:
    assert make(None) == said


def test_counts_and_tables_read_well() -> None:
    assert (count(1, "task"), count(0, "task"), count(2, "task")) == ("1 task", "0 tasks", "2 tasks")
    assert aligned([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc  d"]
