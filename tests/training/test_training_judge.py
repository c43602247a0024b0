"""A sampled text is parsed as a draft is, run where it is a workflow, and earns what its reward structure says."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autoflow import plugins
from autoflow.benchmarks import loader
from autoflow.core.json import Json
from autoflow.core.model import Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Call, StepRecord, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import UnknownNameError, UsageError
from autoflow.generator.draft import DraftRequest, conversation, draft
from autoflow.generator.for_task import request_for
from autoflow.objective.objective import Objective
from autoflow.operators.library import library
from autoflow.runs.ledger import Ledger
from autoflow.synthesis.exercise import of_benchmark
from autoflow.training.assignments import Assignment, Shape, assignments
from autoflow.training.judge import Ground, Judge, Sampled, read
from autoflow.training.outcome import Cost, Outcome, Past
from autoflow.training.rewards.score import ScoreReward

CARDS = tuple(operator.card for operator in library().values())
OUTLINE = json.dumps({"steps": [["Answer.", "generate"]], "answer": "Give it."})
OTHER = json.dumps({"steps": [["Think.", "generate"]], "answer": ""})
UNKNOWN = json.dumps({"steps": [["Answer.", "telepathy"]], "answer": ""})
YAML = """\
autoflow: 1
name: w
steps:
  - name: answer
    type: terminal
    instruction: Answer.
"""


class Runner:
    """Runs nothing: the score is in the task's id; `faults` have none. No run ends before `together` have begun."""

    def __init__(self, faults: Mapping[str, str] | None = None, together: int = 1) -> None:
        self.ran: list[tuple[str, str]] = []
        self._faults = faults or {}
        self._together = asyncio.Barrier(together)

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        self.ran.append((workflow.fingerprint(), task.id))
        await asyncio.wait_for(self._together.wait(), 30)
        from autoflow.core.trace import Failure

        if self._faults.get(task.id) in (workflow.steps[0].instruction, "all"):
            return Trace(workflow.fingerprint(), task.id, (), failure=Failure("fault", "provider", "gone"))
        call = Call("k", "m", "step", Usage(10, 5, cost_usd=0.25), 0.0)
        step = StepRecord("s", 1, "generate", "x", calls=(call, call))
        return Trace(workflow.fingerprint(), task.id, (step,), answer="x")


class Scorer:
    label = "made up"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(float(task.id))


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


TASKS = tuple(Task(f"0.{number}", "?") for number in range(1, 9))


def assignment(form: Any = "outline", tasks: tuple[Task, ...] = TASKS) -> Assignment:
    return Assignment("one", "made-up", DraftRequest("Some kind.", CARDS), form, tasks)


def judge(ledger: Ledger, runner: Runner, **changes: Any) -> Judge:
    ground = Ground(None, Objective("made-up", Scorer(), runner, ledger, concurrency=64))  # type: ignore[arg-type]
    return Judge({"made-up": ground}, ledger, **{"reward": ScoreReward(), "instances": 8, "seed": 0, **changes})


class Recorded:
    """A generator that was asked."""

    name = "some/model"

    def __init__(self, text: str, features: frozenset[Any]) -> None:
        self.text, self.features = text, features
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(self.text, self.name, finish="stop")

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("form", ["outline", "json", "yaml"])
async def test_the_prompt_trained_on_is_the_prompt_that_a_generator_is_asked(form: Any) -> None:
    features: frozenset[Any] = frozenset() if form == "yaml" else frozenset({"schema"})
    model = Recorded(YAML if form == "yaml" else OUTLINE, features)
    asked = assignment(form)
    await draft(model, asked.request, repairs=0, form=form)
    assert model.requests[0].messages == asked.messages == conversation(asked.request, form)


@pytest.mark.parametrize(
    ("form", "text", "valid", "readable"),
    [
        ("outline", OUTLINE, True, True),
        ("outline", "not at all", False, False),
        ("outline", UNKNOWN, False, False),  # the schema lists the operators
        ("yaml", YAML, True, True),
        ("yaml", YAML.replace("terminal", "process"), False, True),
        ("yaml", YAML.replace("    type", "    operator: telepathy\n    type"), False, True),
        ("yaml", "steps: [", False, False),
    ],
)
async def test_a_text_is_read_as_a_draft_without_repairs_is(form: Any, text: str, valid: bool, readable: bool) -> None:
    asked = assignment(form)
    found = await read(Sampled(text), asked)
    features: frozenset[Any] = frozenset() if form == "yaml" else frozenset({"schema"})
    assert found == await draft(Recorded(text, features), asked.request, repairs=0, form=form)
    assert (found.workflow is not None, found.readable) == (valid, readable)


