"""Decisions to learn from: what an interpreter is asked at a branch, and the label that is right.

A question about a made-up task has a known answer. It is put into a workflow, the workflow is run by the real
interpreter with an oracle in the model's place, and the call that asks for the label becomes the row's prompt.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from autoflow.core.model import Feature, Reply, Request
from autoflow.core.workflow import Step, Workflow
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.synthesis.domains import Worded
from autoflow.synthesis.environment import goal_from_json
from autoflow.synthesis.exercise import Exercise
from autoflow.synthesis.rows import Row
from autoflow.synthesis.words import pseudo
from autoflow.synthesis.world import Tool

SOURCE = "rule"
"""Who the labels come from."""

_LIST = Step("list", "process", "List the operators for the task, in order.", next="check")


@dataclass(frozen=True, slots=True)
class Question:
    """A decision with its answer."""

    instruction: str
    labels: tuple[str, ...]
    label: str
    reason: str
    listed: tuple[str, ...] | None = None
    """The operators that a step before it has listed, where it asks about them."""

    @property
    def workflow(self) -> Workflow:
        """A flow that comes to the question; every label leads to an end of its own."""
        ends = [Step(f"end {number}", "terminal") for number in range(1, len(self.labels) + 1)]
        branches = {label: end.name for label, end in zip(self.labels, ends, strict=True)}
        decision = Step("check", "decision", self.instruction, branches=branches)
        return Workflow("decision", (*((_LIST,) if self.listed is not None else ()), decision, *ends))


class _Oracle:
    """Answers a question's flow as it must be answered, and keeps the call for the label."""

    name = "oracle/oracle"

    def __init__(self, question: Question, *, reasons: bool) -> None:
        self.features: frozenset[Feature] = frozenset({"schema"} if reasons else {"labels"})
        self.asked: Request | None = None
        self.said = ""
        self._question = question

    async def complete(self, request: Request) -> Reply:
        question = self._question
        if request.purpose != "decision":
            return Reply(json.dumps(list(question.listed or ()), ensure_ascii=False), self.name)
        self.asked = request
        answer = {"reason": question.reason, "label": question.label}
        self.said = json.dumps(answer, ensure_ascii=False) if request.schema is not None else question.label
        return Reply(self.said, self.name)

    async def aclose(self) -> None:
        """Nothing to release."""


async def row(exercise: Exercise, question: Question, number: int, *, reasons: bool) -> Row:
    """The question over the exercise's task as a row; with `reasons` the answer says why before it gives the label."""
    oracle = _Oracle(question, reasons=reasons)
    workflow = question.workflow
    trace = await Interpreter(oracle, exercise.operators, Settings()).run(workflow, exercise.tasks[0])
    taken = [record.label for record in trace.steps if record.step == "check"]
    if oracle.asked is None or taken != [question.label]:
        raise AssertionError(f"the flow of {question.instruction!r} did not take its label: {trace.failure}")
    listed = () if question.listed is None else (json.dumps(list(question.listed), ensure_ascii=False),)
    return Row(
        id=f"{exercise.id}?{number}",
        split=exercise.split,
        prompt=oracle.asked.messages,
        completion=oracle.said,
        form="label",
        domain=exercise.domain,
        operator_set=exercise.operator_set,
        operators=tuple(card.name for card in exercise.request.cards),
        tasks=(exercise.tasks[0].id,),
        texts=(exercise.tasks[0].text, *listed),
        score=1.0,
        source=SOURCE,
        fingerprint=workflow.fingerprint(),
    )


async def rows(worded: Worded, exercises: Sequence[Exercise], count: int, seed: int) -> list[Row]:
    """`count` decisions over a domain's exercises, as many with a reason as without; fewer where no question fits."""
    rng = random.Random(f"decisions/{seed}/{worded.domain.id}")  # noqa: S311  no secret
    found = []
    for number in range(count if exercises else 0):
        exercise = exercises[number % len(exercises)]
        question = draw(worded, exercise, rng)
        if question is not None:
            found.append(await row(exercise, question, number, reasons=rng.random() < 0.5))
    return found


