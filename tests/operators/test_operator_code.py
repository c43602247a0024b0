"""The operators that write and run code, in the real sandbox: programmer, code-generate, test."""

from collections.abc import Mapping

import pytest
from operator_helpers import HOSTILE, by_purpose, code, invocation, last, scripted

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import DataError, OperatorError, SandboxError
from autoflow.operators import programmer as programmer_module
from autoflow.operators.code_generate import PLUGIN as CODE_GENERATE
from autoflow.operators.programmer import PLUGIN as PROGRAMMER
from autoflow.operators.test import PLUGIN as TEST

CANARY = "canary-61cd02e8"

SQUARES = code("def solve():\n    return sum(n * n for n in range(1, 5))")
BROKEN = code("def solve():\n    return total")

# -- programmer


async def test_programmer_returns_what_the_code_computes() -> None:
    model = scripted(SQUARES)
    assert await PROGRAMMER.run(invocation(model)) == "30"
    assert await PROGRAMMER.run(invocation(scripted(SQUARES), output={"type": "integer"})) == 30
    assert await PROGRAMMER.run(invocation(scripted(code("def solve(): return ['a', 1]")))) == '["a", 1]'


async def test_programmer_shows_the_error_and_runs_the_repaired_code() -> None:
    model = scripted(BROKEN, "I see.\n" + BROKEN.replace("total", "1 / 0"), SQUARES)
    assert await PROGRAMMER.run(invocation(model)) == "30"
    first, second, third = model.requests
    assert "line 2: NameError: name 'total' is not defined" in last(second)
    assert second.messages[-2].text == BROKEN.strip()
    # Only the code before goes back, so that the conversation does not grow.
    assert len(third.messages) == len(second.messages) == len(first.messages) + 2
    assert "ZeroDivisionError" in last(third)
    assert [request.sample for request in model.requests] == [0, 1, 2]


@pytest.mark.parametrize("repairs", [0, 3])
async def test_programmer_gives_up_after_its_repairs(repairs: int) -> None:
    model = scripted(BROKEN)
    with pytest.raises(OperatorError, match=rf"after {repairs} repairs.*NameError"):
        await PROGRAMMER.run(invocation(model, {"repairs": repairs}))
    assert len(model.requests) == repairs + 1 == PROGRAMMER.calls({"repairs": repairs})[1]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def solve(): return None", "returned nothing"),
        ("def solve(): return '  '", "returned nothing"),
        ("print(30)", "defines no function solve()"),
        ("I cannot write code, but the answer is 30.", "SyntaxError"),
        ("import os\ndef solve(): os._exit(0)", "ended its process"),
        ("def solve():\n    while True: print('x' * 10 ** 5)", "wrote more than"),
    ],
)
async def test_programmer_asks_again_for_code_that_gives_nothing(source: str, said: str) -> None:
    model = scripted(source, SQUARES)
    assert await PROGRAMMER.run(invocation(model)) == "30"
    assert said in last(model.requests[1])


async def test_programmer_stops_endless_code_at_its_own_limit_or_the_step_s() -> None:
    endless = code("def solve():\n    while True: pass")
    for call in (
        invocation(scripted(endless, SQUARES), {"timeout_s": 0.3}),
        invocation(scripted(endless, SQUARES), timeout_s=0.3),
    ):
        assert await PROGRAMMER.run(call) == "30"
        assert "longer than 0.3 s" in last(call.model.requests[1])  # type: ignore[attr-defined]


async def test_programmer_asks_again_where_the_value_does_not_fit_the_step_s_form() -> None:
    model = scripted(code("def solve(): return 'thirty'"), SQUARES)
    assert await PROGRAMMER.run(invocation(model, output={"type": "integer"})) == 30
    assert "solve() returned thirty, but 'thirty' is not of type 'integer'" in last(model.requests[1])


async def test_a_fault_of_the_sandbox_is_no_failure_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise SandboxError("no sandbox works on this machine")

    monkeypatch.setattr(programmer_module, "choose", none)
    with pytest.raises(SandboxError):
        await PROGRAMMER.run(invocation(scripted(SQUARES)))


async def test_code_of_a_model_finds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    thief = code("import os\ndef solve(): return 'env: ' + str(dict(os.environ))")
    found = await PROGRAMMER.run(invocation(scripted(thief)))
    assert str(found).startswith("env: ")
    assert CANARY not in str(found)