async def test_a_text_that_was_cut_off_is_no_workflow_though_it_reads_as_one() -> None:
    assert (await read(Sampled(YAML, finished=False), assignment("yaml"))).workflow is None


async def test_all_samples_of_a_group_are_scored_on_the_same_instances(ledger: Ledger) -> None:
    runner = Runner()
    found = judge(ledger, runner, instances=3)
    await found.group(assignment(), [Sampled(OUTLINE), Sampled(OTHER)], step=0)
    by_workflow: dict[str, set[str]] = {}
    for fingerprint, task in runner.ran:
        by_workflow.setdefault(fingerprint, set()).add(task)
    first, second = by_workflow.values()
    assert first == second
    assert len(first) == 3


async def test_another_step_deals_other_instances_and_the_same_step_the_same(ledger: Ledger) -> None:
    found = judge(ledger, Runner(), instances=3)
    dealt = [{task.id for task in found._instances(assignment(), step)} for step in (0, 1, 2, 3, 0)]
    assert dealt[0] == dealt[4]
    assert len({frozenset(item) for item in dealt}) > 1


async def test_a_group_is_scored_at_the_same_time_and_equal_workflows_once(ledger: Ledger) -> None:
    runner = Runner(together=2 * len(TASKS))
    texts = [OUTLINE, OTHER, OUTLINE, "no workflow"]
    judged = await judge(ledger, runner).group(assignment(), [Sampled(text) for text in texts], step=0)
    assert len(runner.ran) == 2 * len(TASKS)
    assert [item.outcome.valid for item in judged] == [True, True, True, False]
    mean = sum(float(task.id) for task in TASKS) / len(TASKS)
    assert [item.reward for item in judged] == pytest.approx([mean, mean, mean, -0.1])
    assert judged[0].outcome.cost == Cost(calls=2, tokens=30, usd=0.5)


async def test_a_fault_leaves_a_sample_without_a_reward_and_the_others_with_theirs(ledger: Ledger) -> None:
    runner = Runner({"0.1": "Think."})
    judged = await judge(ledger, runner).group(assignment(), [Sampled(OUTLINE), Sampled(OTHER)], step=0)
    assert judged[0].reward == pytest.approx(0.45)
    assert judged[1].reward is None


async def test_an_instance_that_nobody_has_a_score_on_is_left_out_for_all(ledger: Ledger) -> None:
    runner = Runner({"0.1": "all"})
    judged = await judge(ledger, runner).group(assignment(), [Sampled(OUTLINE), Sampled(OTHER)], step=0)
    assert [item.reward for item in judged] == pytest.approx([3.5 / 7, 3.5 / 7])


async def test_scores_are_taken_from_the_record_when_a_step_is_done_again(ledger: Ledger) -> None:
    runner = Runner()
    found = judge(ledger, runner)
    first = await found.group(assignment(), [Sampled(OUTLINE)], step=0)
    count = len(runner.ran)
    second = await judge(ledger, runner).group(assignment(), [Sampled(OUTLINE)], step=0)
    assert (second, len(runner.ran)) == (first, count)


async def test_what_a_reward_looks_back_on_survives_in_the_state(ledger: Ledger) -> None:
    reward = plugins.load("training.rewards", "best-so-far")()
    found = judge(ledger, Runner(), reward=reward, instances=1)
    texts = [Sampled(OUTLINE)]
    tasks = (Task("0.5", "?"),)
    assert [(await found.group(assignment(tasks=tasks), texts, step))[0].reward for step in (0, 1)] == [1.0, 0.0]
    other = judge(ledger, Runner(), reward=reward, instances=1)
    other.state = json.loads(json.dumps(found.state))
    assert (await other.group(assignment(tasks=tasks), texts, 2))[0].reward == 0.0
    assert other.judged == 3


