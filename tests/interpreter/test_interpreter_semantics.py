"""What steps, branches, bounds, references, lists and schemas mean when a workflow runs."""

import pytest
from interpreter_helpers import (
    TASK,
    Answering,
    Tool,
    chat,
    decision,
    echo,
    flow,
    linear,
    path,
    process,
    reason_of,
    run,
    script,
    terminal,
)

from autoflow.core.task import Task
from autoflow.core.workflow import Step
from autoflow.errors import (
    BudgetExhaustedError,
    OperatorError,
    ProviderError,
    SandboxError,
    UnknownNameError,
    UsageError,
    WorkflowError,
)
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.operators.library import library

YES = '{"reason": "it is", "label": "yes"}'
NO = '{"reason": "it is not", "label": "no"}'


async def test_linear_workflow_gives_the_terminals_answer_and_a_record_a_step() -> None:
    trace = await run(linear(3), script(("Do a", "A"), ("Do b", "B"), ("Say it", "12")))
    assert trace.answer == "12"
    assert trace.failure is None
    assert [(record.step, record.result, record.target) for record in trace.steps] == [
        ("a", "A", "b"),
        ("b", "B", "done"),
        ("done", "12", None),
    ]
    assert [record.inputs for record in trace.steps] == [(), ("a",), ("a", "b")]
    assert [len(record.calls) for record in trace.steps] == [1, 1, 1]
    assert {call.purpose for call in trace.calls} == {"step"}


async def test_each_prompt_begins_with_the_one_before_and_its_reply() -> None:
    model = echo()
    await run(linear(5), model)
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        said = "re: " + before.messages[-1].text.splitlines()[-1]
        assert chat(after)[:-1] == [*chat(before), ("assistant", said)]
        assert after.messages[-1].role == "user"


async def test_system_turn_is_the_same_for_all_tasks_and_steps() -> None:
    model = echo()
    await run(linear(3), model)
    await run(linear(4), model, task=Task("t2", "Another."))
    assert len({request.messages[0] for request in model.requests}) == 1


async def test_decision_takes_its_branch_and_keeps_reason_and_label() -> None:
    workflow = flow(decision("check", {"yes": "good", "no": "bad"}), terminal("good", "G"), terminal("bad", "B"))
    trace = await run(workflow, script(("check", NO), ("B", "bad answer")))
    assert path(trace) == ["check", "bad"]
    assert trace.steps[0].label == "no"
    assert trace.steps[0].result == {"reason": "it is not", "label": "no"}
    assert trace.steps[0].calls[0].purpose == "decision"


async def test_decision_without_reason_asks_for_the_label_alone() -> None:
    workflow = flow(decision("check", {"yes": "good", "no": "bad"}), terminal("good", "G"), terminal("bad", "B"))
    model = script(("check", "yes"), ("G", "fine"))
    trace = await run(workflow, model, settings=Settings(decision_reason=False))
    assert trace.steps[0].result == "yes"
    assert "reason" not in model.requests[0].messages[-1].text


async def test_provider_that_enforces_only_labels_is_asked_for_the_label() -> None:
    workflow = flow(decision("check", {"yes": "good", "no": "good"}), terminal("good", "G"))
    model = script(("check", "yes"), ("G", "fine"), features=frozenset({"labels"}))
    trace = await run(workflow, model)
    assert trace.steps[0].result == "yes"
    assert model.requests[0].labels == ("yes", "no")


async def test_unmatched_decision_goes_to_otherwise_without_a_label() -> None:
    workflow = flow(
        decision("check", {"yes": "good", "no": "good"}, otherwise="rest"), terminal("good"), terminal("rest", "R")
    )
    trace = await run(workflow, script(("R", "rested"), ("", "perhaps, who knows")))
    assert path(trace) == ["check", "rest"]
    assert trace.steps[0].label is None
    assert trace.steps[0].target == "rest"


async def test_unmatched_decision_without_otherwise_fails_with_its_calls_kept() -> None:
    workflow = flow(decision("check", {"yes": "good", "no": "good"}), terminal("good"))
    trace = await run(workflow, script(("", "I know nothing")))
    assert reason_of(trace) == "workflow/branch_unmatched"
    assert trace.failure is not None
    assert trace.failure.step == "check"
    assert len(trace.steps[0].calls) >= 1
    assert trace.steps[0].failure == trace.failure


