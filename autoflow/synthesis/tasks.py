"""Draws tasks over a domain: a goal, and a sentence that says it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.synthesis import phrases
from autoflow.synthesis.domains import Wish, Worded
from autoflow.synthesis.world import Content, Goal, Input, Tool

_DEFECTS = (0, 1, 1, 2, 2, 3, 3, 4)
"""How many defects an input is given, each count as likely as it stands here."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A task."""

    goal: Goal
    text: str
    reasons: Mapping[str, str]
    """Tool -> the words of the text that it is needed for; of every tool that a plan may need."""

    named: tuple[str, ...]
    """What the text calls each input, in the goal's order."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Which tasks are drawn how often."""

    repairs: float = 0.13
    """Share of tasks that ask for a repaired input and nothing else."""

    forms: float = 0.07
    """Share that ask for another form and nothing else, where the domain has forms."""

    pairs: float = 0.4
    """Of the others, the share that bring two inputs, where the domain has tools for two."""


USUAL = Mix()


def draw(worded: Worded, rng: random.Random, mix: Mix = USUAL) -> Drawn | None:
    """A task; `None` where the draw came to nothing that needs a tool."""
    shape = rng.random()
    if shape < mix.repairs:
        return _repair_only(worded, rng)
    if shape < mix.repairs + mix.forms and worded.domain.forms:
        return _form_only(worded, rng)
    pairs = [wish for wish in worded.wishes if wish.tool in worded.partners]
    single = [wish for wish in worded.wishes if wish.tool not in worded.partners]
    wish = rng.choice(pairs if pairs and rng.random() < mix.pairs else single or pairs)
    tool = worded.domain.tool(wish.tool)
    assert tool is not None  # noqa: S101  wishes are of the domain's tools
    return _made(worded, rng, wish, tool)


def _made(worded: Worded, rng: random.Random, wish: Wish, tool: Tool) -> Drawn:
    kinds = list(tool.inputs)
    parts: list[Content] = list(range(len(kinds)))
    reasons = {}
    before = _bridges(worded, tool) if len(kinds) == 1 else []
    if before and rng.random() < 0.25:
        # The operand itself has to be made first, of a value of another type.
        first = rng.choice(before)
        kinds, parts = [first.inputs[0]], [(first.name, (0,))]
        reasons[first.name] = f"{first.inputs[0]} to {first.output}"
    inputs = tuple(Input(kind, _defects(worded, rng, kind)) for kind in kinds)
    form = _form(worded, rng, tool.output)
    names = [rng.choice(worded.nouns[kind]) for kind in kinds]
    # A task names its main value first, whatever the operand order.
    order = list(range(len(kinds)))
    if tool.name in worded.partners:
        partner, place = worded.partners[tool.name]
        names[place] = partner
        order = [1 - place, place]
    given = " and ".join(_phrase(worded, rng, inputs[index], names[index], reasons) for index in order)
    wished = reasons[tool.name] = rng.choice(wish.asked)
    wished += _in(worded, rng, tool.output, form)
    goal = Goal(inputs, (tool.name, tuple(parts)), tool.output, form)
    return Drawn(goal, _sentence(rng, given, wished), reasons | _of_form(worded, form), tuple(names))


def _bridges(worded: Worded, tool: Tool) -> list[Tool]:
    """Tools that make the operand of `tool` from a value of another type, where the task leaves no doubt that they do.

    No other tool makes the same type of it, and none gives at once what `tool` is wished for.
    """
    makers = [item for item in worded.domain.tools if item.effect == "make" and len(item.inputs) == 1]
    asked = {wish.tool: set(wish.asked) for wish in worded.wishes}
    found = [item for item in makers if item.output == tool.inputs[0] != item.inputs[0]]
    return [
        item
        for item in found
        if sum(other.inputs == item.inputs for other in found) == 1
        and not any(other.inputs == item.inputs and asked[other.name] & asked[tool.name] for other in makers)
    ]


def _repair_only(worded: Worded, rng: random.Random) -> Drawn | None:
    kind = rng.choice(sorted({kind for kind, _ in worded.defects.values()}))
    item = Input(kind, _defects(worded, rng, kind))
    if not item.defects:
        return None
    called = rng.choice(worded.nouns[kind])
    good = phrases.one(rng, "tasks", "good")
    wished = phrases.one(rng, "tasks", "repairs", good=good, called=called)
    goal = Goal((item,), 0, kind, worded.domain.forms.get(kind))
    reasons: dict[str, str] = {}
    return Drawn(goal, _sentence(rng, _phrase(worded, rng, item, called, reasons), wished), reasons, (called,))


def _form_only(worded: Worded, rng: random.Random) -> Drawn | None:
    kind = rng.choice(sorted(worded.domain.forms))
    form = _other(worded, rng, kind)
    if form is None:
        return None
    item, called = Input(kind, _defects(worded, rng, kind)), rng.choice(worded.nouns[kind])
    wished = phrases.one(rng, "tasks", "forms", called=called, form=form)
    reasons: dict[str, str] = {}
    text = _sentence(rng, _phrase(worded, rng, item, called, reasons), wished)
    return Drawn(Goal((item,), 0, kind, form), text, reasons | _of_form(worded, form), (called,))


# -- parts


def _defects(worded: Worded, rng: random.Random, kind: str) -> tuple[str, ...]:
    there = [tool.value for tool in worded.domain.tools if tool.effect == "repair" and tool.inputs == (kind,)]
    chosen = set(rng.sample(there, min(len(there), rng.choice(_DEFECTS))))
    return tuple(defect for defect in there if defect in chosen)


def _other(worded: Worded, rng: random.Random, kind: str) -> str | None:
    """A form that is not the usual one; `None` where no tool gives any."""
    forms = [tool.value for tool in worded.domain.tools if tool.effect == "form" and tool.inputs == (kind,)]
    return rng.choice(forms) if forms else None


def _form(worded: Worded, rng: random.Random, kind: str) -> str | None:
    usual = worded.domain.forms.get(kind)
    return (_other(worded, rng, kind) or usual) if usual is not None and rng.random() < 0.5 else usual


def _in(worded: Worded, rng: random.Random, kind: str, form: str | None) -> str:
    usual = form == worded.domain.forms.get(kind)
    return "" if form is None or (usual and rng.random() < 0.3) else f" in {form}"


def _of_form(worded: Worded, form: str | None) -> dict[str, str]:
    tools = worded.domain.tools
    return {tool.name: f"in {form}" for tool in tools if tool.effect == "form" and tool.value == form}


def _phrase(worded: Worded, rng: random.Random, item: Input, noun: str, reasons: dict[str, str]) -> str:
    """How the task names one input; the words for its defects go into `reasons`."""
    defects = list(item.defects)
    said = {defect: defect for defect in defects}
    if not worded.in_order:
        rng.shuffle(defects)
    usual = worded.domain.forms.get(item.type)
    in_form = f" in {usual}" if usual and rng.random() < 0.15 else ""
    if defects and rng.random() < 0.12:
        said = {defect: worded.defects[defect][1] for defect in defects}
        phrase = f"{noun}{in_form} with {' and '.join(said.values())}"
    else:
        comma = ", " if rng.random() < 0.2 else " "
        phrase = f"{comma.join(defects)} {noun}{in_form}".strip()
    for tool in worded.domain.tools:
        if tool.effect == "repair" and tool.value in said:
            reasons[tool.name] = said[tool.value]
    return phrase


def _sentence(rng: random.Random, given: str, wish: str) -> str:
    return phrases.one(rng, "tasks", "frames", given=given, wish=wish)
