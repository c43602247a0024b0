"""Improving with the reference methods on test: what is run, what it is compared with, and that it resumes."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from improve_helpers import CONFIG, Bench, level, text_of, writer

from autoflow.baselines import find
from autoflow.core.budget import Budget
from autoflow.core.model import Request
from autoflow.core.workflow import Step, Workflow
from autoflow.improve import HAND_WRITTEN, ImproveReport

WITH = replace(CONFIG, rounds=1, references=True)


def solve(request: Request) -> str:
    """As the helpers' solver; who is told no level reaches the first number."""
    text = text_of(request)
    number = int(re.findall(r"Number (\d+) of", text)[-1])
    reach = int((re.findall(r"level (\d+)", text) or ["1"])[-1])
    return f"right {number}" if number < reach else f"lost on {number}"


# Two calls a task.
FLOW = Workflow("two", (Step("think", "process", "Think at level 4.", next="answer"), *level(4).steps))


def bench() -> Bench:
    run = Bench(writer(FLOW))
    run.interpreter.answer = solve
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ImproveReport:
    """The report of the uninterrupted run."""
    return asyncio.run(bench().improve(tmp_path_factory.mktemp("whole"), WITH))


def test_each_method_is_a_row_beside_the_workflow_on_the_same_tasks(whole: ImproveReport) -> None:
    assert (whole.state, whole.best) == ("complete", "r1c1")
    assert [row.id for row in whole.test] == [HAND_WRITTEN, "r1c1"]
    assert [row.id for row in whole.references] == ["io", "cot", "cot-sc:1"]
    means = [row.measured.interval.mean for row in whole.references if row.measured.interval]
    assert means == [0.2, 0.2, 0.2]
    assert [row.spend.calls for row in whole.references] == [5, 10, 10]
    assert whole.references[2].note == "as many samples as make the calls of r1c1, 2.00 a task"
    assert whole.references[0].note == ""
    against = whole.references[0].against
    assert against is not None
    # Above 0: the workflow is better than the method.
    assert (against.difference, against.n) == (pytest.approx(0.6), 5)
    assert whole.references[0].p_holm == pytest.approx(min(1.0, 3 * against.p_value))
    # The candidates' own comparisons are adjusted as before.
    assert whole.test[1].against is not None
    assert whole.test[1].p_holm == whole.test[1].against.p_value


def test_the_report_tells_them_and_counts_what_they_cost(whole: ImproveReport) -> None:
    stored = json.loads((whole.folder / "report.json").read_text())
    assert [row["id"] for row in stored["references"]] == ["io", "cot", "cot-sc:1"]
    assert stored["references"][0]["best_against_it"]["difference"] == pytest.approx(0.6)
    assert stored["config"]["references"] is True
    # Search: two workflows on train and validation; test: both, and three methods.
    assert whole.interpreter.calls == (5 + 10) * 2 + (5 + 10) + (5 + 10 + 10)
    text = whole.to_text()
    assert "reference methods on the same tasks:\n  io: 0.200 [" in text
    assert "r1c1 against it: no difference that 5 tasks can show: +0.60" in text
    assert "adjusted for 3 methods" in text
    assert (whole.folder / "test" / "cot-sc-1" / "report.json").is_file()


async def test_without_them_or_without_a_shortlist_none_is_run(tmp_path: Path) -> None:
    for name, config in (("a", replace(WITH, references=False)), ("b", replace(WITH, shortlist=0))):
        report = await bench().improve(tmp_path / name, config)
        assert report.references == ()
        assert "reference methods" not in report.to_text()
        assert json.loads((tmp_path / name / "report.json").read_text())["references"] == []


async def test_a_method_that_is_the_hand_written_workflow_is_not_paid_for_twice(tmp_path: Path) -> None:
    run = bench()
    run.benchmark = replace(run.benchmark, baseline=find("io", run.benchmark, 20).workflow)
    report = await run.improve(tmp_path, WITH)
    assert report.references[0].note == "the same workflow as hand-written"
    assert report.references[0].measured == report.test[0].measured
    assert not (tmp_path / "test" / "io").exists()
    assert report.interpreter.calls == len(run.interpreter.asked)


async def test_where_the_hand_written_workflow_is_kept_it_is_what_they_are_compared_with(tmp_path: Path) -> None:
    run = Bench(writer("no"))
    run.interpreter.answer = solve
    report = await run.improve(tmp_path, WITH)
    assert report.best == HAND_WRITTEN
    # One call a task, of which a vote and a last step make two: the least that there is.
    assert [row.id for row in report.references] == ["io", "cot", "cot-sc:1"]
    assert "hand-written against it" in report.to_text()


async def test_a_run_without_any_workflow_compares_nothing(tmp_path: Path) -> None:
    report = await Bench(writer("no"), baseline=None).improve(tmp_path, WITH)
    assert (report.state, report.test, report.references) == ("complete", (), ())


@pytest.mark.parametrize("cut", [44, 50, 58, 68])
async def test_a_run_stopped_among_them_resumes_to_the_same_report(
    tmp_path: Path, whole: ImproveReport, cut: int
) -> None:
    poor = bench()
    report = await poor.improve(tmp_path, replace(WITH, budget=Budget(calls=cut)))
    assert (report.state, len(poor.asked)) == ("budget", cut)
    rich = bench()
    resumed = await rich.improve(tmp_path, replace(WITH, budget=Budget(calls=500)))
    assert resumed.to_json() == whole.to_json()
    assert len(poor.asked) + len(rich.asked) == len(whole_calls(whole))


def whole_calls(report: ImproveReport) -> range:
    return range(report.generator.calls + report.interpreter.calls)
