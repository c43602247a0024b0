"""Checkpoints: a killed, paused or faulty run goes on after its last finished step, and pays nothing twice."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from interpreter_helpers import TASK, Answering, Tool, decision, echo, flow, linear, path, process, reason_of, terminal

from autoflow.core.model import Request, Sampling
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import ProviderError, RunError, UsageError
from autoflow.interpreter.approval import Pause, Verdict
from autoflow.interpreter.checkpoint import forget, open_checkpoints, thread_status
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.operators.library import library

SYNC = Settings(durability="sync")


def timeless(trace: Trace) -> object:
    from dataclasses import replace

    return replace(trace, seconds=0.0, steps=tuple(replace(record, seconds=0.0) for record in trace.steps))


class Once(Answering):
    """Fails once on the prompt that holds `text`, as a network does."""

    def __init__(self, text: str) -> None:
        super().__init__(lambda request: "re: " + request.messages[-1].text.splitlines()[-1])
        self.text: str | None = text

    async def complete(self, request: Request) -> object:  # type: ignore[override]
        if self.text is not None and self.text in request.messages[-1].text:
            self.text = None
            raise ProviderError("no network", transient=True)
        return await super().complete(request)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_run_that_ended_in_a_fault_goes_on_and_equals_an_uninterrupted_one(
    tmp_path: Path, durability: str
) -> None:
    workflow = linear(4)
    model = Once("Do c")
    interpreter = Interpreter(model, library(), Settings(durability=durability))  # type: ignore[arg-type]
    async with open_checkpoints(tmp_path / "deep" / "c.sqlite") as saver:
        assert await thread_status(saver, "t") == "absent"
        broken = await interpreter.run(workflow, TASK, thread="t", checkpointer=saver)
        assert reason_of(broken) == "fault/provider"
        assert path(broken) == ["a", "b", "c"]
        assert await thread_status(saver, "t") == "unfinished"
    async with open_checkpoints(tmp_path / "deep" / "c.sqlite") as saver:
        resumed = await interpreter.run(workflow, TASK, thread="t", checkpointer=saver)
        assert await thread_status(saver, "t") == "finished"
    assert len(model.requests) == 4
    whole = await Interpreter(echo(), library()).run(workflow, TASK)
    assert timeless(resumed) == timeless(whole)


async def test_finished_thread_gives_its_trace_again_without_a_call(tmp_path: Path) -> None:
    model = echo()
    interpreter = Interpreter(model, library())
    events: list[object] = []
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        first = await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver)
        again = await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver, on_event=events.append)
        assert timeless(first) == timeless(again)
        assert [type(event).__name__ for event in events] == ["RunFinished"]
        await forget(saver, "t")
        assert await thread_status(saver, "t") == "absent"
    assert len(model.requests) == 3


async def test_failure_of_the_workflow_is_final(tmp_path: Path) -> None:
    model = echo()
    interpreter = Interpreter(model, library(), Settings(max_steps=2))
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        for _ in range(2):
            trace = await interpreter.run(linear(4), TASK, thread="t", checkpointer=saver)
            assert reason_of(trace) == "workflow/max_steps"
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    ("workflow", "task", "sample", "key"),
    [(linear(4), TASK, 0, "workflow"), (linear(3), Task("t1", "Other."), 0, "task"), (linear(3), TASK, 1, "sample")],
)
async def test_thread_of_another_run_is_refused(
    tmp_path: Path, workflow: Workflow, task: Task, sample: int, key: str
) -> None:
    interpreter = Interpreter(echo(), library())
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver)
        with pytest.raises(RunError, match=key):
            await interpreter.run(workflow, task, sample=sample, thread="t", checkpointer=saver)


async def test_limits_may_change_between_sittings_and_sampling_may_not(tmp_path: Path) -> None:
    model = Once("Do b")
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        await Interpreter(model, library()).run(linear(3), TASK, thread="t", checkpointer=saver)
        with pytest.raises(RunError, match="settings"):
            await Interpreter(model, library(), Settings(seed=1)).run(linear(3), TASK, thread="t", checkpointer=saver)
        interpreter = Interpreter(model, library(), Settings(max_steps=9))
        assert (await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver)).failure is None


async def test_checkpointer_and_thread_come_together() -> None:
    with pytest.raises(UsageError, match="both"):
        await Interpreter(echo(), library()).run(linear(3), TASK, thread="t")


async def test_file_that_is_no_checkpoint_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_text("not a database at all, but long enough to be looked at " * 40)
    with pytest.raises(RunError, match="not a checkpoint file"):
        async with open_checkpoints(tmp_path / "c.sqlite"):
            pass


async def test_threads_of_one_file_do_not_mix(tmp_path: Path) -> None:
    interpreter = Interpreter(echo(), library())
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        for name in ("one", "two"):
            task = Task(name, f"Task {name}.")
            trace = await interpreter.run(linear(3), task, thread=name, checkpointer=saver)
            assert trace.task == name


async def test_draws_after_a_resume_equal_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    workflow = flow(
        process("a", "a", "Do a.", reads=(), parameters={"temperature": 1.0}, max_visits=3, otherwise="c"),
        process("c", "d", "Do c."),
        process("d", "d", "Do a.", reads=(), parameters={"temperature": 1.0}, max_visits=2, otherwise="done"),
        terminal("done", ""),
    )
    settings = Settings(seed=3, sampling=Sampling(temperature=0.0))
    broken, whole = Once("Do c"), echo()
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        for _ in range(2):
            trace = await Interpreter(broken, library(), settings).run(workflow, TASK, thread="t", checkpointer=saver)
    assert trace.failure is None
    await Interpreter(whole, library(), settings).run(workflow, TASK)
    assert broken.requests == whole.requests
    assert len({request.sample for request in whole.requests}) == 5


async def test_notebook_survives_a_resume(tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        yes = "Yes" if "Question: Do a." in request.messages[-1].text else "No"
        return {"tool-need": yes, "tool-name": "Search", "tool-arguments": '{"input": "x"}', "retrieve": "Yes"}.get(
            request.purpose, "text"
        )

    class Net(Answering):
        down = True

        async def complete(self, request: Request) -> object:  # type: ignore[override]
            if "Question: Do b." in request.messages[-1].text and request.purpose == "answer" and self.down:
                self.down = False
                raise ProviderError("gone", transient=True)
            return await super().complete(request)

    model = Net(answer)
    operators = {**library(), "Search": Tool("Search", lambda call: "42 apples")}
    interpreter = Interpreter(model, operators, Settings(protocol="core"))
    workflow = flow(process("a", "b"), process("b", "done"), terminal())
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        assert (await interpreter.run(workflow, TASK, thread="t", checkpointer=saver)).failure is not None
        trace = await interpreter.run(workflow, TASK, thread="t", checkpointer=saver)
    assert trace.failure is None
    assert "Round 1: 42 apples" in model.requests[-2].messages[-1].text


KILLED = """
    import asyncio, sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from interpreter_helpers import TASK, Answering, linear
    from autoflow.interpreter.checkpoint import open_checkpoints
    from autoflow.interpreter.run import Interpreter
    from autoflow.interpreter.settings import Settings
    from autoflow.operators.library import library

    log = Path({log!r})

    def answer(request):
        text = request.messages[-1].text.splitlines()[-1]
        with log.open("a") as file:
            file.write(text + chr(10))
        return "re: " + text

    async def main():
        async with open_checkpoints(Path({file!r})) as saver:
            interpreter = Interpreter(Answering(answer, seconds=0.15), library(), Settings(durability="sync"))
            # `answer` is called after the wait: a call that is killed in flight is not in the log.
            trace = await interpreter.run(linear(6), TASK, thread="t", checkpointer=saver)
            print(trace.answer)

    asyncio.run(main())
