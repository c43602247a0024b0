"""`w4s`: a conversation in which each turn is an analysis and a new workflow, and the feedback what validation says.

Weak-for-Strong (arXiv:2504.04785). Ours: the self-check is one train task, three repairs are really evaluated, the
validation tasks are fixed, feedback shows failing cases alone and compares with the turn before, the best is updated
within an episode. What RLAO needs of a turn stands in its trials' notes: see `autoflow.core.reward`.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoflow.core.model import Message, Sampling
from autoflow.core.strategy import Proposal, Situation, Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.generator.draft import (
    ClosingPrompt,
    DraftRequest,
    Form,
    answer_of,
    form_of,
    spoken,
    written,
)
from autoflow.prompts import render
from autoflow.strategies import options
from autoflow.strategies.drafting import LARGE, MAX_CANDIDATES, Heard, fitted, opening, size_of, together
from autoflow.strategies.evidence import FailingTask, complete, failing, scored
from autoflow.strategies.seeds import seeds

NOTE = "analysis"
EXAMPLES = ("cot", "cot_sc", "code")
MAX_TOKENS = 4096
_WISH = (
    "Analyse the last workflow and what became of it, then write a workflow that scores higher."
    " The analysis says what goes wrong, why, and what you change."
)
_FIRST_WISH = "Analyse what tasks of this kind need, then write a workflow for them."


@dataclass(frozen=True, slots=True)
class FeedbackPrompt:
    """What validation says of a workflow."""

    template: ClassVar[str] = "strategies/w4s_feedback.j2"
    score: str
    """Empty where it has none."""

    tasks: int
    direction: str
    failing: tuple[FailingTask, ...]


@dataclass(frozen=True, slots=True)
class StatePrompt:
    """The state that an episode begins in."""

    template: ClassVar[str] = "strategies/w4s.j2"
    examples: tuple[str, ...]
    text: str
    """The last workflow; empty where there is none."""

    feedback: str


@dataclass(frozen=True, slots=True)
class TurnPrompt:
    """A later turn of an episode: feedback on the action before."""

    template: ClassVar[str] = "strategies/w4s_turn.j2"
    feedback: str
    wish: str
    closing: str


@dataclass(frozen=True, slots=True)
class Course:
    """The search so far."""

    path: tuple[Trial, ...]
    """The workflow that each turn began with, the start first; its last is the one that the next turn improves."""

    turns: int
    """Turns that brought a workflow on."""

    failed: int
    """Rounds since then that brought none."""


@dataclass(frozen=True, slots=True)
class W4S:
    """The options, as on the command line. A round is a turn."""

    name: ClassVar[str] = "w4s"
    splits: ClassVar[tuple[str, ...]] = ("validation",)

    rounds: int = 10
    candidates: int = 5
    """Workflows a turn; the best on validation advances."""

    reset: int = 2
    """Turns of an episode: then the conversation begins anew, with the last workflow."""

    failing: int = 10
    """Failing validation tasks in the feedback, drawn at random."""

    examples: bool = True
    """Show workflows of other designs."""

    discard: float = 0.05
    """Candidates that score no more than this do not advance."""

    retries: int = 3
    """How often a turn in which nothing advanced is repeated before the search ends."""

    repairs: int = 3
    """Of each candidate, for what lint or the self-check finds."""

    temperature: float = 0.5
    max_tokens: int | None = None
    """`None`: 4,096, less for a generator with a small context."""

    prompt_chars: int | None = None

    def __post_init__(self) -> None:
        options.check(self, zero=("failing", "discard", "retries", "repairs", "temperature"))
        if self.candidates > MAX_CANDIDATES:
            raise UsageError(f"strategy option candidates is at most {MAX_CANDIDATES}, not {self.candidates}")

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next turn's candidates; none after the last turn, or once too many turns brought nothing.

        Raises:
            ProviderError, BudgetExhaustedError: From the generator.
        """
        course = self.course(situation.trials)
        if situation.round > self.rounds or course.failed > self.retries:
            return ()
        # Drawn before any call, so that the order in which calls return changes nothing.
        task = situation.rng.choice(situation.benchmark.train).id
        seeds_ = [situation.rng.randrange(2**31) for _ in range(self.candidates)]
        return await together(
            self._candidate(situation, course, task, index, seed) for index, seed in enumerate(seeds_)
        )

    def course(self, trials: Sequence[Trial]) -> Course:
        """Which workflow each turn brought on, told from the trials."""
        path = [trial for trial in trials if trial.round == 0 and trial.proposal.workflow is not None]
        turns = failed = 0
        for number in sorted({trial.round for trial in trials} - {0}):
            best = max(
                (trial for trial in trials if trial.round == number and _value(trial) > self.discard),
                key=lambda trial: (trial.validation is not None and complete(trial.validation), _value(trial)),
                default=None,
            )
            if best is None:
                failed += 1
            else:
                path.append(best)
                turns, failed = turns + 1, 0
        return Course(tuple(path), turns, failed)

    async def _candidate(self, situation: Situation, course: Course, task: str, index: int, seed: int) -> Proposal:
        generator = Heard(situation.generator)
        size = size_of(
            generator,
            replace(LARGE, max_tokens=MAX_TOKENS),
            max_tokens=self.max_tokens,
            prompt_chars=self.prompt_chars,
        )
        form = form_of(generator)
        base = replace(
            opening(situation, size, index=index, sampling=Sampling(self.temperature, None, size.max_tokens, seed)),
            note=NOTE,
            wish=_WISH if course.path else _FIRST_WISH,
        )

        async def self_check(workflow: Workflow) -> list[str]:
            tried = await situation.laboratory.attempt(workflow, task)
            failure = None if tried.trace is None else tried.trace.failure
            if failure is None:
                return []
            place = "" if failure.step is None else f' at step "{failure.step}"'
            return [f"run on a task, the workflow failed{place}: {failure.message}"]

        found = await fitted(
            generator,
            self._requests(situation, course, base, form),
            size,
            form=form,
            repairs=self.repairs,
            check=self_check,
        )
        last = course.path[-1] if course.path else None
        values = [_value(trial) for trial in course.path]
        return Proposal(
            found.workflow,
            found.text,
            "first turn" if last is None else f"improves {last.id}, which {scored(last.validation)}",
            None if last is None else last.id,
            found.errors,
            found.repairs,
            {
                "episode": course.turns // self.reset + 1,
                "turn": course.turns % self.reset + 1,
                # What the reward of this turn is measured against.
                "best": max(values, default=0.0),
                "previous": values[-1] if values else 0.0,
                "request": generator.key,
                "action": spoken(found, form, NOTE),
            },
        )

    def _requests(self, situation: Situation, course: Course, base: DraftRequest, form: Form) -> Iterator[DraftRequest]:
        """The conversation of this turn, from most to least evidence."""
        shown = tuple(written(seed, form) for seed in (seeds(EXAMPLES, situation.cards, None) if self.examples else []))
        within = course.turns % self.reset
        for count in dict.fromkeys((self.failing, min(3, self.failing), min(1, self.failing), 0)):
            yield self._request(situation, course, base, form, within=within, count=count, examples=shown)
        for examples in dict.fromkeys((shown[:1], ())):
            yield self._request(situation, course, base, form, within=within, count=0, examples=examples)
        if within:
            # No room for the conversation: the last workflow with its feedback says most of it.
            yield self._request(situation, course, base, form, within=0, count=1, examples=())
        least = self._request(situation, course, base, form, within=0, count=0, examples=())
        yield least
        yield replace(least, describe_cards=False, examples=())

    def _request(
        self,
        situation: Situation,
        course: Course,
        base: DraftRequest,
        form: Form,
        *,
        within: int,
        count: int,
        examples: tuple[str, ...],
    ) -> DraftRequest:
        """The state that the episode began in, then each action since with its feedback."""
        path = course.path
        first = len(path) - 1 - within
        text = feedback = ""
        if first >= 0:
            workflow = path[first].proposal.workflow
            assert workflow is not None  # noqa: S101  on the path
            text = written(workflow, form, answer_of(situation.benchmark.baseline))
            feedback = self._feedback(situation, path, first, count)
        state = StatePrompt(examples, text, feedback)
        closing = render(ClosingPrompt(NOTE, form))
        turns: list[Message] = []
        for position in range(max(first, -1) + 1, len(path)):
            turns.append(Message("assistant", str(path[position].proposal.notes["action"])))
            said = TurnPrompt(self._feedback(situation, path, position, count), _WISH, closing)
            turns.append(Message("user", render(said)))
        wish = _WISH if text else _FIRST_WISH
        return replace(base, evidence=render(state), wish=wish, turns=tuple(turns))

    def _feedback(self, situation: Situation, path: Sequence[Trial], position: int, count: int) -> str:
        trial = path[position]
        before = _value(path[position - 1]) if position > 0 else None
        mean = None if trial.validation is None else trial.validation.mean
        # By the trial, not by the round: the same action has the same feedback in every later turn.
        cases = failing(
            trial.validation,
            situation.benchmark.validation,
            count,
            random.Random(f"w4s/{trial.id}"),  # noqa: S311  no secret
        )
        return render(
            FeedbackPrompt(
                "" if mean is None else f"{mean:.3f}",
                0 if trial.validation is None else len(trial.validation.values),
                "" if mean is None or before is None else direction(mean, before),
                cases,
            )
        )


def direction(value: float, before: float) -> str:
    """The change against the turn before, in a sentence."""
    if value == before:
        return "That is the same as the turn before."
    return f"That is {'up' if value > before else 'down'} from {before:.3f}, the turn before."


def _value(trial: Trial) -> float:
    """The score that turns are compared by; 0 without one."""
    mean = None if trial.validation is None else trial.validation.mean
    return 0.0 if mean is None else mean


PLUGIN = W4S