async def test_entering_a_step_past_its_bound_leads_to_otherwise() -> None:
    workflow = flow(
        process("try", "check", max_visits=2, otherwise="done"),
        decision("check", {"yes": "done", "no": "try"}),
        terminal(),
    )
    trace = await run(workflow, script(("Do try", "T"), ("check", NO), ("Say it", "end")))
    assert path(trace) == ["try", "check", "try", "check", "done"]
    assert [record.visit for record in trace.steps] == [1, 1, 2, 2, 1]
    assert trace.steps[3].target == "done"
    assert trace.answer == "end"


async def test_entering_a_step_past_its_bound_without_otherwise_fails() -> None:
    workflow = flow(process("try", "check", max_visits=2), decision("check", {"yes": "done", "no": "try"}), terminal())
    trace = await run(workflow, script(("Do try", "T"), ("check", NO)))
    assert reason_of(trace) == "workflow/max_steps"
    assert path(trace) == ["try", "check", "try", "check"]
    assert trace.answer is None


async def test_bounds_that_lead_only_to_each_other_fail_instead_of_turning_for_ever() -> None:
    workflow = flow(
        process("a", "b", max_visits=1, otherwise="b"), process("b", "a", max_visits=1, otherwise="a"), terminal()
    )
    trace = await run(workflow, echo())
    assert reason_of(trace) == "workflow/max_steps"
    assert path(trace) == ["a", "b"]


async def test_run_stops_at_its_bound_of_steps() -> None:
    trace = await run(flow(process("a", "a"), terminal()), echo(), settings=Settings(max_steps=7))
    assert reason_of(trace) == "workflow/max_steps"
    assert len(trace.steps) == 7


async def test_workflow_that_takes_exactly_the_bound_is_no_failure() -> None:
    trace = await run(linear(4), echo(), settings=Settings(max_steps=4))
    assert trace.failure is None


async def test_reads_narrows_what_a_step_is_shown() -> None:
    model = echo()
    workflow = flow(process("a", "b"), process("b", "c"), process("c", "done", reads=("b",)), terminal())
    trace = await run(workflow, model)
    assert [turn for _, turn in chat(model.requests[2])[1:]] == [
        "Task: Count the apples.\n\nDo b.",
        "re: Do b.",
        "Do c.",
    ]
    assert trace.steps[2].inputs == ("b",)


async def test_reading_nothing_shows_the_task_alone() -> None:
    model = echo()
    await run(flow(process("a", "b"), process("b", "done", reads=()), terminal()), model)
    assert chat(model.requests[1])[1:] == [("user", "Task: Count the apples.\n\nDo b.")]


@pytest.mark.parametrize(
    "step",
    [
        process("a", "done", reads=("late",)),
        process("a", "done", "Use $(late)."),
        process("a", "done", for_each="late"),
    ],
)
async def test_reading_what_no_visited_step_left_is_a_reference_failure(step: Step) -> None:
    model = echo()
    trace = await run(flow(step, process("late", "done"), terminal()), model)
    assert reason_of(trace) == "workflow/reference"
    assert model.requests == []
    assert trace.steps[0].failure is not None


async def test_references_insert_results_and_the_task() -> None:
    model = script(("Do a", "A7"), ("Use", "ok"), ("Say it", "x"))
    await run(flow(process("a", "b"), process("b", "done", "Use $(a) on $(task) for $$(a)."), terminal()), model)
    assert model.requests[1].messages[-1].text == "Use A7 on Count the apples. for $(a)."


async def test_a_decision_inserts_its_label() -> None:
    model = script(("check", YES), ("It was", "x"))
    await run(flow(decision("check", {"yes": "done", "no": "done"}), terminal("done", "It was $(check).")), model)
    assert model.requests[-1].messages[-1].text == "It was yes."


@pytest.mark.parametrize("hostile", ["{{ 7*7 }}", "$(other)", "{% raw %}", "$(task)", "$$(a)"])
async def test_hostile_texts_pass_through_literally(hostile: str) -> None:
    model = script(("Do a", hostile), ("Use", hostile), ("Say it", hostile))
    workflow = flow(process("a", "b"), process("b", "done", "Use $(a) now."), terminal())
    trace = await run(workflow, model, task=Task("t", hostile))
    assert trace.answer == hostile
    assert model.requests[0].messages[-1].text == f"Task: {hostile}\n\nDo a."
    assert model.requests[1].messages[-1].text == f"Use {hostile} now."
    assert chat(model.requests[2])[2] == ("assistant", hostile)