def outcome(score: float | None, *, valid: bool = True, readable: bool = True, calls: float = 0.0) -> Outcome:
    return Outcome(valid, readable, score, Cost(calls=calls))


INVALID = outcome(0.0, valid=False)


@pytest.mark.parametrize(
    ("name", "options", "past", "outcome", "reward"),
    [
        ("score", {}, Past(), outcome(0.7), 0.7),
        ("score", {}, Past(), outcome(None), None),
        ("score", {}, Past(), INVALID, -0.1),
        ("score", {"penalty": 0.3}, Past(), INVALID, -0.3),
        ("minus-baseline", {}, Past(0.5), outcome(0.7), 0.2),
        ("minus-baseline", {}, Past(0.5), INVALID, -0.6),
        ("minus-baseline", {}, Past(0.5), outcome(None), None),
        ("best-so-far", {}, Past(0.5), outcome(0.7), 1.0),
        ("best-so-far", {}, Past(0.5), outcome(0.5), 0.0),
        ("best-so-far", {}, Past(0.5, best=0.8, previous=0.4), outcome(0.7), 0.5),
        ("best-so-far", {}, Past(0.5, best=0.8, previous=0.4), outcome(0.9), 1.0),
        ("best-so-far", {}, Past(0.5, best=0.8, previous=0.1), outcome(0.2), 0.4),
        ("best-so-far", {}, Past(0.5, best=0.8, previous=0.4), outcome(0.2), -0.1),
        ("best-so-far", {"malus": 0.0}, Past(0.5, best=0.8, previous=0.4), outcome(0.2), 0.0),
        ("best-so-far", {}, Past(), outcome(None), None),
        ("validity", {}, Past(), outcome(0.7), 0.7),
        ("validity", {}, Past(), INVALID, -0.1),
        ("validity", {}, Past(), outcome(0.0, valid=False, readable=False), -0.2),
        ("cost", {"weight": 0.1}, Past(), outcome(0.7, calls=2), 0.5),
        ("cost", {}, Past(), INVALID, -0.1),
        ("cost", {}, Past(), outcome(None, calls=2), None),
    ],
)
def test_rewards(name: str, options: dict[str, Json], past: Past, outcome: Outcome, reward: float | None) -> None:
    assert plugins.load("training.rewards", name)(**options)(outcome, past) == pytest.approx(reward)


def test_rewards_are_found_by_name() -> None:
    assert plugins.names("training.rewards") == ["best-so-far", "cost", "minus-baseline", "score", "validity"]
    with pytest.raises(UnknownNameError, match="unknown reward 'fame'; there are: best-so-far"):
        plugins.load("training.rewards", "fame")


def test_a_reward_that_lacks_what_it_needs_says_so() -> None:
    with pytest.raises(UsageError, match="needs a benchmark with a hand-written workflow"):
        plugins.load("training.rewards", "minus-baseline")()(outcome(0.5), Past())
    with pytest.raises(UsageError, match="counts in calls, tokens, usd"):
        plugins.load("training.rewards", "cost")(unit="hours")


def test_the_prompt_of_a_benchmark_shows_train_tasks_and_its_operators() -> None:
    benchmark = loader.load("openagi")
    (whole,) = assignments(benchmark, benchmark.validation, scope="benchmark", form="outline", shape=Shape(examples=1))
    assert whole.tasks == benchmark.validation
    prompt = whole.messages[1].text
    assert benchmark.train[-1].text in prompt
    assert not any(task.text in prompt for task in benchmark.validation)
    assert "Image Denoising" in prompt


@pytest.mark.parametrize("scope", ["benchmark", "task"])
def test_prompts_are_those_of_data_sets_and_of_what_measures_a_generator(scope: Any) -> None:
    benchmark = loader.load("openagi")
    found = assignments(benchmark, benchmark.train, scope=scope, form="outline", shape=Shape())
    exercises = list(of_benchmark("openagi", scope))
    assert [(item.request, item.tasks) for item in found] == [(item.request, item.tasks) for item in exercises]
    assert len({item.id for item in found}) == len(found)
    if scope == "task":
        assert [item.request for item in found] == [request_for(benchmark, task) for task in benchmark.train]