def draw(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    """A question about the exercise's task, of any kind; `None` where the kind that was drawn does not fit it."""
    kinds: list[Callable[[Worded, Exercise, random.Random], Question | None]] = [
        _defect, _form, _wish, _names, _left_out, _types,
    ]  # fmt: skip
    return rng.choice(kinds)(worded, exercise, rng)


def _yes(holds: bool, instruction: str, yes: str, no: str, listed: Sequence[str] | None = None) -> Question:
    reason = yes if holds else no
    found = None if listed is None else tuple(listed)
    return Question(instruction, ("yes", "no"), "yes" if holds else "no", reason, found)


def _defect(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    goal = goal_from_json(exercise.tasks[0].reference)
    there = {defect for item in goal.inputs for defect in item.defects}
    absent = sorted(set(worded.defects) - there)
    holds = rng.random() < 0.5
    choices = sorted(there) if holds else absent
    if not choices:
        return None
    defect = rng.choice(choices)
    question = f"Is anything that the task gives {defect}?"
    said = dict(zip(exercise.plan or (), exercise.reasons, strict=True))
    word = next((said[tool.name] for tool in worded.domain.tools if tool.value == defect and tool.name in said), defect)
    return _yes(holds, question, f"The task says {word}.", f"The task does not say {defect}.")


def _form(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    forms = [tool.value for tool in worded.domain.tools if tool.effect == "form"]
    wanted = goal_from_json(exercise.tasks[0].reference).form
    holds = wanted in forms and rng.random() < 0.5
    choices = [wanted] if holds else [form for form in forms if form != wanted]
    if not choices:
        return None
    form = str(rng.choice(choices))
    return _yes(holds, f"Does the task ask for {form}?", f"It asks for {form}.", f"It does not ask for {form}.")


def _wish(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    said = dict(zip(exercise.plan or (), exercise.reasons, strict=True))
    wishes = {wish.tool: wish.asked for wish in worded.wishes}
    mine = next((tool for tool in reversed(exercise.plan or ()) if tool in wishes and said[tool] in wishes[tool]), None)
    if mine is None:
        return None
    others = [asked[0] for tool, asked in wishes.items() if tool != mine and not set(asked) & set(wishes[mine])]
    others = sorted(set(others))
    if not others:
        return None
    labels = [said[mine], *rng.sample(others, min(len(others), rng.choice((1, 2, 3))))]
    rng.shuffle(labels)
    return Question("What does the task ask for?", tuple(labels), said[mine], f"The task says: {said[mine]}.")


def _names(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    plan = list(exercise.plan or ())
    holds = rng.random() < 0.5
    if not plan:
        return None
    if not holds:
        known = {tool.name.casefold() for tool in worded.domain.tools}
        name = pseudo(rng, 3).capitalize() if rng.random() < 0.5 else f"{rng.choice(plan)} Plus"
        if name.casefold() in known:
            return None
        plan[rng.randrange(len(plan))] = name
    foreign = next((name for name in plan if worded.domain.tool(name) is None), "")
    question = "Is every operator in the list among the provided models?"
    return _yes(holds, question, "All of them are.", f"{foreign} is not among them.", plan)


def _left_out(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    plan = list(exercise.plan or ())
    said = dict(zip(plan, exercise.reasons, strict=True))
    repairs = [name for name in plan if (tool := worded.domain.tool(name)) is not None and tool.effect == "repair"]
    holds = rng.random() < 0.5
    if not repairs or len(plan) < 2 or len(set(plan)) < len(plan):
        return None
    missing = rng.choice(repairs)
    if not holds:
        plan.remove(missing)
    question = "Does the list mend everything that is wrong with what the task gives?"
    return _yes(holds, question, "Nothing is left out.", f"Nothing in it is for {said[missing]}.", plan)


def _types(worded: Worded, exercise: Exercise, rng: random.Random) -> Question | None:
    plan = list(exercise.plan or ())
    if len(goal_from_json(exercise.tasks[0].reference).inputs) > 1 or len(plan) < 2:
        return None
    if rng.random() < 0.5:
        rng.shuffle(plan)
    wrong = next(_misfits(worded, plan), None)
    question = "Does each operator in the list take what the one before it gives?"
    no = (
        "" if wrong is None else f"{wrong[0].name} gives {wrong[0].output}, {wrong[1].name} takes {wrong[1].inputs[0]}."
    )
    return _yes(wrong is None, question, "Each of them does.", no, plan)


def _misfits(worded: Worded, plan: Sequence[str]) -> Iterator[tuple[Tool, Tool]]:
    tools = [tool for name in plan if (tool := worded.domain.tool(name)) is not None]
    for before, after in pairwise(tools):
        if (before.output,) != after.inputs:
            yield before, after
