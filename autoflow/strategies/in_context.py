"""`in-context`: the generator is shown earlier workflows with their train scores and failing tasks, and asked for a
better one. AutoFlow's method for closed models (arXiv:2407.12821), with cards, lint, repair and bounded history added.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, cast, get_args

from autoflow.core.json import Json
from autoflow.core.model import Model, Sampling
from autoflow.core.strategy import Evaluation, Proposal, Situation, TaskResult, Trial
from autoflow.errors import ProviderError, UsageError
from autoflow.generator.draft import Draft, DraftRequest, Form, Limits, answer_of, conversation, draft, form_of, written
from autoflow.prompts import render

MAX_CANDIDATES = 1000
"""Bound on candidates a round; sample indices are counted on it."""

_TASK_CHARS = 500
_ANSWER_CHARS = 200
_ERROR_CHARS = 160


@dataclass(frozen=True, slots=True)
class Size:
    """How much a generator is shown and may write."""

    prompt_chars: int
    max_tokens: int
    max_steps: int
    max_instruction_chars: int


LARGE = Size(prompt_chars=24_000, max_tokens=2000, max_steps=10, max_instruction_chars=400)
SMALL = Size(prompt_chars=4_900, max_tokens=600, max_steps=6, max_instruction_chars=100)
"""For a context of about 2,000 tokens."""

_TOO_LONG = (400, 413)
# What providers answer to a prompt beyond the model's context.


@dataclass(frozen=True, slots=True)
class FailingTask:
    """A train task below full score, without its reference."""

    text: str
    answer: str
    score: str
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier workflow as the generator sees it."""

    title: str
    text: str
    """The workflow; empty where it is shown elsewhere."""

    failing: tuple[FailingTask, ...] = ()