"""


def test_run_killed_with_sigkill_resumes_without_repeating_a_finished_call(tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = textwrap.dedent(KILLED).format(
        tests=str(Path(__file__).parent),
        log=str(log),
        file=str(tmp_path / "c.sqlite"),
    )
    process_ = subprocess.Popen([sys.executable, "-c", source])
    deadline = time.monotonic() + 60
    while (not log.exists() or len(log.read_text().splitlines()) < 3) and time.monotonic() < deadline:
        assert process_.poll() is None
        time.sleep(0.01)
    os.kill(process_.pid, signal.SIGKILL)
    process_.wait()
    before = log.read_text().splitlines()
    assert 3 <= len(before) < 6
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "re: Say it."
    calls = log.read_text().splitlines()
    # At most the step in flight is asked twice, and only if it was answered but not yet written down.
    assert sorted(set(calls)) == [*(f"Do {name}." for name in "abcde"), "Say it."]
    repeated = [call for call in set(calls) if calls.count(call) > 1]
    assert repeated in ([], [before[-1]])


# -- a person beside the run


class Person:
    """Gives the verdicts in order, then approves."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.pauses: list[Pause] = []

    async def __call__(self, pause: Pause) -> Verdict:
        self.pauses.append(pause)
        return self.verdicts.pop(0) if self.verdicts else Verdict("approve")


APPROVE = Verdict("approve")


async def test_person_sees_each_step_before_it_is_paid() -> None:
    model = echo()
    person = Person()
    paid: list[int] = []

    async def approve(pause: Pause) -> Verdict:
        paid.append(len(model.requests))
        return await person(pause)

    trace = await Interpreter(model, library()).run(linear(3), TASK, approve=approve)
    assert paid == [0, 1, 2]
    assert len(model.requests) == 3
    assert [pause.step.name for pause in person.pauses] == ["a", "b", "done"]
    assert person.pauses[0].last is None
    assert person.pauses[1].last is not None
    assert person.pauses[1].last.result == "re: Do a."
    assert trace.answer == "re: Say it."


