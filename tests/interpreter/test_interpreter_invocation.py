"""What an operator is given when its step runs: everything it needs, nothing that only the scorer may see."""

from dataclasses import replace

from interpreter_helpers import Tool, echo, flow, process, run, terminal

from autoflow.core.operator import Invocation
from autoflow.core.task import Task
from autoflow.interpreter.settings import Settings

CANARY = "gold-canary-5512"
SECRET = Task("t", "What?", {"documents": ["a"]}, {"answer": CANARY, "test": f"assert {CANARY!r}"}, "kind")


def spy() -> tuple[Tool, list[Invocation]]:
    given: list[Invocation] = []

    def work(call: Invocation) -> str:
        given.append(call)
        return "seen"

    return Tool("Spy", work, inputs=("any",)), given


async def test_no_operator_is_given_the_reference() -> None:
    tool, given = spy()
    steps = (process("a", "b", operator="Spy"), process("b", "done", operator="Spy"), terminal("done", operator="Spy"))
    await run(flow(*steps), echo(), tools=(tool,), task=SECRET)
    assert len(given) == 3
    for call in given:
        assert call.task == replace(SECRET, reference={})
        assert CANARY not in repr(call)


async def test_no_prompt_holds_the_context_by_itself() -> None:
    model = echo()
    await run(flow(process("a", "done"), terminal("done")), model, task=Task("t", "What?", {"documents": [CANARY]}))
    assert CANARY not in repr(model.requests)


async def seeds(*, seed: int | None = 1, sample: int = 0) -> list[int]:
    tool, given = spy()
    listing = Tool("List", lambda call: ["x", "y"])
    steps = (
        process("list", "each", operator="List"),
        process("each", "loop", operator="Spy", for_each="list"),
        process("loop", "loop", operator="Spy", max_visits=2, otherwise="done"),
        terminal("done", "Say."),
    )
    settings = Settings(seed=seed)
    await run(flow(*steps), echo(), tools=(tool, listing), settings=settings, sample=sample)
    return [call.seed for call in given]


async def test_each_item_and_visit_has_its_own_seed_and_a_repeated_run_the_same() -> None:
    first = await seeds()
    assert len(first) == 4
    # Two items, and the second visit of the loop; its first is at the place of the first item.
    assert len(set(first)) == 3
    assert first == await seeds()
    assert not set(first) & set(await seeds(sample=1))
    assert not set(first) & set(await seeds(seed=2))
    assert await seeds(seed=None) == await seeds(seed=None)


async def test_a_terminal_that_names_an_operator_runs_it_without_words() -> None:
    tool = Tool("Count", lambda call: f"counted {list(call.inputs)}")
    trace = await run(flow(process("a", "done"), terminal("done", "", operator="Count")), echo(), tools=(tool,))
    assert trace.answer == "counted ['a']"
    passed = await run(flow(process("a", "done"), terminal("done", "")), echo(), tools=(tool,))
    assert passed.answer == passed.steps[0].result
