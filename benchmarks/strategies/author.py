"""A simulated generator: it reads the prompt, whoever wrote it, and answers in the form that is asked for.

Its competence is the same for every strategy, since the text is all it knows:

- It notices what the prompt shows. What a step or an answer reports as left undone tells it exactly what is missing; a
  failing task tells it what such tasks have, of which it takes up one thing that the workflow does not mention.
- It pays attention to that with probability `ATTENTION`, and otherwise changes something that does not matter. It makes
  one change where one modification is asked for, else one to three.
- It finds the words that work with probability `WORDING`, and the right step with `PLACE` if nobody names it.
- Told only that orders are long or smudged, it thinks of voting or of a check with `INSIGHT`; a prompt that says what
  kind of fault it is gives it the idea.
- Asked which step is at fault, it is right with `judgement` where a step's result shows it.
- Writing a workflow down again, it loses each rule with probability `FORGETS`.
- A share `invalid` of its drafts and patches cannot be used, and it insists on them when asked to put them right.
"""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from world import LONG, NEEDS, SMUDGED, Need, role_of

from autoflow.core.model import Feature, Message, Reply, Request, Usage
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.dump import dump

ATTENTION = 0.75
WORDING = 0.75
PLACE = 0.6
INSIGHT = 0.5
JUDGEMENT = 0.8
FORGETS = 0.02

ALL = (*NEEDS, LONG, SMUDGED)
CHECK = "Check the lines against the order and clear up smudges."
NOWHERE = "a step that is not there"
IDLE = ("Be careful.", "Work neatly.", "Take your time.", "Use all that is known.", "Keep the order in mind.")