@dataclass(frozen=True, slots=True)
class EvidencePrompt:
    """Earlier workflows and what became of them."""

    template: ClassVar[str] = "strategies/in_context.j2"
    attempts: tuple[Attempt, ...]
    unusable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InContext:
    """The options, as on the command line."""

    name: ClassVar[str] = "in-context"

    rounds: int = 10
    candidates: int = 1
    """Drafts a round."""

    repairs: int = 3
    """How often the errors of a draft go back to the generator."""

    history: int = 3
    """Latest attempts shown, besides the hand-written workflow and the best."""

    failing: int = 3
    """Failing train tasks shown for each."""

    examples: int = 2
    """Train tasks shown as examples."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    """Length of a draft. `None`, here and in the next three: `SMALL` for a generator that takes grammars, which is one
    that runs in this process with a small context; `LARGE` for any other."""

    max_steps: int | None = None
    max_instruction_chars: int | None = None
    prompt_chars: int | None = None
    """Bound on the prompt of a draft: beyond it, failing tasks and then attempts are left out, oldest first."""

    form: str = "auto"
    """How the generator writes: `outline` (a straight list of steps), `json`, `yaml`; `auto`: what suits it, see
    `autoflow.generator.draft.form_of`."""

    tool_steps: bool = True
    """Whether a step may be carried out by a tool operator; False where tools are only to be named."""

    def __post_init__(self) -> None:
        may_be_zero = {"repairs", "history", "failing", "examples", "temperature"}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "form":
                if value != "auto" and value not in get_args(Form):
                    raise UsageError(f"strategy option form must be auto, {', '.join(get_args(Form))}, not {value!r}")
                continue
            if item.name == "tool_steps":
                if not isinstance(value, bool):
                    raise UsageError(f"strategy option {item.name} must be true or false, not {value!r}")
                continue
            if value is None and item.default is None:
                continue
            kinds = (int, float) if isinstance(item.default, float) else (int,)
            if type(value) not in kinds or value < 0 or (value == 0 and item.name not in may_be_zero):
                kind = "a number" if len(kinds) > 1 else "a whole number"
                least = "of at least 0" if item.name in may_be_zero else "above 0"
                raise UsageError(f"strategy option {item.name} must be {kind} {least}, not {value!r}")
        if self.candidates > MAX_CANDIDATES:
            raise UsageError(f"strategy option candidates is at most {MAX_CANDIDATES}, not {self.candidates}")

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next round's drafts, in order; none after the last round.

        Raises:
            ProviderError, BudgetExhaustedError: From the generator.
        """
        if situation.round > self.rounds:
            return ()
        best = best_trial(situation.trials)
        # Drawn before any call, so that the order in which calls return changes nothing.
        seeds = [situation.rng.randrange(2**31) for _ in range(self.candidates)]
        # All finish before an error passes on: what was paid for is on record when the run resumes.
        drafts = await asyncio.gather(
            *(self._draft(situation, index, seed) for index, seed in enumerate(seeds)), return_exceptions=True
        )
        proposals = []
        for found in drafts:
            if isinstance(found, BaseException):
                raise found
            proposals.append(
                Proposal(
                    workflow=found.workflow,
                    text=found.text,
                    reason="first draft" if best is None else f"refines {best.id}, {_scored(best.train)}",
                    parent=None if best is None else best.id,
                    errors=found.errors,
                    repairs=found.repairs,
                )
            )
        return proposals

    async def _draft(self, situation: Situation, index: int, seed: int) -> Draft:
        """One draft, on as much evidence as fits into `prompt_chars` and the model takes."""
        size = self._size(situation.generator)
        form = form_of(situation.generator) if self.form == "auto" else cast("Form", self.form)
        levels = _levels(self.history, self.failing)
        for level in levels:
            request = self._request(situation, self._evidence(situation, form, level), size, index, seed)
            request = replace(request, describe_cards=level.describe_cards)
            chars = sum(len(turn.text) for turn in conversation(request, form))
            if chars > size.prompt_chars and level != levels[-1]:
                continue
            try:
                return await draft(situation.generator, request, repairs=self.repairs, form=form)
            except ProviderError as error:
                # Characters only estimate tokens. A model that finds the prompt too long gets a shorter one.
                if error.status not in _TOO_LONG or level == levels[-1]:
                    raise
        raise AssertionError("the last level returns or raises")

    def _size(self, generator: Model) -> Size:
        size = SMALL if "grammar" in generator.features else LARGE
        stated = {item.name: getattr(self, item.name) for item in fields(size)}
        return replace(size, **{name: value for name, value in stated.items() if value is not None})

    def _request(self, situation: Situation, evidence: str, size: Size, index: int, seed: int) -> DraftRequest:
        train = situation.benchmark.train
        # First and last, as the published generator is shown: they are the likeliest to differ in kind.
        chosen = [*train[: max(0, self.examples - 1)], *train[-1:]] if self.examples else []
        texts = dict.fromkeys(_clipped(task.text, _TASK_CHARS) for task in chosen)
        wish = "Write a workflow that scores higher." if situation.trials else "Write a workflow for this kind of task."
        return DraftRequest(
            description=situation.benchmark.description,
            cards=tuple(card for card in situation.cards if self.tool_steps or card.kind == "model"),
            examples=tuple(texts),
            answer=answer_of(situation.benchmark.baseline),
            evidence=evidence,
            wish=wish,
            limits=Limits(size.max_steps, size.max_instruction_chars),
            sampling=Sampling(self.temperature, self.top_p, size.max_tokens, seed),
            sample=situation.round * MAX_CANDIDATES + index,
        )

    def _evidence(self, situation: Situation, form: Form, level: "_Level") -> str:
        trials = situation.trials
        texts = {task.id: task.text for task in situation.benchmark.train}
        hand_written = next((trial for trial in trials if trial.round == 0), None)
        best = best_trial(trials)
        shown = [trial for trial in trials if trial.round > 0][-level.history :] if level.history else []
        for pinned in (best, hand_written)[: level.pinned]:
            if pinned is not None:
                shown = [pinned, *(trial for trial in shown if trial.id != pinned.id)]
        answer = answer_of(situation.benchmark.baseline)
        attempts = []
        unusable = []
        for trial in shown:
            name = "The hand-written workflow" if trial is hand_written else f"Workflow {trial.id}"
            workflow = trial.proposal.workflow
            if workflow is None:
                why = trial.proposal.errors[0] if trial.proposal.errors else "it is no workflow"
                unusable.append(f"{name} could not be used: {_clipped(why, _ERROR_CHARS)}")
                continue
            same = _first_with(trials, workflow.fingerprint())
            if same.id != trial.id:
                unusable.append(f"{name} was the same as {same.id}; write something new.")
                continue
            title = f"{name} {_scored(trial.train)}"
            if trial is best and trial is not hand_written:
                title = f"{title}, the best so far"
            attempts.append(
                Attempt(title, written(workflow, form, answer), _failing(trial.train, texts, level.failing))
            )
        return render(EvidencePrompt(tuple(attempts), tuple(unusable)))


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the highest train mean, the earliest among equals; `None` where nothing is scored."""
    scored = [(trial.train.mean, trial) for trial in trials if trial.train is not None]
    known = [(mean, trial) for mean, trial in scored if mean is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def _first_with(trials: Sequence[Trial], fingerprint: str) -> Trial:
    return next(
        trial for trial in trials if trial.proposal.workflow and trial.proposal.workflow.fingerprint() == fingerprint
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """How much evidence is shown."""

    history: int
    failing: int
    pinned: int
    """2: the best and the hand-written workflow; 1: the best; 0: neither."""

    describe_cards: bool = True


def _levels(history: int, failing: int) -> list[_Level]:
    """From most to least: failing tasks go before attempts, these before what operators do, the best workflow last."""
    levels = [_Level(history, count, 2) for count in range(failing, -1, -1)]
    levels += [_Level(count, 0, 2) for count in range(history - 1, 0, -1)]
    few = [(min(1, history), 1), (0, 1), (0, 0)] if failing else [(min(1, history), 0), (0, 0)]
    levels += [_Level(attempts, tasks, 2, False) for attempts, tasks in few]
    return [*levels, _Level(0, 0, 1, False), _Level(0, 0, 0, False)]


def _scored(evaluation: Evaluation | None) -> str:
    if evaluation is None or evaluation.mean is None:
        return "has no score"
    return f"scored {evaluation.mean:.3f} on {len(evaluation.values)} tasks"


def _failing(evaluation: Evaluation | None, texts: dict[str, str], count: int) -> tuple[FailingTask, ...]:
    if evaluation is None:
        return ()
    below = [(result.value, result) for result in evaluation.results if result.value is not None and result.value < 1]
    worst = sorted(below, key=lambda pair: pair[0])[:count]
    return tuple(_failing_task(value, result, texts[result.task]) for value, result in worst if result.task in texts)


def _failing_task(value: float, result: TaskResult, text: str) -> FailingTask:
    return FailingTask(
        _clipped(text, _TASK_CHARS), _clipped(_plain(result.answer), _ANSWER_CHARS), f"{value:.2f}", result.reason
    )


def _plain(answer: Json) -> str:
    if answer is None:
        return "none"
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _clipped(text: str, chars: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[:chars]}..."


PLUGIN = InContext
