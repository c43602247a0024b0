"""The three protocols: equal results on equal replies, fewer or more calls, each step's result kept apart."""

import json

import pytest
from interpreter_helpers import (
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

from autoflow.core.model import Request
from autoflow.core.trace import Trace
from autoflow.errors import OperatorError
from autoflow.interpreter.settings import Settings
from autoflow.models.scripted import Rule, Scripted

FUSED = Settings()
SEGMENT = Settings(protocol="segment")
CORE = Settings(protocol="core")

LOOP = flow(
    process("find", "list"),
    process("list", "check"),
    decision("check", {"yes": "done", "no": "list"}, max_visits=3, otherwise="done"),
    terminal(),
)


def answers() -> Answering:
    """Answers by the step's sentence alone, in whatever form is asked for; the first check says no."""
    checks: list[str] = []

    def one(text: str) -> object:
        if "check" in text:
            checks.append(text)
            return {"reason": "because", "label": "yes" if len(checks) > 1 else "no"}
        return f"did {text.rpartition('Do ')[2].partition('.')[0]}" if "Do " in text else "the answer"

    def answer(request: Request) -> str:
        text = request.messages[-1].text
        if request.purpose == "segment":
            lines = [line for line in text.splitlines() if line.startswith("step_")]
            return json.dumps({line.split(":")[0]: one(line) for line in lines})
        if request.purpose == "branch":
            value = one("check")
            return str(value["label"])  # type: ignore[index]
        value = one(
            text.split("\n\n")[-1].removeprefix("Question: ")
            if request.purpose != "answer"
            else text.split("Question: ")[-1]
        )
        return value if isinstance(value, str) else json.dumps(value)

    return Answering(answer, features="schema")


def outline(trace: Trace) -> list[tuple[str, object, str | None, str | None, int]]:
    return [(r.step, r.label or r.result, r.label, r.target, r.visit) for r in trace.steps]


async def test_fused_and_segment_give_equal_results_and_segment_calls_less() -> None:
    fused_model, segment_model = answers(), answers()
    fused = await run(LOOP, fused_model, settings=FUSED)
    segment = await run(LOOP, segment_model, settings=SEGMENT)
    assert outline(fused) == outline(segment)
    assert fused.answer == segment.answer == "the answer"
    assert path(fused) == ["find", "list", "check", "list", "check", "done"]
    assert len(fused.calls) == 6
    # find-list-check, list-check, done
    assert len(segment.calls) == 3


async def test_core_takes_the_same_path_with_more_calls() -> None:
    def answer(request: Request) -> str:
        return "yes" if request.purpose == "branch" else "the answer"

    model = Answering(answer)
    trace = await run(LOOP, model, settings=CORE)
    assert path(trace) == ["find", "list", "check", "done"]
    assert [call.purpose for call in trace.calls] == ["answer", "answer", "answer", "branch", "answer"]
    assert trace.answer == "the answer"


# -- segment


async def test_segment_keeps_each_steps_result_apart_and_the_call_once() -> None:
    model = script(("Do these steps", '{"step_1": "A", "step_2": "B", "step_3": "C"}'))
    trace = await run(linear(3), model, settings=SEGMENT)
    assert [(record.step, record.result) for record in trace.steps] == [("a", "A"), ("b", "B"), ("done", "C")]
    assert [len(record.calls) for record in trace.steps] == [1, 0, 0]
    assert [record.inputs for record in trace.steps] == [(), ("a",), ("a", "b")]
    assert trace.answer == "C"
    assert model.requests[0].purpose == "segment"


async def test_segment_shows_later_steps_the_same_progress_as_fused() -> None:
    workflow = flow(process("a", "b"), process("b", "c"), process("c", "done", "Use $(b)."), terminal())
    model = script(
        ("step_1: Do a.", '{"step_1": "A", "step_2": "B"}'), ("step_1: Use B.", '{"step_1": "C", "step_2": "D"}')
    )
    trace = await run(workflow, model, settings=SEGMENT)
    assert trace.answer == "D"
    assert chat(model.requests[1])[1:-1] == [
        ("user", "Task: Count the apples.\n\nDo a."),
        ("assistant", "A"),
        ("user", "Do b."),
        ("assistant", "B"),
    ]


@pytest.mark.parametrize(
    "own",
    [
        {"parameters": {"temperature": 0.5}},
        {"timeout_s": 5.0},
        {"reads": ("a",)},
        {"operator": "Tool"},
        {"instruction": "Use $(b)."},
        {"output": {"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}},
    ],
)
async def test_segment_breaks_before_a_step_that_needs_more(own: dict[str, object]) -> None:
    model = Answering(lambda request: '{"step_1": "A", "step_2": "B"}' if request.purpose == "segment" else '"C"')
    workflow = flow(process("a", "b"), process("b", "c"), process("c", "done", **own), terminal("done", ""))  # type: ignore[arg-type]
    trace = await run(workflow, model, tools=(Tool("Tool", lambda call: "C"),), settings=SEGMENT)
    assert path(trace) == ["a", "b", "c", "done"]
    assert model.requests[0].purpose == "segment"
    assert [request.purpose for request in model.requests].count("segment") == 1
    assert str(trace.answer).strip('"') == "C"


async def test_segment_takes_a_terminals_schema_in() -> None:
    workflow = flow(process("a", "done"), terminal("done", "List.", output={"type": "array"}))
    trace = await run(workflow, script(("", '{"step_1": "A", "step_2": ["x"]}')), settings=SEGMENT)
    assert trace.answer == ["x"]
    assert len(trace.calls) == 1


async def test_segment_heeds_bounds_and_the_runs_limit() -> None:
    bounded = flow(process("a", "b", max_visits=1, otherwise="done"), process("b", "a"), terminal())
    model = answers()
    trace = await run(bounded, model, settings=SEGMENT)
    assert path(trace) == ["a", "b", "done"]
    limited = await run(linear(5), answers(), settings=Settings(protocol="segment", max_steps=3))
    assert path(limited) == ["a", "b", "c"]
    assert reason_of(limited) == "workflow/max_steps"


async def test_segment_without_reasons_takes_a_bare_label() -> None:
    workflow = flow(process("a", "check"), decision("check", {"yes": "done", "no": "a"}), terminal())
    model = script(("Do these", '{"step_1": "A", "step_2": "yes"}'), ("Say it", "x"))
    trace = await run(workflow, model, settings=Settings(protocol="segment", decision_reason=False))
    assert trace.steps[1].label == "yes"


async def test_segment_that_cannot_be_read_fails_on_its_first_step() -> None:
    trace = await run(linear(3), script(("", "no JSON")), settings=SEGMENT)
    assert reason_of(trace) == "workflow/reply"
    assert path(trace) == ["a"]
    assert len(trace.steps[0].calls) >= 1


async def test_segment_whose_last_answer_is_empty_fails_there() -> None:
    model = script(("", '{"step_1": "A", "step_2": "B", "step_3": " "}'))
    trace = await run(linear(3), model, settings=SEGMENT)
    assert reason_of(trace) == "workflow/empty_answer"
    assert path(trace) == ["a", "b", "done"]


async def test_segment_has_the_step_limit_once_for_each_step() -> None:
    settings = Settings(protocol="segment", step_timeout_s=0.3)
    slow = Answering(lambda request: '{"step_1": "A", "step_2": "B", "step_3": "C"}', seconds=0.5)
    assert (await run(linear(3), slow, settings=settings)).answer == "C"


async def test_small_models_are_bounded_where_a_grammar_can() -> None:
    model = Answering(
        lambda request: (
            '{"step_1": "A", "step_2": {"reason": "r", "label": "yes"}}' if request.purpose == "segment" else "x"
        ),
        features="schema grammar",
    )
    workflow = flow(process("a", "check"), decision("check", {"yes": "done", "no": "a"}), terminal())
    await run(workflow, model, settings=SEGMENT)
    assert "maxLength" in str(model.requests[0].schema)


# -- core


def tool_flow() -> Scripted:
    return Scripted(
        [
            Rule(("Yes", "No"), purpose="tool-need"),
            Rule(("Search",), purpose="tool-name"),
            Rule(('{"input": "apples, green", "limit": 2}',), purpose="tool-arguments"),
            Rule(("It counts apples.",), purpose="tool-summary"),
            Rule(("Yes",), purpose="retrieve"),
            Rule(("yes",), purpose="branch"),
            Rule(("the answer",), purpose="answer"),
        ]
    )


def search(seen: list[object]) -> Tool:
    def work(call: object) -> str:
        seen.append((call.inputs["input"], dict(call.parameters)))  # type: ignore[attr-defined]
        return "42 apples"

    return Tool("Search", work, parameters={"limit": {"type": "integer", "default": 5}})


async def test_core_calls_a_tool_writes_the_notebook_and_retrieves_it() -> None:
    seen: list[object] = []
    model = tool_flow()
    trace = await run(flow(process("a", "done"), terminal()), model, tools=(search(seen),), settings=CORE)
    # Arguments are JSON: the comma inside one is not a separator.
    assert seen == [("apples, green", {"limit": 2})]
    assert trace.tools == ("Search",)
    assert trace.steps[0].result == "42 apples"
    assert [call.purpose for call in trace.calls] == [
        "answer",
        "tool-need",
        "tool-name",
        "tool-arguments",
        "tool-summary",
        "retrieve",
        "answer",
        "tool-need",
    ]
    last = model.requests[-2].messages[-1].text
    assert "Observations:\nRound 1: 42 apples" in last
    assert 'Called Search({"input": "apples, green", "limit": 2}). It counts apples.' in last
    assert trace.answer == "the answer"


async def test_core_retrieves_directly_by_numbers() -> None:
    model = Scripted(
        [
            Rule(("Yes", "No"), purpose="tool-need"),
            Rule(("Search",), purpose="tool-name"),
            Rule(('{"input": "x"}',), purpose="tool-arguments"),
            Rule(("found",), purpose="tool-summary"),
            Rule(("[1]",), purpose="retrieve"),
            Rule(("the answer",), purpose="answer"),
        ]
    )
    settings = Settings(protocol="core", core_retrieval="direct")
    await run(flow(process("a", "done"), terminal()), model, tools=(search([]),), settings=settings)
    assert "Round 1: 42 apples" in model.requests[-2].messages[-1].text


async def test_core_leaves_out_entries_that_are_not_needed() -> None:
    model = tool_flow()
    model._rules = tuple(Rule(("No",), purpose="retrieve") if r.purpose == "retrieve" else r for r in model._rules)
    await run(flow(process("a", "done"), terminal()), model, tools=(search([]),), settings=CORE)
    assert "Observations" not in model.requests[-2].messages[-1].text


async def test_core_asks_nothing_about_tools_where_there_are_none_or_they_are_off() -> None:
    for tools, settings in (((), CORE), ((search([]),), Settings(protocol="core", core_tools=False))):
        model = echo()
        trace = await run(linear(2), model, tools=tools, settings=settings)
        assert [call.purpose for call in trace.calls] == ["answer", "answer"]


async def test_core_makes_do_without_a_tool_that_fails_twice() -> None:
    def refuse(call: object) -> str:
        raise OperatorError("no such city")

    model = tool_flow()
    tool = Tool("Search", refuse, parameters={"limit": {"type": "integer", "default": 5}})
    trace = await run(flow(process("a", "done"), terminal()), model, tools=(tool,), settings=CORE)
    assert trace.failure is None
    assert trace.steps[0].result == "the answer"
    asked = [request for request in model.requests if request.purpose == "tool-arguments"]
    assert "no such city" in asked[-1].messages[-1].text


async def test_core_answers_hot_and_asks_labels_cold_then_hotter() -> None:
    model = Answering(
        lambda request: ("yes" if request.sampling.temperature >= 1 else "hm") if request.purpose == "branch" else "x"
    )
    workflow = flow(decision("check", {"yes": "done", "no": "done"}), terminal())
    trace = await run(workflow, model, settings=CORE)
    assert trace.steps[0].label == "yes"
    temperatures = [r.sampling.temperature for r in model.requests if r.purpose == "branch"]
    assert sorted(set(temperatures)) == [0.0, 0.5, 1.0]
    assert model.requests[0].sampling.temperature == 1.0
    assert model.requests[0].sampling.max_tokens == 2000


async def test_core_never_matches_a_label_inside_a_word() -> None:
    model = Answering(lambda request: "I don't know" if request.purpose == "branch" else "x")
    workflow = flow(decision("check", {"yes": "done", "no": "done"}), terminal())
    assert reason_of(await run(workflow, model, settings=CORE)) == "workflow/branch_unmatched"
    workflow = flow(decision("check", {"yes": "done", "no": "done"}, otherwise="rest"), terminal(), terminal("rest"))
    assert path(await run(workflow, model, settings=CORE)) == ["check", "rest"]


async def test_core_runs_operators_lists_and_schemas_too() -> None:
    workflow = flow(
        process("a", "b", operator="Tool"),
        process("b", "c", "List.", output={"type": "array"}, reads=("a",)),
        process("c", "done", "Map $(b).", for_each="b"),
        terminal("done", ""),
    )
    model = Answering(lambda request: "[1, 2]" if "List." in request.messages[-1].text else "m")
    tools = (Tool("Tool", lambda call: "t"),)
    trace = await run(workflow, model, tools=tools, settings=Settings(protocol="core", core_tools=False))
    assert trace.answer == ["m", "m"]
    assert trace.tools == ("Tool",)
    assert "Answer 1: t" in model.requests[0].messages[-1].text


# -- draws


async def test_loop_that_asks_the_same_again_draws_anew_and_repeats_exactly() -> None:
    async def samples(sample: int, seed: int | None) -> list[tuple[int, int | None]]:
        model = Answering(lambda request: "x")
        workflow = flow(
            process("a", "a", reads=(), parameters={"temperature": 0.8}, max_visits=3, otherwise="done"),
            terminal("done", ""),
        )
        await run(workflow, model, sample=sample, settings=Settings(seed=seed))
        return [(request.sample, request.sampling.seed) for request in model.requests]

    first = await samples(0, 7)
    assert len({sample for sample, _ in first}) == len({seed for _, seed in first}) == 3
    assert first == await samples(0, 7)
    assert first[0][0] == 0
    assert not set(first) & set(await samples(1, 7))
    assert [seed for _, seed in await samples(0, None)] == [None] * 3
    assert [sample for sample, _ in await samples(0, 8)] == [sample for sample, _ in first]
    assert [seed for _, seed in await samples(0, 8)] != [seed for _, seed in first]


async def test_at_temperature_zero_an_equal_prompt_is_an_equal_request() -> None:
    model = echo()
    workflow = flow(process("a", "a", reads=(), max_visits=2, otherwise="done"), terminal("done", ""))
    await run(workflow, model, settings=Settings(seed=7))
    assert model.requests[0] == model.requests[1]
    await run(workflow, model, sample=1)
    assert model.requests[2] != model.requests[0]


async def test_items_of_a_list_draw_apart_whatever_the_order_they_end_in() -> None:
    from autoflow.core.model import Sampling

    workflow = flow(process("l", "m", operator="List"), process("m", "done", "Go.", for_each="l"), terminal("done", ""))
    model = Answering(lambda request: "x")
    tools = (Tool("List", lambda call: ["same", "same"]),)
    await run(workflow, model, tools=tools, settings=Settings(sampling=Sampling(temperature=1.0)))
    assert len({request.sample for request in model.requests}) == 2
