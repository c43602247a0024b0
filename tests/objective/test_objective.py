"""The rule on failures, resuming, and stopping: faults are never 0, and nothing done is done again."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from autoflow.core.budget import Budget
from autoflow.core.model import Message, Request
from autoflow.core.score import Score
from autoflow.core.strategy import Evaluation
from autoflow.core.task import Task
from autoflow.core.trace import Failure, FailureReason, StepRecord, Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import (
    AutoflowError,
    BudgetExhaustedError,
    ProviderError,
    SandboxError,
    UsageError,
)
from autoflow.models.scripted import Rule, Scripted
from autoflow.objective.meter import Meter
from autoflow.objective.metered import Metered
from autoflow.objective.objective import (
    BudgetReachedError,
    Interrupted,
    Objective,
    Progress,
    ProviderGoneError,
)
from autoflow.runs.ledger import Ledger, Place

WORKFLOW = Workflow("w", (Step("only", "terminal", "Answer."),))


class Runs:
    """An interpreter that answers the task's text, or fails as `failures` says, once or always."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.failures: dict[str, Failure] = {}
        self.error: Exception | None = None
        self.running = self.most = 0
        self.on_run: Callable[[Task], None] = lambda task: None

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        self.seen.append((task.id, sample))
        self.running += 1
        self.most = max(self.most, self.running)
        self.on_run(task)
        await asyncio.sleep(0)
        self.running -= 1
        if self.error is not None:
            raise self.error
        failure = self.failures.get(task.id)
        return Trace(
            workflow.fingerprint(), task.id, (), answer=None if failure else f"{task.text}/{sample}", failure=failure
        )


class Judge:
    """Scores the number in the task's text; raises what `errors` says."""

    label = "test score"

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.special: dict[str, Score] = {}

    async def score(self, task: Task, trace: Trace) -> Score:
        if task.id in self.errors:
            raise self.errors[task.id]
        return self.special.get(task.id, Score(float(task.text)))


def _tasks(count: int) -> tuple[Task, ...]:
    return tuple(Task(str(number), str(number / 100)) for number in range(count))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def judge() -> Judge:
    return Judge()


def _values(evaluation: Evaluation) -> list[float | None]:
    return [result.value for result in evaluation.results]


def _fault(reason: FailureReason) -> Failure:
    return Failure("fault", reason, "it was down")


