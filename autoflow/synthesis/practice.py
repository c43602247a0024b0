"""Tasks over a benchmark's own operators that it does not hold out: what they ask for stands in its `practice.yaml`.

Drawn are the defects of what is given, the form that is asked for, and the frame of the sentence. Tasks of the train
split, which the file words too, come in several frames. Nothing of the benchmark but its operators is read.
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
from autoflow.synthesis.signed import in_order
from autoflow.synthesis.world import Content, Domain, Effect, Goal, Input, Tool

FILE = "practice.yaml"

_LEAST_FREE = 0.1
# Of the draws that come to something new, at the least; below, there is hardly anything left.


@dataclass(frozen=True, slots=True)
class Wanted:
    """One kind of task."""

    given: Mapping[str, str]
    """Role -> what the task calls it, in the operand order of the first maker."""

    make: Mapping[str, str]
    """Operator -> the words that it is there for, in the order in which they run."""

    defects: bool | Sequence[str]
    """Whether what is given may have any; `False`: the first input has none. Names: the first has exactly these."""

    ask: str = ""
    """What a task that makes nothing asks for."""

    form: str | None = None
    """That is asked for, where it is not drawn."""


def exercises(name: str, count: int, seed: int, *, train: bool = False, signatures: bool = False) -> Iterator[Exercise]:
    """`count` exercises of the split `train`, no two with the same goal; fewer where there are not as many.

    Args:
        train: Word the tasks of the benchmark's train split instead: no two have the same text.
        signatures: Have each reason say what its tool takes and gives.

    Raises:
        UsageError: If the benchmark has no such file.
        DataError: If it does not fit the operators, with file and line.
    """
    file = folder.open_folder(name, {}).path / FILE
    if not file.is_file():
        raise UsageError(f"benchmark {name!r} has no {FILE}", hint="--benchmark NAME takes its train tasks instead")
    benchmark = loader.load(name)
    domain, kinds = _read(file, benchmark, "train" if train else "tasks")
    rng = random.Random(f"practice/{seed}/{name}")  # noqa: S311  no secret
    seen: set[Goal | str] = set()
    tried = 0
    while kinds and len(seen) < count and len(seen) >= _LEAST_FREE * (tried - count):
        tried += 1
        wanted = rng.choice(kinds)
        goal, text, reasons = _draw(domain, wanted, rng)
        # There are few train tasks, so each comes in several sentences.
        new = text if train else goal
        if new in seen:
            continue
        plan = best_plan(domain, goal, max_steps=LIMITS.max_steps - 2)
        if not plan:
            continue
        seen.add(new)
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
            reasons=in_order(domain, goal, plan, reasons, list(wanted.given.values()), signatures=signatures),
        )


def _draw(domain: Domain, wanted: Wanted, rng: random.Random) -> tuple[Goal, str, dict[str, str]]:
    names = list(wanted.make)
    makers = [_tool(domain, name) for name in names]
    types = makers[0].inputs if makers else tuple(wanted.given)
    inputs: list[Input] = []
    phrased: list[str] = []
    reasons = dict(wanted.make)
    for place, (kind, called) in enumerate(zip(types, wanted.given.values(), strict=True)):
        marred = _marred(domain, kind, wanted.defects if place == 0 else True, rng)
        reasons |= {tool.name: tool.value for tool in marred}
        inputs.append(Input(kind, tuple(tool.value for tool in marred)))
        phrased.append(" ".join([*(tool.value for tool in marred), called]))
    # A question is named after what it is about.
    order = sorted(range(len(inputs)), key=lambda place: list(wanted.given)[place] == "query")
    content: Content = (names[0], tuple(range(len(inputs)))) if names else 0
    for name in names[1:]:
        content = (name, (content,))
    output = makers[-1].output if makers else types[0]
    form = _form(domain, output, rng) if wanted.form is None else wanted.form
    reasons |= {tool.name: f"in {form}" for tool in domain.tools if tool.effect == "form" and tool.value == form}
    wish = (wanted.make[names[-1]] if names else wanted.ask) + ("" if form is None else f" in {form}")
    text = phrases.one(rng, "tasks", "frames", given=" and ".join(phrased[place] for place in order), wish=wish)
    return Goal(tuple(inputs), content, output, form), text, reasons


def _marred(domain: Domain, kind: str, defects: bool | Sequence[str], rng: random.Random) -> list[Tool]:
    there = [tool for tool in domain.tools if tool.effect == "repair" and tool.inputs == (kind,)]
    if isinstance(defects, bool):
        return [tool for tool in there if rng.random() < 0.5] if defects else []
    return [tool for tool in there if tool.value in defects]


def _form(domain: Domain, output: str, rng: random.Random) -> str | None:
    """The form that comes by itself, or one that a tool gives, each as likely."""
    others = [tool.value for tool in domain.tools if tool.effect == "form" and tool.output == output]
    usual = domain.forms.get(output)
    return rng.choice([*others, usual]) if others else usual


def _tool(domain: Domain, name: str) -> Tool:
    tool = domain.tool(name)
    assert tool is not None  # noqa: S101  checked when the file was read
    return tool


def _read(file: Path, benchmark: Benchmark, part: str = "tasks") -> tuple[Domain, list[Wanted]]:
    """The domain, and the kinds of tasks in one part of the file."""
    placed = places.read(file)
    try:
        effects, forms = dict(placed.value["effects"]), dict(placed.value["forms"])
        kinds = [_wanted(item) for item in placed.value.get(part, ())]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: needs effects, forms and tasks, each of them with given and make: {error}") from error
    tools = [replace(tool, **_effect(effects.get(tool.name, {}))) for tool in map(_made, benchmark.operators.values())]
    known = {tool.name: tool for tool in tools}
    for name in effects:
        if name not in known:
            raise placed.error(("effects", name), f"{benchmark.name} has no operator {name!r}")
    for number, wanted in enumerate(kinds):
        _check(placed, (part, number), wanted, known)
    return Domain(f"{'worded' if part == 'train' else 'practice'}-{benchmark.name}", tuple(tools), forms), kinds


def _wanted(item: Mapping[str, Any]) -> Wanted:
    return Wanted(
        dict(item["given"]),
        dict(item.get("make", {})),
        item.get("defects", True),
        item.get("ask", ""),
        item.get("form"),
    )


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
    if before is None and (not wanted.ask or len(wanted.given) != 1):
        raise placed.error((*at, "make"), "names no operator, and there is no `ask` for the one thing that is given")
