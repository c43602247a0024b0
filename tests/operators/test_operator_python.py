"""`python`: a function in the workflow file, run in the sandbox on the results that a step reads."""

import pytest
from operator_helpers import invocation, scripted

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import OperatorError
from autoflow.interpreter.run import Interpreter
from autoflow.language.document import parse
from autoflow.language.lint import check
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library
from autoflow.operators.python import PLUGIN as PYTHON

CARDS = {name: operator.card for name, operator in library().items()}


async def test_it_is_given_the_results_and_the_task_and_gives_json() -> None:
    source = "def run(results, task):\n    return {'first': results['a'], 'all': list(results), 'task': task}"
    task = Task("t", "T", context={"documents": ["d"]})
    found = await PYTHON.run(invocation(None, {"code": source}, inputs={"a": [1, {"b": None}], "c": "x"}, task=task))
    assert found == {
        "first": [1, {"b": None}],
        "all": ["a", "c"],
        "task": {"text": "T", "context": {"documents": ["d"]}},
    }
    assert PYTHON.calls({}) == (0, 0)


async def test_it_may_take_the_results_alone() -> None:
    assert await PYTHON.run(invocation(None, {"code": "def run(results): return len(results)"}, inputs={"a": 1})) == 1


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"code": "def run(results):\n    return results['b']"}, "line 2: KeyError: 'b'"),
        ({"code": "def go(): pass"}, "defines no function run"),
        ({"code": "def run(r):\n    while True: pass", "timeout_s": 0.3}, "longer than 0.3 s"),
        ({"code": "def run(r): return bytearray(10 ** 9)", "memory_mb": 128}, "Memory|memory"),
        ({"code": "def run(r): return {1, 2}.__iter__"}, "no JSON"),
        ({"code": ""}, "code"),
        ({}, "needs the parameter 'code'"),
    ],
)
async def test_what_goes_wrong_is_the_step_s_failure(parameters: dict[str, Json], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        await PYTHON.run(invocation(None, parameters, inputs={"a": 1}))


FLOW = """\
autoflow: 1
name: route
steps:
  - name: words
    type: process
    operator: python
    instruction: Count the words of the task.
    parameters:
      code: |
        def run(results, task):
            return len(task["text"].split())
    next: route
  - name: route
    type: decision
    operator: python
    instruction: Is it long?
    parameters:
      code: |
        def run(results):
            return "long" if results["words"] > 3 else "short"
    branches: {long: shorten, short: done}
  - name: shorten
    type: process
    instruction: Say it in three words.
    next: done
  - name: done
    type: terminal
    operator: python
    parameters:
      code: |
        def run(results):
            return results.get("shorten", "as it was")
"""


@pytest.mark.parametrize(("text", "answer", "calls"), [("a b", "as it was", 0), ("a b c d", "x y z", 1)])
async def test_code_computes_branches_and_answers_in_a_workflow(text: str, answer: str, calls: int) -> None:
    flow = check(parse(FLOW), CARDS)
    model = Scripted([Rule(("x y z",), when="three words")])
    trace = await Interpreter(model, library()).run(flow, Task("t", text))
    assert trace.failure is None, trace.failure
    assert trace.answer == answer
    assert len(trace.calls) == calls


async def test_a_result_that_does_not_fit_the_step_s_form_is_a_failure() -> None:
    text = FLOW.replace("    next: route\n", "    output: {type: string}\n    next: route\n")
    trace = await Interpreter(scripted("x"), library()).run(parse(text).workflow, Task("t", "a b"))
    assert trace.failure is not None
    assert (trace.failure.reason, trace.failure.step) == ("reply", "words")
