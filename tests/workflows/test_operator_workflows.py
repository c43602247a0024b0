"""The bundled workflows that show an operator each run to their answer with a scripted model and the real sandbox."""

import json
from collections.abc import Sequence

import pytest

from autoflow import resources
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.language import document
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library

FOLDER = resources.folder("workflows")


async def run(name: str, rules: Sequence[Rule], task: Task) -> tuple[Trace, Scripted]:
    model = Scripted(rules)
    flow = document.load(FOLDER / f"{name}.yaml").workflow
    trace = await Interpreter(model, library(), Settings(seed=0)).run(flow, task)
    assert trace.failure is None, trace.failure
    return trace, model


def rule(when: str, *replies: str, purpose: str | None = None) -> Rule:
    return Rule(replies, when=when, purpose=purpose)


async def test_solve_with_code_computes_and_states_the_answer() -> None:
    rules = [
        rule("The code was run and failed", "```python\ndef solve():\n    return 17 * 23\n```"),
        rule("Work out the answer", "```python\ndef solve():\n    return seventeen\n```"),
        rule("State the final answer", "391"),
    ]
    trace, model = await run("solve_with_code", rules, Task("t", "What is 17 * 23?"))
    assert (trace.steps[0].result, trace.answer) == ("391", "391")
    assert len(trace.calls) == 3
    assert "NameError: name 'seventeen'" in model.requests[1].messages[-1].text


async def test_write_and_test_code_delivers_the_code_that_passed_word_for_word() -> None:
    good = "def double(x):\n    return 2 * x"
    rules = [
        rule("Say in a few sentences why it fails", f"It adds.\n```python\n{good}\n```"),
        rule("Write the function", "```python\ndef double(x):\n    return 2 + x\n```"),
    ]
    task = Task("t", "Write double(x).", {"public_tests": ["assert double(3) == 6"], "entry_point": "double"})
    trace, _ = await run("write_and_test_code", rules, task)
    assert trace.answer == good
    assert len(trace.calls) == 2


async def test_search_and_answer_reads_what_it_found() -> None:
    rules = [
        rule("search queries", '["founding year Rome"]'),
        rule("Answer the question from these", json.dumps({"thought": "Legend says so.", "answer": "753 BC"})),
    ]
    documents = ["Tea is made of leaves.", "Rome was founded in 753 BC, in the founding legend."]
    trace, model = await run("search_and_answer", rules, Task("t", "When was Rome founded?", {"documents": documents}))
    assert trace.answer == "753 BC"
    assert trace.steps[0].result == [documents[1], documents[0]]
    assert documents[1] in model.requests[-1].messages[-1].text


async def test_debate_takes_seven_calls_and_states_what_was_decided() -> None:
    rules = [
        rule("", "I say 42.", purpose="debate"),
        rule("", "It is 42, as all agree.", purpose="decide"),
        rule("State the final answer", "42"),
    ]
    trace, model = await run("debate", rules, Task("t", "6 x 7?"))
    assert trace.answer == "42"
    assert len(trace.calls) == 7 + 1
    assert "a sceptic" in model.requests[1].messages[-1].text


async def test_aggregate_with_python_takes_the_median_without_a_call() -> None:
    rules = [
        rule("Name three quite different ways", '["by households", "by demand", "by phone book"]'),
        rule("by households", '{"reasoning": "r", "number": 125}'),
        rule("by demand", '{"reasoning": "r", "number": 300.5}'),
        rule("by phone book", '{"reasoning": "r", "number": 80}'),
    ]
    trace, _ = await run("aggregate_with_python", rules, Task("t", "How many piano tuners?"))
    assert trace.answer == {"estimate": 125, "from": 80, "to": 300.5}
    assert trace.steps[-1].calls == ()


async def test_decompose_and_combine_answers_each_part_and_reads_the_findings_alone() -> None:
    rules = [
        rule("Break this down", '["Who?", "When?"]'),
        rule("step by step: Who?", "Augustus"),
        rule("step by step: When?", "27 BC"),
        rule("Summarise what was found", "Augustus, in 27 BC."),
        rule("State the final answer", "Augustus"),
    ]
    trace, model = await run("decompose_and_combine", rules, Task("t", "Who was first?"))
    assert trace.answer == "Augustus"
    assert list(trace.steps[1].result) == ["Augustus", "27 BC"]  # type: ignore[arg-type]
    last = "\n".join(message.text for message in model.requests[-1].messages)
    assert "Augustus, in 27 BC." in last
    assert "Break this down" not in last


async def test_several_minds_think_apart_and_a_vote_decides() -> None:
    rules = [
        rule("Take a step back", "Multiplication."),
        rule("It rests on this", "By principle: 42"),
        rule("Which expert", "a mathematician"),
        rule("You are this expert", "As expert: 41"),
        rule("Check it", '{"feedback": "", "correct": true}'),
        rule("Which of them is best", "1", "1", "1", "1", "1"),
        rule("State the final answer", "42"),
        rule("Solve the task step by step", "Criticised: 43"),
    ]
    trace, model = await run("several_minds", rules, Task("t", "6 x 7?"))
    assert trace.answer == "42"
    solved = [record.result for record in trace.steps[:3]]
    assert solved == ["By principle: 42", "As expert: 41", "Criticised: 43"]
    assert trace.steps[3].result in solved
    # No way has seen another, and the five votes saw more than one order.
    assert not any("By principle" in message.text for message in model.requests[2].messages)
    votes = [request.messages[-1].text for request in model.requests if request.purpose == "vote"]
    assert len(votes) == 5
    assert len(set(votes)) > 1


@pytest.mark.parametrize(
    ("verdicts", "answer", "visits"),
    [
        (['{"points": [], "accept": true}'], "draft", 1),
        (['{"points": ["Too short."], "accept": false}', '{"points": [], "accept": true}'], "longer", 2),
        (['{"points": ["Too short."], "accept": false}'], "longest", 3),
    ],
)
async def test_review_until_accepted_ends_when_the_reviewer_is_content(
    verdicts: list[str], answer: str, visits: int
) -> None:
    rules = [
        rule("Write a complete answer", "draft"),
        rule("Is the work right", *verdicts),
        rule("Put right what", "longer", "longest"),
    ]
    trace, _ = await run("review_until_accepted", rules, Task("t", "Write a poem."))
    assert trace.answer == answer
    assert sum(record.step == "review" for record in trace.steps) == visits
    assert len(trace.calls) == 2 * visits