_YAML = re.compile(r"^autoflow: 1\n(?:(?:(?:name|description|inputs|steps):| )[^\n]*\n?)+", re.MULTILINE)
_SCORE = re.compile(r"scored (\d\.\d+)")
_TASK = re.compile(r"^ *- task: (?P<task>[^\n]*)\n +answer: (?P<answer>[^\n]*)", re.MULTILINE)
_FINDING = re.compile(
    r'^- task: (?P<task>[^\n]*)\n  step "(?P<step>[^"]*)" is at fault \((?P<fault>\w+)\): (?P<why>[^\n]*)\n'
    r"  its result: (?P<result>[^\n]*)",
    re.MULTILINE,
)
_VISIT = re.compile(
    r"^(?P<label>\d+\. [^\n]*) \([^()\n]*\)\n  instruction: [^\n]*\n  result: (?P<result>[^\n]*)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Clue:
    """Something that the prompt lets one notice."""

    need: Need
    step: str | None = None
    """Where, if the prompt says so."""

    fault: str | None = None


class Author:
    """The generator model."""

    name = "synthetic/author"
    features: frozenset[Feature] = frozenset()

    def __init__(self, seed: int = 0, *, invalid: float = 0.0, judgement: float = JUDGEMENT) -> None:
        self._seed = seed
        self._invalid = invalid
        self._judgement = judgement
        self.calls = 0

    async def complete(self, request: Request) -> Reply:
        """What the author writes."""
        self.calls += 1
        texts = [turn.text for turn in request.messages]
        seed = hashlib.sha256(repr((self._seed, texts, request.sample, request.sampling.seed)).encode()).hexdigest()
        rng = random.Random(seed)
        text = self._answer(request.messages, rng)
        read = sum(map(len, texts)) // 4
        written = len(text) // 4 + 1
        usage = Usage(read, written, cost_usd=(read + 4 * written) * 1e-6)
        return Reply(text, self.name, usage, seconds=1 + written / 50, finish="stop")

    def _answer(self, turns: Sequence[Message], rng: random.Random) -> str:
        last = turns[-1].text
        if any(sign in last for sign in ("cannot be used", "cannot be made", "That does not fit")):
            before = turns[-2].text
            if NOWHERE in before or "{" in before[:1]:
                return before
            return _fenced(self._edited(_only(before), turns, rng, 1))
        if "What the steps did, in order:" in last:
            return self._blame(last, rng)
        if "then the edits" in last:
            return self._patch(last, rng)
        return self._draft(turns, rng)

    async def aclose(self) -> None:
        """Nothing is held."""

    # -- whole workflows

    def _draft(self, turns: Sequence[Message], rng: random.Random) -> str:
        last = turns[-1].text
        base = _base(turns)
        if base is None:
            base = Workflow("draft", (Step("answer", "terminal", "Solve the task."),))
        count = 1 if "exactly one modification" in last else rng.choice((1, 2, 3))
        made = self._edited(base, turns, rng, count)
        made = replace(made, steps=tuple(_retold(step, rng) for step in made.steps))
        text = _fenced(made)
        if rng.random() < self._invalid:
            text = text.replace("instruction:", f"next: {NOWHERE}\n    instruction:", 1)
        said = re.search(r"Write the (\w+) first", last)
        return f"{_changes(base, made)}\n\n{text}" if said else text

    def _edited(self, base: Workflow, turns: Sequence[Message], rng: random.Random, count: int) -> Workflow:
        clues = _clues(turns, base)
        made = base
        for _ in range(count):
            clue = self._chosen(clues, rng)
            made = self._idle(made, rng) if clue is None else self._mended(made, clue, rng)
            clues = [other for other in clues if clue is None or other.need != clue.need]
        return made

    def _chosen(self, clues: Sequence[Clue], rng: random.Random) -> Clue | None:
        if not clues or rng.random() >= ATTENTION:
            return None
        return rng.choice(clues)

    def _mended(self, flow: Workflow, clue: Clue, rng: random.Random) -> Workflow:
        """The workflow with something done about what was noticed."""
        need, step = clue.need, _place(flow, clue, rng)
        knows = clue.fault in {"operator", "wiring"} or rng.random() < INSIGHT
        if need is LONG and knows and step.operator != "ensemble":
            return _with(flow, replace(step, operator="ensemble"))
        if need is SMUDGED and knows:
            return _inserted(flow, step, clue, rng)
        if need in {LONG, SMUDGED} or rng.random() >= WORDING:
            return _with(flow, replace(step, instruction=f"{step.instruction} Mind {need.name} orders."))
        return _with(flow, replace(step, instruction=f"{step.instruction} {need.rule}"))

    def _idle(self, flow: Workflow, rng: random.Random) -> Workflow:
        step = rng.choice(flow.steps)
        return _with(flow, replace(step, instruction=f"{step.instruction} {rng.choice(IDLE)}"))

    # -- patches

    def _patch(self, text: str, rng: random.Random) -> str:
        base = _only(text)
        most = int(re.search(r"at most (\d+) edits", text)[1])  # type: ignore[index]
        clues = []
        for found in _FINDING.finditer(text):
            shown = f"{found['why']} {found['result']}"
            clues += [Clue(need, found["step"], found["fault"]) for need in ALL if need.undone in shown]
        clues = list({(clue.need.name, clue.step): clue for clue in clues}.values())
        made, edits, named = base, [], []
        for _ in range(min(most, max(1, len(clues)))):
            clue = self._chosen(clues, rng)
            after = self._idle(made, rng) if clue is None else self._mended(made, clue, rng)
            edits += _edits(made, after, rng)
            made = after
            named.append("nothing in particular" if clue is None else clue.need.undone)
            clues = [other for other in clues if clue is None or other.need != clue.need]
        edits = _last_of_each(edits)[:most]
        if rng.random() < self._invalid:
            edits = [{"op": "rewire", "step": NOWHERE, "to": NOWHERE}]
        return json.dumps({"why": "; ".join(named), "edits": edits})

    # -- blame

    def _blame(self, text: str, rng: random.Random) -> str:
        allowed = set(re.findall(r"\d+\. [^\"\n(]+(?=\")", text[text.index("JSON Schema") :]))
        visits = [found for found in _VISIT.finditer(text) if found["label"] in allowed]
        guilty = [found for found in visits if any(need.undone in found["result"] for need in ALL)]
        if guilty and rng.random() < self._judgement:
            visit = guilty[0]
            missing = [need for need in ALL if need.undone in visit["result"]]
            better = visit["result"]
            for need in missing:
                better = better.replace(need.undone, need.done)
            kinds = {"operator" if need is LONG else "wiring" if need is SMUDGED else "instruction" for need in missing}
            why, fault = "; ".join(need.undone for need in missing), sorted(kinds)[0]
        else:
            visit = rng.choice(visits)
            why, better, fault = "it could be better", visit["result"], "instruction"
        return json.dumps({"why": why, "step": visit["label"], "fault": fault, "result": better})


# -- reading


def _base(turns: Sequence[Message]) -> Workflow | None:
    """The workflow that a reader would build on: the last of a conversation, else the best of those with a score."""
    for turn in reversed(turns):
        if turn.role == "assistant" and (found := _YAML.findall(turn.text)):
            try:
                return parse(found[-1]).workflow
            except WorkflowError:
                # Its own draft that cannot be used: it goes back to what it built on.
                continue
    scored = []
    for turn in turns:
        if turn.role != "user":
            continue
        text = _unpacked(turn.text)
        for found in _YAML.finditer(text):
            before = text[: found.start()].rstrip().rpartition("\n")[2]
            after = text[found.end() : found.end() + 120].lstrip()
            score = _SCORE.search(before) or _SCORE.match(after.removeprefix("It "))
            if score is not None:
                scored.append((float(score[1]), found[0]))
    if not scored:
        return None
    return parse(max(scored, key=lambda pair: pair[0])[1]).workflow


def _unpacked(text: str) -> str:
    """The text with the workflows of a JSON list written out, each under its score."""
    start = text.find("[{")
    if start < 0:
        return text
    try:
        items, end = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return text
    parts = [f"scored {item.get('score')}:\n{item['workflow']}\n" for item in items if "workflow" in item]
    return text[:start] + "\n".join(parts) + text[start + end :]


def _only(text: str) -> Workflow:
    found = _YAML.search(text)
    if found is None:
        raise WorkflowError("the prompt shows no workflow")
    return parse(found[0]).workflow


def _clues(turns: Sequence[Message], base: Workflow) -> list[Clue]:
    """What is left undone where the prompt shows it, else what failing tasks have and the workflow does not mention."""
    text = "\n".join(turn.text for turn in turns if turn.role == "user")
    cases = list(_TASK.finditer(text))
    undone = {need.name: Clue(need) for need in ALL for case in cases if need.undone in case["answer"]}
    if undone:
        return list(undone.values())
    told = "\n".join(step.instruction for step in base.steps)
    shown = "\n".join(case["task"] for case in cases) or text
    clues = []
    for need in ALL:
        if need.rule and need.rule in told:
            continue
        # What the workflow has a word on already is half as suspect, and what more tasks have is more.
        weight = shown.count(need.phrase) * (1 if need.name in told else 2)
        clues += [Clue(need)] * weight
    return clues


def _place(flow: Workflow, clue: Clue, rng: random.Random) -> Step:
    for step in flow.steps:
        if step.name == clue.step:
            return step
    role = "work" if clue.need is SMUDGED else clue.need.role
    right = [step for step in flow.steps if role_of(step.instruction) in {role, "all"}]
    return rng.choice(right) if right and rng.random() < PLACE else rng.choice(flow.steps)


# -- writing


def _with(flow: Workflow, step: Step) -> Workflow:
    return replace(flow, steps=tuple(step if other.name == step.name else other for other in flow.steps))


def _inserted(flow: Workflow, place: Step, clue: Clue, rng: random.Random) -> Workflow:
    """A check before the step; after it, where the step was named as the one at fault."""
    before = place.next if clue.step is not None and place.next is not None else place.name
    name = "check"
    while name in {step.name for step in flow.steps}:
        name += " again"
    steps: list[Step] = []
    for step in flow.steps:
        if step.name == before:
            steps.append(Step(name, "process", CHECK, next=before))
        steps.append(replace(step, next=name) if step.next == before else step)
    return replace(flow, steps=tuple(steps))


def _retold(step: Step, rng: random.Random) -> Step:
    text = step.instruction
    for need in NEEDS:
        if need.rule in text and rng.random() < FORGETS:
            text = " ".join(text.replace(need.rule, "").split())
    return replace(step, instruction=text)


def _edits(before: Workflow, after: Workflow, rng: random.Random) -> list[dict[str, Any]]:
    old = {step.name: step for step in before.steps}
    edits: list[dict[str, Any]] = []
    for step in after.steps:
        if step.name not in old:
            edits.append(
                {
                    "op": "insert_step",
                    "before": step.next,
                    "name": step.name,
                    "operator": step.operator,
                    "instruction": step.instruction,
                }
            )
        elif step.operator != old[step.name].operator:
            edits.append({"op": "swap_operator", "step": step.name, "operator": step.operator})
        elif step.instruction != old[step.name].instruction:
            text = _retold(step, rng).instruction
            edits.append({"op": "replace_instruction", "step": step.name, "instruction": text})
    return edits


def _last_of_each(edits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of several new instructions of one step, the last says all."""
    kept = {(edit["op"], edit.get("step", edit.get("name"))): edit for edit in edits}
    return list(kept.values())


def _fenced(flow: Workflow) -> str:
    return f"```yaml\n{dump(flow)}```"


def _changes(before: Workflow, after: Workflow) -> str:
    old = {step.name: step for step in before.steps}
    changed = [step for step in after.steps if old.get(step.name) != step and step.instruction]
    return "Change " + "; ".join(f"{step.name} ({step.operator}): {step.instruction[-60:]}" for step in changed)