async def test_earlier_turns_stay_as_they_were_asked_when_a_result_changes() -> None:
    model = Answering(
        lambda request: f"v{len(model.requests)}" if "check" not in request.messages[-1].text else NO, features="schema"
    )
    workflow = flow(
        process("a", "b", max_visits=2, otherwise="done"),
        process("b", "check", "Use $(a)."),
        decision("check", {"yes": "done", "no": "a"}),
        terminal(),
    )
    await run(workflow, model)
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert chat(after)[: len(before.messages)] == chat(before)


async def test_for_each_maps_over_a_list_in_parallel_and_keeps_its_order() -> None:
    def answer(request: object) -> str:
        text = request.messages[-1].text  # type: ignore[attr-defined]
        return '["x", "y", "z"]' if "List" in text else text.splitlines()[-1]

    model = Answering(answer, seconds=0.01)
    workflow = flow(
        process("list", "map", "List them.", output={"type": "array", "items": {"type": "string"}}),
        process("map", "done", "Double $(list).", for_each="list"),
        terminal("done", ""),
    )
    trace = await run(workflow, model)
    assert trace.answer == ["Double x.", "Double y.", "Double z."]
    assert model.most == 3
    assert len(trace.steps[1].calls) == 3
    assert path(trace) == ["list", "map", "done"]


async def test_for_each_keeps_to_its_bound_and_appends_an_item_that_is_not_mentioned() -> None:
    items = Tool("List", lambda call: [1, {"k": 2}, "three", None], inputs=())
    model = Answering(lambda request: request.messages[-1].text, seconds=0.005)
    workflow = flow(
        process("list", "map", operator="List"), process("map", "done", "Say.", for_each="list"), terminal("done", "")
    )
    trace = await run(workflow, model, tools=(items,), settings=Settings(item_concurrency=2))
    assert model.most == 2
    assert isinstance(trace.answer, list)
    assert [text.splitlines()[-1] for text in trace.answer] == ["1", '{"k": 2}', "three", "null"]


async def test_for_each_over_what_is_no_list_fails() -> None:
    workflow = flow(process("a", "map"), process("map", "done", for_each="a"), terminal())
    trace = await run(workflow, echo())
    assert reason_of(trace) == "workflow/operator"
    assert trace.failure is not None
    assert "not a list" in trace.failure.message


async def test_for_each_over_too_many_items_fails_before_the_first_call() -> None:
    items = Tool("List", lambda call: list(range(11)), inputs=())
    model = echo()
    workflow = flow(process("list", "map", operator="List"), process("map", "done", for_each="list"), terminal())
    trace = await run(workflow, model, tools=(items,), settings=Settings(max_items=10))
    assert reason_of(trace) == "workflow/max_steps"
    assert model.requests == []


async def test_one_failing_item_fails_the_step_and_stops_the_others() -> None:
    def work(call: object) -> object:
        item = call.inputs["list"]  # type: ignore[attr-defined]
        if item == 2:
            raise OperatorError("two is too much")
        return item

    tools = (Tool("List", lambda call: [1, 2, 3], inputs=()), Tool("Work", work))  # type: ignore[arg-type]
    workflow = flow(
        process("list", "map", operator="List"), process("map", "done", operator="Work", for_each="list"), terminal()
    )
    trace = await run(workflow, echo(), tools=tools)
    assert reason_of(trace) == "workflow/operator"
    assert "Work" in trace.steps[1].tools


async def test_output_schema_gives_a_value_and_not_a_text() -> None:
    workflow = flow(terminal("done", "List.", output={"type": "array", "items": {"type": "string"}}))
    trace = await run(workflow, script(("List", '["a", "b"]')))
    assert trace.answer == ["a", "b"]


async def test_reply_that_never_fits_its_schema_is_a_reply_failure_with_its_tokens() -> None:
    workflow = flow(terminal("done", "List.", output={"type": "array"}))
    trace = await run(workflow, script(("", "no list at all")))
    assert reason_of(trace) == "workflow/reply"
    assert trace.calls[0].usage.output_tokens == 4


async def test_tools_result_that_does_not_fit_the_steps_schema_is_a_reply_failure() -> None:
    tool = Tool("Count", lambda call: "many")
    workflow = flow(process("a", "done", operator="Count", output={"type": "integer"}), terminal())
    assert reason_of(await run(workflow, echo(), tools=(tool,))) == "workflow/reply"