async def test_every_task_is_scored_in_order_within_the_concurrency(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    evaluation = await Objective("b", judge, runs, ledger, concurrency=3).score_all(WORKFLOW, _tasks(10), "validation")
    assert _values(evaluation) == [number / 100 for number in range(10)]
    assert evaluation.split == "validation"
    assert evaluation.results[3].answer == "0.03/0"
    assert runs.most == 3


async def test_seed_deals_the_order_but_not_the_result(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    seeded = await Objective("b", judge, runs, ledger, seed=1, concurrency=1).score_all(WORKFLOW, _tasks(20), "a")
    order = [task for task, _ in runs.seen]
    assert order != [task.id for task in _tasks(20)]
    runs.seen.clear()
    again = await Objective("b", judge, runs, ledger, seed=1, concurrency=1).score_all(WORKFLOW, _tasks(20), "a")
    assert seeded == again
    assert runs.seen == []


async def test_workflow_failure_scores_zero_with_its_reason(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    runs.failures["1"] = Failure("workflow", "max_steps", "looped", "only")
    evaluation = await Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(3), "a")
    assert _values(evaluation) == [0.0, 0.0, 0.02]
    assert evaluation.results[1].reason == "max_steps"
    recorded = ledger.result(Place(WORKFLOW.fingerprint(), "a", "1", 0))
    assert recorded is not None
    assert recorded.score.details == {"message": "looped", "step": "only"}


async def test_fault_is_none_and_tried_again_next_time(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    runs.failures["1"] = _fault("provider")
    objective = Objective("b", judge, runs, ledger)
    evaluation = await objective.score_all(WORKFLOW, _tasks(3), "a")
    assert _values(evaluation) == [0.0, None, 0.02]
    assert evaluation.results[1].reason == "provider"
    assert [fault.message for fault in ledger.faults(WORKFLOW.fingerprint(), "a")] == ["it was down"]
    runs.failures.clear()
    runs.seen.clear()
    assert _values(await objective.score_all(WORKFLOW, _tasks(3), "a")) == [0.0, 0.01, 0.02]
    assert runs.seen == [("1", 0)]


async def test_fault_is_left_as_it_stands_where_that_is_asked(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    runs.failures["1"] = _fault("provider")
    await Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(3), "a")
    runs.failures.clear()
    runs.seen.clear()
    objective = Objective("b", judge, runs, ledger, retry_faults=False)
    evaluation = await objective.score_all(WORKFLOW, _tasks(4), "a")
    assert _values(evaluation) == [0.0, None, 0.02, 0.03]
    assert evaluation.results[1].reason == "provider"
    # What was never begun is no fault.
    assert runs.seen == [("3", 0)]
    assert _values(await Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(4), "a"))[1] == 0.01
    assert _values(await objective.score_all(WORKFLOW, _tasks(4), "a"))[1] == 0.01


@pytest.mark.parametrize("error", [SandboxError("gone"), ProviderError("judge down", transient=True)])
async def test_scorer_that_could_not_run_leaves_no_score(
    runs: Runs, judge: Judge, ledger: Ledger, error: AutoflowError
) -> None:
    judge.errors["2"] = error
    evaluation = await Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(3), "a")
    assert _values(evaluation) == [0.0, 0.01, None]
    assert ledger.faults(WORKFLOW.fingerprint(), "a")[0].message == f"scorer: {error}"


async def test_none_from_the_scorer_is_its_final_word(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    judge.special["0"] = Score(None, "not_covered")
    objective = Objective("b", judge, runs, ledger)
    await objective.score_all(WORKFLOW, _tasks(2), "a")
    runs.seen.clear()
    evaluation = await objective.score_all(WORKFLOW, _tasks(2), "a")
    assert evaluation.results[0].value is None
    assert evaluation.results[0].reason == "not_covered"
    assert runs.seen == []


async def test_broken_scorer_names_itself_and_the_task(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    judge.errors["1"] = KeyError("gold")
    with pytest.raises(AutoflowError, match="scorer 'test score' failed on task '1': KeyError: 'gold'"):
        await Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(3), "a")
    judge.errors["1"] = UsageError("no such field")
    with pytest.raises(UsageError, match="no such field"):
        await Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(3), "a")


async def test_misuse_ends_the_scoring_and_leaves_nothing_running(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    runs.error = UsageError("unknown operator")
    with pytest.raises(UsageError):
        await Objective("b", judge, runs, ledger, concurrency=4).score_all(WORKFLOW, _tasks(9), "a")
    assert len(asyncio.all_tasks()) == 1


async def test_epochs_are_separate_draws_averaged_per_task(runs: Runs, ledger: Ledger) -> None:
    class Alternates(Judge):
        async def score(self, task: Task, trace: Trace) -> Score:
            return Score(1.0 if str(trace.answer).endswith("/0") else 0.0, "" if task.id == "0" else "second")

    evaluation = await Objective("b", Alternates(), runs, ledger, epochs=2).score_all(WORKFLOW, _tasks(2), "a")
    assert sorted(runs.seen) == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert _values(evaluation) == [0.5, 0.5]
    assert evaluation.results[0].answer == "0.0/0"
    assert evaluation.results[1].reason == "second"


async def test_task_with_a_fault_in_one_epoch_has_no_score_yet(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    class Once(Runs):
        async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
            trace = await super().run(workflow, task, sample=sample)
            return Trace(trace.workflow, trace.task, (), failure=_fault("provider")) if sample == 1 else trace

    evaluation = await Objective("b", judge, Once(), ledger, epochs=2).score_all(WORKFLOW, _tasks(1), "a")
    assert evaluation.results[0].value is None
    assert evaluation.results[0].reason == "provider"


async def test_progress_is_told_after_every_draw(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    seen: list[Progress] = []
    runs.failures["0"] = _fault("sandbox")
    objective = Objective("b", judge, runs, ledger, concurrency=1, on_progress=seen.append)
    await objective.score_all(WORKFLOW, _tasks(3), "a")
    assert seen[0] == Progress(1, 3, None, 1, 0)
    assert seen[-1] == Progress(3, 3, pytest.approx(0.015), 1, 0)
    await objective.score_all(WORKFLOW, _tasks(3), "a")
    assert seen[-1].recorded == 2


async def test_stop_lets_what_runs_finish_and_starts_nothing_more(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    stop = asyncio.Event()
    runs.on_run = lambda task: stop.set() if task.id == "3" else None
    objective = Objective("b", judge, runs, ledger, concurrency=2, stop=stop)
    with pytest.raises(Interrupted) as caught:
        await objective.score_all(WORKFLOW, _tasks(9), "a")
    started = len(runs.seen)
    assert started < 9
    results = caught.value.evaluation.results
    assert [result.value for result in results[:4]] == [0.0, 0.01, 0.02, 0.03]
    assert all(result.value is None and result.reason == "not_run" for result in results[started:])
    stop.clear()
    runs.on_run = lambda task: None
    evaluation = await objective.score_all(WORKFLOW, _tasks(9), "a")
    assert evaluation.unscored == 0
    assert len(runs.seen) == 9


async def test_stop_after_the_last_task_is_no_interruption(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    stop = asyncio.Event()
    runs.on_run = lambda task: stop.set()
    evaluation = await Objective("b", judge, runs, ledger, stop=stop).score_all(WORKFLOW, _tasks(2), "a")
    assert evaluation.unscored == 0


async def test_cancelling_leaves_nothing_running(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    scoring = asyncio.create_task(Objective("b", judge, runs, ledger).score_all(WORKFLOW, _tasks(100), "a"))
    for _ in range(5):  # turns of the loop, not seconds: it is at work, and far from done
        await asyncio.sleep(0)
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    assert len(asyncio.all_tasks()) == 1


class Calls:
    """An interpreter that makes `count` model calls a task, as the real one does."""

    def __init__(self, model: Metered, count: int = 1) -> None:
        self.model = model
        self.count = count

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        try:
            for number in range(self.count):
                await self.model.complete(Request((Message("user", f"{task.id} {number}"),), sample=sample))
        except BudgetExhaustedError as error:
            failure = Failure("fault", "budget", str(error))
            return Trace(workflow.fingerprint(), task.id, (), failure=failure)
        return Trace(workflow.fingerprint(), task.id, (StepRecord("only", 1, "generate", "x"),), answer="x")


async def test_budget_ends_the_scoring_before_it_is_passed_and_more_of_it_resumes(judge: Judge, ledger: Ledger) -> None:
    model = Scripted([Rule(("ok",))])

    async def score(budget: Budget) -> Evaluation:
        meter = Meter.resuming(budget, ledger, time.time)
        return await Objective("b", judge, Calls(Metered(model, ledger, meter), 2), ledger, concurrency=3).score_all(
            WORKFLOW, _tasks(6), "a"
        )

    with pytest.raises(BudgetReachedError, match="budget of 7 calls is used up") as caught:
        await score(Budget(calls=7))
    assert caught.value.exit_code == 6
    assert len(model.requests) == 7
    assert 0.0 not in _values(caught.value.evaluation)[1:]
    assert ledger.faults(WORKFLOW.fingerprint(), "a") == []
    with pytest.raises(BudgetReachedError):
        await score(Budget(calls=7))
    assert len(model.requests) == 7
    evaluation = await score(Budget(calls=12))
    assert evaluation.unscored == 0
    assert len(model.requests) == 12
    assert len({request.key("m") for request in model.requests}) == 12


async def test_budget_that_a_judging_model_meets_is_no_fault_of_the_task(
    runs: Runs, judge: Judge, ledger: Ledger
) -> None:
    judge.errors["1"] = BudgetExhaustedError("used up")
    with pytest.raises(BudgetReachedError, match="used up"):
        await Objective("b", judge, runs, ledger, concurrency=1).score_all(WORKFLOW, _tasks(3), "a")


async def test_provider_that_is_gone_for_good_ends_the_scoring(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    tasks = _tasks(60)
    runs.failures = {task.id: _fault("provider") for task in tasks[20:]}
    with pytest.raises(ProviderGoneError, match="it was down") as caught:
        await Objective("b", judge, runs, ledger, concurrency=2).score_all(WORKFLOW, tasks, "a")
    assert caught.value.exit_code == 5
    evaluation = caught.value.evaluation
    assert [value for value in _values(evaluation) if value is not None] == [number / 100 for number in range(20)]
    assert len(runs.seen) < 40


async def test_equal_candidates_share_their_results(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    objective = Objective("b", judge, runs, ledger)
    twin = Workflow("another name", WORKFLOW.steps)
    first, second = await asyncio.gather(
        objective.score_all(WORKFLOW, _tasks(4), "a"), objective.score_all(twin, _tasks(4), "a")
    )
    assert first == second


def test_nonsense_is_refused(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Objective("b", judge, runs, ledger, epochs=0)


async def test_recorded_results_are_read_by_the_thousand(runs: Runs, judge: Judge, ledger: Ledger) -> None:
    tasks: Sequence[Task] = [Task(str(number), "0.5") for number in range(1_000)]
    objective = Objective("b", judge, runs, ledger, concurrency=16)
    first = await objective.score_all(WORKFLOW, tasks, "a")
    runs.seen.clear()
    assert await objective.score_all(WORKFLOW, tasks, "a") == first
    assert runs.seen == []