async def test_templates_in_code_and_errors_stay_data() -> None:
    model = scripted(code(f"def solve(): raise ValueError({HOSTILE!r})"), code(f"def solve(): return {HOSTILE!r}"))
    assert await PROGRAMMER.run(invocation(model)) == HOSTILE
    assert HOSTILE in last(model.requests[1])


# -- code-generate


async def test_code_is_given_without_fences_and_prose() -> None:
    model = scripted(code("def add(a, b):\n    return a + b"))
    assert await CODE_GENERATE.run(invocation(model)) == "def add(a, b):\n    return a + b"
    assert "the function `" not in last(model.requests[0])


async def test_the_demanded_name_is_the_parameter_s_or_the_task_s() -> None:
    reply = code("def helper(): pass") + code("def add(a, b):\n    return a + b")
    task = Task("t", "T", context={"entry_point": "add"})
    for parameters, wanted in (({}, "add"), ({"entry_point": "helper"}, "helper")):
        model = scripted(reply)
        found = await CODE_GENERATE.run(invocation(model, parameters, task=task))
        assert f"the function `{wanted}`" in last(model.requests[0])
        assert str(found).startswith(f"def {wanted}(")


# -- test

GOOD = "def add(a, b):\n    return a + b"
BAD = "def add(a, b):\n    return a - b"


def adding(**context: Json) -> Task:
    """A task whose hidden test no operator is given."""
    shown: Mapping[str, Json] = {"public_tests": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"], **context}
    return Task("t", "Write add.", context=shown)


async def test_code_that_passes_is_returned_without_a_call() -> None:
    model = scripted("never asked")
    call = invocation(model, inputs={"write": code(GOOD)}, task=adding(entry_point="add"))
    assert await TEST.run(call) == GOOD
    assert model.requests == []


async def test_code_that_fails_is_reflected_on_and_repaired() -> None:
    model = by_purpose(reflect=("Minus is wrong.\n" + code(BAD), "Still wrong.\n" + code(GOOD)))
    assert await TEST.run(invocation(model, inputs={"write": BAD}, task=adding())) == GOOD
    shown = last(model.requests[0])
    assert BAD in shown
    assert "assert add(1, 2) == 3" in shown
    assert "Failure: assertion: tests.py:1" in shown
    assert len(model.requests) == 2


async def test_the_last_version_is_returned_when_none_passes() -> None:
    model = by_purpose(reflect=tuple(code(BAD + f"  # {number}") for number in range(9)))
    found = await TEST.run(invocation(model, {"repairs": 2}, inputs={"write": BAD}, task=adding()))
    assert found == BAD + "  # 1"
    assert len(model.requests) == 2 == TEST.calls({"repairs": 2})[1]


@pytest.mark.parametrize("context", [{}, {"public_tests": []}])
async def test_without_public_tests_the_code_passes_as_it_is(context: dict[str, Json]) -> None:
    model = scripted("never asked")
    assert await TEST.run(invocation(model, inputs={"write": BAD}, task=Task("t", "T", context=context))) == BAD
    assert model.requests == []


async def test_helpers_of_the_published_prompt_are_at_hand() -> None:
    prompt = "import math\n\ndef half(x):\n    return x / 2\n\ndef add(a, b):\n    '''Adds.'''\n"
    task = adding(entry_point="add", prompt=prompt)
    source = "def add(a, b):\n    return math.floor(half(2 * (a + b)))"
    assert await TEST.run(invocation(scripted("x"), inputs={"write": source}, task=task)) == source


@pytest.mark.parametrize(
    "source",
    [
        "print('all tests passed')\nimport os\nos._exit(0)",
        "class Any:\n    def __eq__(self, other): return True\ndef add(a, b): return Any()",
        "import builtins\nbuiltins.AssertionError = KeyboardInterrupt\ndef add(a, b): return 4",
        "def add(a, b):\n    while True: pass",
    ],
)
async def test_code_cannot_fake_its_tests(source: str) -> None:
    model = by_purpose(reflect=code(GOOD))
    call = invocation(model, {"repairs": 1, "timeout_s": 1}, inputs={"write": source}, task=adding())
    assert await TEST.run(call) == GOOD
    assert len(model.requests) == 1


async def test_there_must_be_code_and_tests_must_be_tests() -> None:
    with pytest.raises(OperatorError, match="no code to test"):
        await TEST.run(invocation(scripted("x"), task=adding()))
    for tests in ("assert True", [1], ["assert 1 == 1"], ["assert add("]):
        with pytest.raises(DataError, match="task t"):
            await TEST.run(invocation(scripted("x"), inputs={"a": GOOD}, task=Task("t", "T", {"public_tests": tests})))
