"""`in-context`: the generator is shown earlier workflows with their train scores and failing tasks, and asked for a
better one. AutoFlow's method for closed models (arXiv:2407.12821), with cards, lint, repair and bounded history added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast, get_args

from autoflow.core.model import Sampling
from autoflow.core.strategy import Proposal, Situation
from autoflow.errors import UsageError
from autoflow.generator.draft import Draft, DraftRequest, Form, answer_of, form_of, written
from autoflow.prompts import render
from autoflow.strategies import options
from autoflow.strategies.drafting import MAX_CANDIDATES, fitted, opening, size_of, together
from autoflow.strategies.evidence import (
    ERROR_CHARS,
    FailingTask,
    best_trial,
    clipped,
    failing,
    first_with,
    scored,
)


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
    splits: ClassVar[tuple[str, ...]] = ("train", "validation")

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
        options.check(
            self,
            zero=("repairs", "history", "failing", "examples", "temperature"),
            words={"form": ("auto", *get_args(Form))},
        )
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
        drafts = await together(self._draft(situation, index, seed) for index, seed in enumerate(seeds))
        return [
            Proposal(
                workflow=found.workflow,
                text=found.text,
                reason="first draft" if best is None else f"refines {best.id}, {scored(best.train)}",
                parent=None if best is None else best.id,
                errors=found.errors,
                repairs=found.repairs,
            )
            for found in drafts
        ]

    async def _draft(self, situation: Situation, index: int, seed: int) -> Draft:
        """One draft, on as much evidence as fits into `prompt_chars` and the model takes."""
        generator = situation.generator
        size = size_of(
            generator,
            prompt_chars=self.prompt_chars,
            max_tokens=self.max_tokens,
            max_steps=self.max_steps,
            max_instruction_chars=self.max_instruction_chars,
        )
        form = form_of(generator) if self.form == "auto" else cast("Form", self.form)
        wish = "Write a workflow that scores higher." if situation.trials else "Write a workflow for this kind of task."
        base = replace(
            opening(
                situation,
                size,
                index=index,
                sampling=Sampling(self.temperature, self.top_p, size.max_tokens, seed),
                examples=self.examples,
                tool_steps=self.tool_steps,
            ),
            wish=wish,
        )

        def requests() -> Iterator[DraftRequest]:
            for level in _levels(self.history, self.failing):
                evidence = self._evidence(situation, form, level)
                yield replace(base, evidence=evidence, describe_cards=level.describe_cards)

        return await fitted(generator, requests(), size, form=form, repairs=self.repairs)

    def _evidence(self, situation: Situation, form: Form, level: "_Level") -> str:
        trials = situation.trials
        train = situation.benchmark.train
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
                unusable.append(f"{name} could not be used: {clipped(why, ERROR_CHARS)}")
                continue
            same = first_with(trials, workflow.fingerprint())
            if same.id != trial.id:
                unusable.append(f"{name} was the same as {same.id}; write something new.")
                continue
            title = f"{name} {scored(trial.train)}"
            if trial is best and trial is not hand_written:
                title = f"{title}, the best so far"
            attempts.append(Attempt(title, written(workflow, form, answer), failing(trial.train, train, level.failing)))
        return render(EvidencePrompt(tuple(attempts), tuple(unusable)))


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


PLUGIN = InContext