async def test_person_edits_the_last_result() -> None:
    model = echo()
    workflow = flow(process("a", "b"), process("b", "done", "Use $(a)."), terminal())
    person = Person(APPROVE, Verdict("edit", result="mine"))
    trace = await Interpreter(model, library()).run(workflow, TASK, approve=person)
    assert trace.steps[0].result == "mine"
    assert model.requests[1].messages[-1].text == "Use mine."
    assert model.requests[1].messages[2].text == "mine"


async def test_person_redirects_and_is_asked_again_there() -> None:
    person = Person(APPROVE, Verdict("redirect", step="done"))
    trace = await Interpreter(echo(), library()).run(linear(4), TASK, approve=person)
    assert path(trace) == ["a", "done"]
    assert [pause.step.name for pause in person.pauses] == ["a", "b", "done"]


async def test_person_replaces_a_steps_result_and_a_decisions_label() -> None:
    model = echo()
    workflow = flow(
        process("a", "check"), decision("check", {"yes": "done", "no": "other"}), terminal(), terminal("other", "O")
    )
    person = Person(Verdict("replace", result="own words"), Verdict("replace", result="no"))
    trace = await Interpreter(model, library()).run(workflow, TASK, approve=person)
    assert path(trace) == ["a", "check", "other"]
    assert trace.steps[0].result == "own words"
    assert trace.steps[1].label == "no"
    assert len(model.requests) == 1


async def test_person_stops_and_goes_on_later(tmp_path: Path) -> None:
    model = echo()
    interpreter = Interpreter(model, library(), SYNC)
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        stopped = await interpreter.run(
            linear(3), TASK, thread="t", checkpointer=saver, approve=Person(APPROVE, Verdict("stop"))
        )
        assert reason_of(stopped) == "fault/cancelled"
        assert path(stopped) == ["a"]
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        person = Person()
        trace = await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver, approve=person)
    assert [pause.step.name for pause in person.pauses] == ["b", "done"]
    assert trace.answer == "re: Say it."
    assert len(model.requests) == 3


async def test_paused_run_goes_on_without_the_person(tmp_path: Path) -> None:
    model = echo()
    interpreter = Interpreter(model, library(), SYNC)
    async with open_checkpoints(tmp_path / "c.sqlite") as saver:
        await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver, approve=Person(APPROVE, Verdict("stop")))
        trace = await interpreter.run(linear(3), TASK, thread="t", checkpointer=saver)
    assert trace.answer == "re: Say it."
    assert len(model.requests) == 3


async def test_person_sees_single_steps_also_under_segment() -> None:
    model = echo()
    person = Person()
    await Interpreter(model, library(), Settings(protocol="segment")).run(linear(3), TASK, approve=person)
    assert len(person.pauses) == len(model.requests) == 3


async def test_instruction_at_a_pause_is_filled_where_it_can_be() -> None:
    workflow = flow(process("a", "b"), process("b", "done", "Use $(a) and $(late)."), process("late", "a"), terminal())
    person = Person(APPROVE, Verdict("replace", result="x"))
    trace = await Interpreter(echo(), library()).run(workflow, TASK, approve=person)
    assert person.pauses[1].instruction == "Use $(a) and $(late)."
    assert trace.failure is None


async def test_the_tasks_limit_counts_the_run_and_not_the_person() -> None:
    async def approve(pause: Pause) -> Verdict:
        await asyncio.sleep(0.3)
        return APPROVE

    patient = Interpreter(echo(), library(), Settings(task_timeout_s=0.6))
    assert (await patient.run(linear(3), TASK, approve=approve)).failure is None
    slow = Answering(lambda request: "x", seconds=0.25)
    trace = await Interpreter(slow, library(), Settings(task_timeout_s=0.6)).run(linear(6), TASK, approve=Person())
    assert reason_of(trace) == "workflow/timeout"


@pytest.mark.parametrize(
    ("verdicts", "message"),
    [
        ([Verdict("edit", result="x")], "nothing to edit"),
        ([Verdict("replace")], "needs a result"),
        ([Verdict("redirect", step="nowhere")], "check, done"),
        ([Verdict("replace", result="maybe")], "yes, no"),
    ],
)
async def test_verdict_that_does_not_fit_is_refused(verdicts: list[Verdict], message: str) -> None:
    workflow = flow(decision("check", {"yes": "done", "no": "done"}), terminal())
    with pytest.raises(UsageError, match=message):
        await Interpreter(echo(), library()).run(workflow, TASK, approve=Person(*verdicts))
