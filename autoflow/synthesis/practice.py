"""Tasks over a benchmark's own operators that are none of its tasks: what they ask for stands in its `practice.yaml`.

Drawn are the defects of what is given, the form that is asked for, and the frame of the sentence. Nothing of the
benchmark but its operators is read.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoflow.benchmarks import folder, loader, places
from autoflow.core.benchmark import Benchmark
from autoflow.errors import DataError, UsageError
from autoflow.generator.draft import DraftRequest
from autoflow.generator.for_task import LIMITS, cards_for
from autoflow.operators.library import library
from autoflow.synthesis import environment, phrases
from autoflow.synthesis.exercise import Exercise
from autoflow.synthesis.search import best_plan
from autoflow.synthesis.world import Content, Domain, Effect, Goal, Input, Tool

FILE = "practice.yaml"

_LEAST_FREE = 0.1
# Of the draws that come to a new goal, at the least; below, there are hardly any goals left.


@dataclass(frozen=True, slots=True)
class Wanted:
    """One kind of task."""

    given: Mapping[str, str]
    """Role -> what the task calls it, in the operand order of the first maker."""

    make: Mapping[str, str]
    """Operator -> the words that it is there for, in the order in which they run."""

    defects: bool
    """Whether what is given may have any; `False`: the first input has none."""


def exercises(name: str, count: int, seed: int) -> Iterator[Exercise]:
    """`count` exercises of the split `train`, no two with the same goal; fewer where there are not as many goals.

    Raises:
        UsageError: If the benchmark has no such file.
        DataError: If it does not fit the operators, with file and line.
    """
    file = folder.open_folder(name, {}).path / FILE
    if not file.is_file():
        raise UsageError(f"benchmark {name!r} has no {FILE}", hint="--benchmark NAME takes its train tasks instead")
    benchmark = loader.load(name)
    domain, kinds = _read(file, benchmark)
    rng = random.Random(f"practice/{seed}/{name}")  # noqa: S311  no secret
    seen: set[Goal] = set()
    tried = 0
    while len(seen) < count and len(seen) >= _LEAST_FREE * (tried - count):
        tried += 1
        wanted = rng.choice(kinds)
        goal, text, reasons = _draw(domain, wanted, rng)
        if goal in seen:
            continue
        plan = best_plan(domain, goal, max_steps=LIMITS.max_steps - 2)
        if not plan:
            continue
        seen.add(goal)
        task = environment.task(f"{domain.id}/{len(seen)}", text, goal)
        yield Exercise(
            id=task.id,
            split="train",
            domain=domain.id,
            request=DraftRequest(task.text, cards_for(benchmark), scope="task", limits=LIMITS),
            operators={**library(), **environment.operators(domain)},
            scorer=environment.PlanScorer(domain),
            tasks=(task,),
            plan=plan,
            reasons=tuple(reasons[tool] for tool in plan),
        )


def _draw(domain: Domain, wanted: Wanted, rng: random.Random) -> tuple[Goal, str, dict[str, str]]:
    names = list(wanted.make)
    makers = [_tool(domain, name) for name in names]
    inputs: list[Input] = []
    phrased: list[str] = []
    reasons = dict(wanted.make)
    for place, (kind, called) in enumerate(zip(makers[0].inputs, wanted.given.values(), strict=True)):
        there = [tool for tool in domain.tools if tool.effect == "repair" and tool.inputs == (kind,)]
        marred = [tool for tool in there if rng.random() < 0.5] if wanted.defects or place else []
        reasons |= {tool.name: tool.value for tool in marred}
        inputs.append(Input(kind, tuple(tool.value for tool in marred)))
        phrased.append(" ".join([*(tool.value for tool in marred), called]))
    # A question is named after what it is about.
    order = sorted(range(len(inputs)), key=lambda place: list(wanted.given)[place] == "query")
    content: Content = (names[0], tuple(range(len(inputs))))
    for name in names[1:]:
        content = (name, (content,))
    output = makers[-1].output
    usual = domain.forms.get(output)
    others = [tool for tool in domain.tools if tool.effect == "form" and tool.output == output]
    tool = rng.choice([*others, None]) if others else None
    form = usual if tool is None else tool.value
    if tool is not None:
        reasons[tool.name] = f"in {form}"
    wish = wanted.make[names[-1]] + ("" if form is None else f" in {form}")
    text = phrases.one(rng, "tasks", "frames", given=" and ".join(phrased[place] for place in order), wish=wish)
    return Goal(tuple(inputs), content, output, form), text, reasons


def _tool(domain: Domain, name: str) -> Tool:
    tool = domain.tool(name)
    assert tool is not None  # noqa: S101  checked when the file was read
    return tool


def _read(file: Path, benchmark: Benchmark) -> tuple[Domain, list[Wanted]]:
    placed = places.read(file)
    try:
        effects, forms = dict(placed.value["effects"]), dict(placed.value["forms"])
        kinds = [
            Wanted(dict(item["given"]), dict(item["make"]), bool(item.get("defects", True)))
            for item in placed.value["tasks"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: needs effects, forms and tasks, each of them with given and make: {error}") from error
    tools = [replace(tool, **_effect(effects.get(tool.name, {}))) for tool in map(_made, benchmark.operators.values())]
    known = {tool.name: tool for tool in tools}
    for name in effects:
        if name not in known:
            raise placed.error(("effects", name), f"{benchmark.name} has no operator {name!r}")
    for number, wanted in enumerate(kinds):
        _check(placed, ("tasks", number), wanted, known)
    return Domain(f"practice-{benchmark.name}", tuple(tools), forms), kinds


def _made(operator: Any) -> Tool:
    card = operator.card
    return Tool(card.name, card.description, tuple(card.inputs), card.output, "make")


def _effect(stated: Mapping[str, str]) -> dict[str, Any]:
    effects: Sequence[Effect] = ("repair", "form")
    return next(({"effect": effect, "value": stated[effect]} for effect in effects if effect in stated), {})


def _check(placed: places.PlacedYaml, at: tuple[str | int, ...], wanted: Wanted, known: Mapping[str, Tool]) -> None:
    before: Tool | None = None
    for name in wanted.make:
        tool = known.get(name)
        if tool is None or tool.effect != "make":
            raise placed.error((*at, "make"), f"{name!r} is no operator that makes something")
        if before is None and len(tool.inputs) != len(wanted.given):
            raise placed.error((*at, "given"), f"{name} takes {len(tool.inputs)} inputs")
        if before is not None and tool.inputs != (before.output,):
            raise placed.error((*at, "make"), f"{name} does not take what {before.name} gives")
        before = tool
    if before is None:
        raise placed.error((*at, "make"), "names no operator")
