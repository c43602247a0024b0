"""Labelled decisions: the interpreter's own call, and a label that is right."""

import json
from collections import Counter

from autoflow.core.model import Request
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.models.scripted import Rule, Scripted
from autoflow.synthesis.decisions import Question, row, rows
from autoflow.synthesis.exercise import Exercise
from autoflow.synthesis.rows import Row, leaks
from autoflow.synthesis.synthesize import DomainPlan, Terms, decisions_of, draw_domains, of_domains, synthesize
from autoflow.synthesis.teachers import SearchTeacher

PLAN = DomainPlan(seed=9, train=8, validation=2, test=2, tasks=6, decisions=6)
DRAWN = draw_domains(PLAN)
EXERCISES = list(of_domains(DRAWN, PLAN))


def _asked(found: Row) -> str:
    """The decision's own turn, without the task that may stand before it."""
    return found.prompt[-1].text.rpartition("\n\n")[2]


def _answer(found: Row) -> str:
    return json.loads(found.completion)["label"] if found.completion.startswith("{") else found.completion


async def test_the_prompt_is_the_call_that_the_interpreter_makes() -> None:
    exercise = EXERCISES[0]
    question = Question("Is it late?", ("yes", "no"), "no", "The task does not say so.", ("a", "b"))
    found = await row(exercise, question, 0, reasons=True)
    asked: list[Request] = []

    class Watched(Scripted):
        async def complete(self, request: Request) -> object:  # type: ignore[override]
            asked.append(request)
            return await super().complete(request)

    model = Watched([Rule(('["a", "b"]',), purpose="step"), Rule((found.completion,))], features=frozenset({"schema"}))
    trace = await Interpreter(model, exercise.operators, Settings()).run(question.workflow, exercise.tasks[0])
    assert asked[-1].messages == found.prompt
    assert trace.steps[1].label == "no"
    bare = await row(exercise, question, 0, reasons=False)
    assert bare.completion == "no"
    assert "reason" not in bare.prompt[-1].text


async def test_labels_agree_with_what_the_prompt_shows() -> None:
    seen = set()
    for split, worded in DRAWN:
        mine = [item for item in EXERCISES if item.domain == worded.domain.id and item.split == split]
        for found in await rows(worded, mine, 30, 1):
            text, asked, label = found.texts[0], _asked(found), _answer(found)
            seen.add(asked.split()[1])
            listed = json.loads(found.texts[1]) if len(found.texts) > 1 else []
            if asked.startswith("What does"):
                assert label in text
            elif "among the provided" in asked:
                assert (label == "yes") == all(name in found.operators for name in listed)
            elif asked.startswith("Does the task ask for"):
                form = asked.split("ask for ")[1].split("?")[0]
                assert (label == "yes") == (f"in {form}" in text or f"into {form}" in text)
            elif asked.startswith("Is anything"):
                defect = asked.split("gives ")[1].split("?")[0]
                assert (label == "yes") == (defect in text or worded.defects[defect][1] in text)
    assert seen == {"does", "every", "the", "anything", "each"}


async def test_yes_and_no_are_about_as_frequent_and_labels_of_choices_stand_anywhere() -> None:
    found = [item for split, worded in DRAWN for item in await rows(worded, _of(worded.domain.id), 30, 2)]
    counts = Counter(_answer(item) for item in found)
    assert 0.35 < counts["yes"] / (counts["yes"] + counts["no"]) < 0.65
    places = Counter(
        _asked(item).rsplit(": ", 1)[1].split(" | ").index(_answer(item))
        for item in found
        if _asked(item).startswith("What does")
    )
    assert len(places) > 1


def _of(domain: str) -> list[Exercise]:
    return [item for item in EXERCISES if item.domain == domain and item.split != "validation_tasks"]


async def test_decisions_stay_in_the_split_of_their_tasks_and_repeat() -> None:
    more = await decisions_of(DRAWN, EXERCISES, PLAN)
    assert more == await decisions_of(DRAWN, EXERCISES, PLAN)
    assert {item.split for item in more} == {"train", "validation", "test"}
    assert leaks(more) == []
    kept = await synthesize([], SearchTeacher(), Terms(), more=more)
    assert {item.form for item in kept.rows} == {"label"}
