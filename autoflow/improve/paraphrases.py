"""How stable a generator is under other words: the task's description rewritten, and a workflow written for each.

What RobustFlow asks of generators: equal tasks, differently told, should lead to equal workflows. Each workflow is
drafted without evidence and at temperature 0, so that the words are all that differs, and scored on validation.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.model import Message, Request, Sampling
from autoflow.core.strategy import Evaluation, Situation
from autoflow.core.workflow import Workflow
from autoflow.generator.draft import form_of
from autoflow.prompts import render
from autoflow.strategies.drafting import fitted, opening, size_of
from autoflow.strategies.evidence import clipped

REPAIRS = 3
_LONGER = 4
# A text this many times as long as what it says in other words is cut: a weak generator does not stop.
_SHOWN_CHARS = 100


@dataclass(frozen=True, slots=True)
class ParaphrasePrompt:
    """What is asked for other words."""

    template: ClassVar[str] = "generator/paraphrase.j2"
    description: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two workflows are, each part from 0 to 1: F1 between the two as bags."""

    steps: float
    """Of their steps' types and operators."""

    wiring: float
    """Of which kind of step leads to which."""

    words: float
    """Of the words in their instructions."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One description, and what came of it."""

    description: str
    workflow: Workflow | None
    """`None`: no other words were found, or the draft was invalid."""

    errors: tuple[str, ...] = ()
    evaluation: Evaluation | None = None
    """On validation."""

    likeness: Likeness | None = None
    """With the workflow of the description as written; `None` where one of the two is missing."""

    same: bool = False
    """Whether it is that workflow."""

    def to_json(self) -> dict[str, Json]:
        """As a report holds it; `null` is what is not known."""
        like = self.likeness
        return {
            "description": self.description,
            "valid": self.workflow is not None,
            "fingerprint": None if self.workflow is None else self.workflow.fingerprint(),
            "errors": list(self.errors),
            "score": None if self.evaluation is None else self.evaluation.mean,
            "unscored": None if self.evaluation is None else self.evaluation.unscored,
            "alike": None if like is None else {"steps": like.steps, "wiring": like.wiring, "words": like.words},
        }


async def reworded(
    situation: Situation, count: int, *, seed: int, score: Callable[[Workflow], Awaitable[Evaluation]]
) -> list[Wording]:
    """The description as written, then `count` times in other words, each with its workflow and score.

    Raises:
        ProviderError, BudgetExhaustedError: From the generator, or from `score`.
    """
    first = await _written(situation, situation.benchmark.description, seed, score)
    found = [first]
    for number in range(count):
        told = await _told(situation, number, seed)
        if _folded(told) in {"", *(_folded(wording.description) for wording in found)}:
            found.append(Wording(told, None, ("the generator found no other words",)))
            continue
        wording = await _written(situation, told, seed, score)
        if first.workflow is not None and wording.workflow is not None:
            same = wording.workflow.fingerprint() == first.workflow.fingerprint()
            wording = replace(wording, likeness=likeness(first.workflow, wording.workflow), same=same)
        found.append(wording)
    return found


async def _told(situation: Situation, number: int, seed: int) -> str:
    size = size_of(situation.generator)
    text = situation.benchmark.description
    request = Request(
        (Message("user", render(ParaphrasePrompt(text))),),
        Sampling(1.0, 1.0, size.max_tokens, seed),
        sample=number,
        purpose="paraphrase",
    )
    reply = await situation.generator.complete(request)
    return clipped(reply.text, _LONGER * len(text))


async def _written(
    situation: Situation, description: str, seed: int, score: Callable[[Workflow], Awaitable[Evaluation]]
) -> Wording:
    size = size_of(situation.generator)
    told = replace(situation, benchmark=replace(situation.benchmark, description=description))
    request = opening(told, size, sampling=Sampling(0.0, 1.0, size.max_tokens, seed))
    shorter = replace(request, describe_cards=False, examples=())
    form = form_of(situation.generator)
    draft = await fitted(situation.generator, (request, shorter), size, form=form, repairs=REPAIRS)
    if draft.workflow is None:
        return Wording(description, None, draft.errors)
    return Wording(description, draft.workflow, evaluation=await score(draft.workflow))


def likeness(a: Workflow, b: Workflow) -> Likeness:
    """How alike two workflows are; 1 in every part for equal ones."""
    return Likeness(*(_f1(one, other) for one, other in zip(_bags(a), _bags(b), strict=True)))


def _bags(workflow: Workflow) -> tuple["Counter[object]", "Counter[object]", "Counter[object]"]:
    kinds = {step.name: (step.type, step.operator) for step in workflow.steps}
    links = [(kinds[step.name], kinds[target]) for step in workflow.steps for target in step.targets()]
    words = [word for step in workflow.steps for word in step.instruction.casefold().split()]
    return Counter(kinds.values()), Counter(links), Counter(words)


def _f1(a: "Counter[object]", b: "Counter[object]") -> float:
    count = a.total() + b.total()
    return 2 * (a & b).total() / count if count else 1.0


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def lines(wordings: Sequence[Wording]) -> list[str]:
    """What a report says of them, a line each and one in sum."""
    if not wordings:
        return []
    first, *others = wordings
    said = [f"the task's description in {len(others)} other words, a workflow drafted for each:"]
    said.append(f"  as written: {_said(first)}")
    for number, wording in enumerate(others, 1):
        like = wording.likeness
        alike = (
            ""
            if like is None
            else f"; alike in steps {like.steps:.2f}, wiring {like.wiring:.2f}, words {like.words:.2f}"
        )
        said.append(f'  {number}: {_said(wording)}{alike}; "{clipped(wording.description, _SHOWN_CHARS)}"')
    return [*said, f"  {_summed(first, others)}"]


def _said(wording: Wording) -> str:
    if wording.workflow is None:
        return f"no workflow ({clipped(wording.errors[0], _SHOWN_CHARS) if wording.errors else 'no draft'})"
    mean = None if wording.evaluation is None else wording.evaluation.mean
    return "no score" if mean is None else f"{mean:.3f}"


def _summed(first: Wording, others: Sequence[Wording]) -> str:
    valid = [wording for wording in others if wording.workflow is not None]
    parts = [f"{len(valid)} of {len(others)} led to a workflow, {sum(item.same for item in valid)} to the same one"]
    likes = [item.likeness for item in valid if item.likeness is not None]
    if likes:
        steps, wiring = fmean(item.steps for item in likes), fmean(item.wiring for item in likes)
        words = fmean(item.words for item in likes)
        parts.append(f"alike on average in steps {steps:.2f}, wiring {wiring:.2f}, words {words:.2f}")
    means = [item.evaluation.mean for item in valid if item.evaluation is not None]
    scores = [mean for mean in means if mean is not None]
    if scores:
        spread = f" (sd {stdev(scores):.3f})" if len(scores) > 1 else ""
        parts.append(
            f"score {fmean(scores):.3f}{spread}, from {min(scores):.3f} to {max(scores):.3f}; as written {_said(first)}"
        )
    return "; ".join(parts)