async def test_terminal_without_instruction_answers_the_last_result_it_reads_without_a_call() -> None:
    model = echo()
    trace = await run(flow(process("a", "b"), process("b", "done"), terminal("done", "", reads=("a",))), model)
    assert trace.answer == "re: Do a."
    assert len(model.requests) == 2
    assert trace.steps[-1].calls == ()


@pytest.mark.parametrize(
    "workflow",
    [flow(terminal("done", "")), flow(terminal("done", "Say it.")), flow(process("a", "done"), terminal("done", ""))],
)
async def test_terminal_that_answers_nothing_is_an_empty_answer(workflow: object) -> None:
    trace = await run(workflow, script(("", " \n")))  # type: ignore[arg-type]
    assert reason_of(trace) == "workflow/empty_answer"


async def test_empty_result_is_shown_as_nothing_and_never_as_an_empty_turn() -> None:
    model = script(("Do a", ""), ("Say it", "x"))
    await run(flow(process("a", "done"), terminal()), model)
    assert chat(model.requests[1])[2] == ("assistant", "(nothing)")


async def test_tool_step_runs_without_a_model_call_and_is_recorded() -> None:
    seen = {}

    def work(call: object) -> str:
        seen.update(call.inputs)  # type: ignore[attr-defined]
        return "clean"

    model = echo()
    tool = Tool("Image Denoising", work)
    workflow = flow(process("a", "b"), process("b", "done", "", operator="Image Denoising"), terminal())
    trace = await run(workflow, model, tools=(tool,))
    assert trace.steps[1].result == "clean"
    assert trace.tools == ("Image Denoising",)
    assert trace.steps[1].calls == ()
    assert seen == {"a": "re: Do a."}
    assert chat(model.requests[-1])[-3:-1] == [("user", "Run Image Denoising."), ("assistant", "clean")]


async def test_tools_are_listed_once_in_the_system_turn() -> None:
    tools = (Tool("Colorization", lambda call: "c"), Tool("Captioning", lambda call: "d"))
    model = echo()
    await run(linear(2), model, tools=tools)
    system = model.requests[0].messages[0].text
    assert "Colorization: Colorization does its work.\nCaptioning: Captioning does its work." in system
    assert "generate" not in system
    await run(linear(2), model, tools=tools, settings=Settings(show_cards=False))
    assert "Colorization" not in model.requests[-1].messages[0].text


async def test_decision_by_another_operator_reads_its_label_off_the_result() -> None:
    workflow = flow(decision("check", {"Yes": "done", "No": "done"}, operator="Judge"), terminal())
    exact = await run(workflow, echo(), tools=(Tool("Judge", lambda call: " yes. "),))
    assert exact.steps[0].label == "Yes"
    assert exact.steps[0].calls == ()
    model = script(("Answer with one of: Yes | No", "No"), ("Say it", "x"))
    asked = await run(workflow, model, tools=(Tool("Judge", lambda call: "rather not"),))
    assert asked.steps[0].label == "No"
    assert asked.steps[0].calls[0].purpose == "branch"


async def test_decision_by_vote_asks_for_the_label_alone() -> None:
    workflow = flow(decision("check", {"yes": "done", "no": "done"}, operator="ensemble"), terminal())
    model = script(("check", ["no", "Yes.", "yes", "no", "yes"]), ("Say it", "x"))
    trace = await run(workflow, model)
    assert trace.steps[0].label == "yes"
    assert len(trace.steps[0].calls) == 5
    assert len({request.sample for request in model.requests[:5]}) == 5
    assert "reason" not in model.requests[0].messages[-1].text


async def test_a_step_may_name_its_own_model() -> None:
    own = Answering(lambda request: "from own", name="own/model")
    opened = []

    def open_model(spec: str) -> Answering:
        opened.append(spec)
        return own

    workflow = flow(process("a", "b", model="own/model"), process("b", "done", model="own/model"), terminal())
    interpreter = Interpreter(echo(), library(), open_model=open_model)
    trace = await interpreter.run(workflow, TASK)
    assert [call.model for call in trace.calls] == ["own/model", "own/model", "test/answering"]
    assert opened == ["own/model"]
    await interpreter.aclose()
    assert own.closed


