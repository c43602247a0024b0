"""Asking a generator for a patch: what it is shown of a workflow and its faults, and how its edits are put right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Message, Model, Request, Sampling
from autoflow.core.operator import Card
from autoflow.core.workflow import Workflow
from autoflow.errors import ReplyError, WorkflowError
from autoflow.generator.draft import answer_of, card_line, written
from autoflow.models.structured import structured
from autoflow.prompts import render
from autoflow.strategies.blame import Fault, Finding, SystemPrompt
from autoflow.strategies.drafting import SMALL, Size
from autoflow.strategies.evidence import clipped, plain
from autoflow.strategies.patches import OPS, Edit, Op, Scope, patch_schema, patched

ROUTES: Mapping[Fault, tuple[Op, ...]] = {
    "instruction": ("replace_instruction", "insert_step"),
    "operator": ("swap_operator", "set_parameter", "replace_instruction"),
    "wiring": (
        "insert_step",
        "insert_check",
        "remove_step",
        "rewire",
        "rewire_branch",
        "set_reads",
        "replace_instruction",
    ),
    "model": ("set_parameter", "set_model", "swap_operator", "insert_step"),
}
"""Which edits can mend which fault."""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding as the generator reads it."""

    task: str
    step: str
    fault: str
    why: str
    result: str
    better: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class PatchPrompt:
    """A workflow, and what is to be mended in it."""

    template: ClassVar[str] = "strategies/evolve_patch.j2"
    description: str
    cards: tuple[str, ...]
    score: str
    text: str
    findings: tuple[ShownFinding, ...]
    failed: tuple[str, ...]
    edits: int


@dataclass(frozen=True, slots=True)
class PatchRequest:
    """What the generator is asked to mend."""

    benchmark: Benchmark
    cards: tuple[Card, ...]
    workflow: Workflow
    score: str
    """What became of it, in words that follow "The workflow"."""

    findings: tuple[Finding, ...]
    failed: tuple[str, ...]
    """Edits that did not help, in words."""

    size: Size
    scope: Scope


@dataclass(frozen=True, slots=True)
class Patch:
    """What came of a request. `workflow` is `None` where the last repair still had errors."""

    workflow: Workflow | None
    edits: tuple[Edit, ...] = ()
    why: str = ""
    text: str = ""
    """What the model wrote last."""

    errors: tuple[str, ...] = ()
    repairs: int = 0


def routed(found: Sequence[Finding], *, free: bool) -> tuple[Op, ...]:
    """The edits that can mend the faults found; all of them where nothing is found, or once edits have failed."""
    if free or not found:
        return OPS
    return tuple(dict.fromkeys(op for item in found for op in ROUTES[item.fault]))


async def patch(model: Model, request: PatchRequest, sampling: Sampling, *, sample: int, repairs: int) -> Patch:
    """Ask for edits; send back what lint has against the result, at most `repairs` times.

    Raises:
        ProviderError, BudgetExhaustedError: From the model.
    """
    schema = patch_schema(request.workflow, request.cards, request.scope)
    opening = (Message("system", render(SystemPrompt())), Message("user", render(prompt(request))))
    messages: tuple[Message, ...] = opening
    attempt = 0
    while True:
        call = Request(messages, sampling, sample=sample + attempt, purpose="patch")
        try:
            value = await structured(model, call, schema)
        except ReplyError as error:
            return Patch(None, text=error.text, errors=(error.message,), repairs=attempt)
        assert isinstance(value, Mapping)  # noqa: S101  the schema says so, and `structured` has checked it
        edits: tuple[Edit, ...] = tuple(value["edits"])  # type: ignore[arg-type]
        text = plain(value)
        try:
            made = patched(request.workflow, edits, request.cards, request.scope)
        except WorkflowError as error:
            wrong = error.message if error.hint is None else f"{error.message} ({' '.join(error.hint.split())})"
            if attempt == repairs:
                return Patch(None, edits, text=text, errors=(wrong,), repairs=attempt)
            attempt += 1
            again = f"These edits cannot be made: {wrong}\nAnswer again with the corrected JSON alone."
            messages = (*opening, Message("assistant", text), Message("user", again))
            continue
        return Patch(made, edits, str(value["why"]), text, repairs=attempt)


def prompt(request: PatchRequest) -> PatchPrompt:
    """As much evidence as the generator can take: failed edits go first, then findings, then descriptions."""
    texts = {task.id: task.text for task in request.benchmark.train}
    chars = 150 if request.size.prompt_chars <= SMALL.prompt_chars else 500
    shown = tuple(
        ShownFinding(
            clipped(texts[item.task], chars),
            item.step,
            item.fault,
            clipped(item.why, chars),
            clipped(plain(item.result), chars),
            "" if item.better is None else clipped(plain(item.better), chars),
            item.confirmed is True,
        )
        for item in request.findings
    )
    full = PatchPrompt(
        description=request.benchmark.description,
        cards=tuple(card_line(card, "yaml", True) for card in request.cards),
        score=request.score,
        text=written(request.workflow, "yaml", answer_of(request.benchmark.baseline)),
        findings=shown,
        failed=request.failed,
        edits=request.scope.max_edits,
    )
    names = tuple(card_line(card, "yaml", False) for card in request.cards)
    levels = [full, replace(full, failed=request.failed[-2:])]
    for cards in (full.cards, names):
        levels += [replace(full, cards=cards, findings=shown[:count], failed=()) for count in range(len(shown), 0, -1)]
    levels.append(replace(full, cards=names, findings=shown[:1], failed=()))
    return next((level for level in levels if len(render(level)) <= request.size.prompt_chars), levels[-1])