async def test_a_steps_own_time_out_is_a_workflow_failure_with_its_call() -> None:
    model = Answering(lambda request: "late", seconds=5)
    trace = await run(flow(process("a", "done", timeout_s=0.02), terminal()), model)
    assert reason_of(trace) == "workflow/timeout"
    assert trace.steps[0].calls[0].error == "cancelled"


async def test_the_runs_step_time_out_holds_where_the_step_has_none() -> None:
    model = Answering(lambda request: "late", seconds=5)
    trace = await run(linear(2), model, settings=Settings(step_timeout_s=0.02))
    assert reason_of(trace) == "workflow/timeout"


async def test_the_tasks_time_out_keeps_what_was_done() -> None:
    model = Answering(lambda request: "x", seconds=0.2)
    events: list[object] = []
    trace = await run(linear(6), model, settings=Settings(task_timeout_s=0.5), on_event=events.append)
    assert reason_of(trace) == "workflow/timeout"
    assert 1 <= len(trace.steps) < 6
    assert trace.steps[-1].failure is not None
    assert trace.steps[-1].calls[0].error == "cancelled"


class Failing(Answering):
    def __init__(self, error: Exception) -> None:
        super().__init__(lambda request: "ok")
        self.error = error

    async def complete(self, request: object) -> object:  # type: ignore[override]
        if "Do b" in request.messages[-1].text:  # type: ignore[attr-defined]
            raise self.error
        return await super().complete(request)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProviderError("no network", transient=True), "fault/provider"),
        (BudgetExhaustedError("spent"), "fault/budget"),
        (SandboxError("no sandbox"), "fault/sandbox"),
    ],
)
async def test_faults_are_told_apart_from_failures_and_keep_the_failed_call(error: Exception, expected: str) -> None:
    trace = await run(linear(3), Failing(error))
    assert reason_of(trace) == expected
    assert path(trace) == ["a", "b"]
    assert trace.calls[-1].error == str(error)
    assert trace.calls[-1].usage.input_tokens is None


async def test_operator_that_refuses_is_a_workflow_failure() -> None:
    def refuse(call: object) -> str:
        raise OperatorError("no image")

    trace = await run(flow(process("a", "done", operator="T"), terminal()), echo(), tools=(Tool("T", refuse),))
    assert reason_of(trace) == "workflow/operator"
    assert trace.tools == ("T",)


async def test_parameters_that_do_not_fit_are_an_operator_failure() -> None:
    trace = await run(flow(process("a", "done", parameters={"temperature": "hot"}), terminal()), echo())
    assert reason_of(trace) == "workflow/operator"


async def test_unknown_operators_are_misuse() -> None:
    with pytest.raises(UnknownNameError, match="ensemble, format, generate"):
        await run(flow(process("a", "done", operator="nope"), terminal()), echo())


async def test_steps_with_their_own_model_need_a_way_to_open_it() -> None:
    with pytest.raises(UsageError, match="own model"):
        await run(flow(terminal("done", "x", model="own/model")), echo())


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "no steps"),
        ((terminal("a"), terminal("a")), "several steps"),
        ((process("a", "b"),), "does not exist"),
        ((Step("a", "process", "x"), terminal()), "leads nowhere"),
        ((Step("a", "decision", "x"), terminal()), "no branches"),
        ((decision("a", {"x": "done"}, for_each="done"), terminal()), "one branch only"),
    ],
)
async def test_workflows_that_cannot_be_run_are_refused(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        await run(flow(*steps), echo())


@pytest.mark.parametrize("name", ["a|b", "a:b", "__start__", "__end__", "\\", "step a", " ", "ä 日本"])
async def test_any_step_name_can_be_run(name: str) -> None:
    trace = await run(flow(process("first", name), process(name, "done"), terminal()), echo())
    assert path(trace) == ["first", name, "done"]


async def test_a_bug_in_an_operator_is_not_hidden_as_a_score() -> None:
    def broken(call: object) -> str:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        await run(flow(process("a", "done", operator="T"), terminal()), echo(), tools=(Tool("T", broken),))


@pytest.mark.parametrize("error", [TimeoutError("socket")])
async def test_a_foreign_time_out_is_not_taken_for_the_steps_own(error: Exception) -> None:
    with pytest.raises(TimeoutError, match="socket"):
        await run(linear(3), Failing(error), settings=Settings(step_timeout_s=5))


@pytest.mark.parametrize(
    "wrong", [{"protocol": "other"}, {"max_steps": 0}, {"task_timeout_s": 0.0}, {"item_concurrency": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]
