"""`aflow`: one modification a round of a workflow drawn from the best, with what modifications did before.

AFlow (arXiv:2410.10762) by its released rules: no UCT despite the name Monte Carlo tree search. Ours: refusals of a
repeated modification are bounded, what helped is not forbidden like what did not, deviations come from epochs.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import stdev
from typing import ClassVar

from autoflow.core.model import Sampling
from autoflow.core.strategy import Evaluation, Proposal, Situation, Trial
from autoflow.core.workflow import Step, Workflow
from autoflow.generator.draft import Draft, DraftRequest, answer_of, form_of, written
from autoflow.language.diff import diff
from autoflow.language.dump import dump
from autoflow.prompts import render
from autoflow.strategies import options
from autoflow.strategies.drafting import fitted, opening, size_of
from autoflow.strategies.evidence import FailingTask, clipped, complete, failing, scored

NOTE = "modification"
TOP = 3
"""Rounds whose mean is watched for convergence."""

LEAST_ROUNDS = 4
_MODIFICATION_CHARS = 300


@dataclass(frozen=True, slots=True)
class Tried:
    """A modification of this parent, and what it did."""

    modification: str
    before: str
    after: str
    success: bool
    """The score rose."""


@dataclass(frozen=True, slots=True)
class ParentPrompt:
    """The workflow to be modified, with its evidence."""

    template: ClassVar[str] = "strategies/aflow.j2"
    score: str
    text: str
    helped: tuple[Tried, ...]
    failed: tuple[Tried, ...]
    logs: tuple[FailingTask, ...]


@dataclass(frozen=True, slots=True)
class WishPrompt:
    """What is asked for."""

    template: ClassVar[str] = "strategies/aflow_wish.j2"
    steps: int


def probabilities(scores: Sequence[float], *, alpha: float = 0.2, lam: float = 0.3) -> list[float]:
    """How likely each candidate, scores in [0, 1], is the parent; they sum to 1.

    P_i = λ/n + (1−λ)·softmax_i(α·(100·s_i − 100·max s)). Source: AFlow's released code, as are the constants.
    """
    top = max(scores)
    weights = [math.exp(alpha * 100 * (score - top)) for score in scores]
    total = math.fsum(weights)
    return [lam / len(scores) + (1 - lam) * weight / total for weight in weights]


def converged(means: Sequence[float], deviations: Sequence[float], *, patience: int = 5, z: float = 0.0) -> bool:
    """Whether the mean of the three best rounds has stood still for `patience` rounds in a row.

    Y_t = mean of the 3 best round means so far, σ_t = sqrt(Σ of their squared deviations)/3; round t stands still if
    |Y_t − Y_(t−1)| ≤ z·sqrt(σ_t² + σ_(t−1)²). Never in fewer than 4 rounds. Source: AFlow's released code.
    """
    if len(means) < LEAST_ROUNDS:
        return False
    still = 0
    before: tuple[float, float] | None = None
    for count in range(1, len(means) + 1):
        best = sorted(range(count), key=lambda index: -means[index])[:TOP]
        level = math.fsum(means[index] for index in best) / len(best)
        spread = math.sqrt(math.fsum(deviations[index] ** 2 for index in best)) / TOP
        if before is not None:
            # Equality, at z = 0, up to the rounding of the sums.
            moved = abs(level - before[0]) > z * math.hypot(spread, before[1]) + 1e-12
            still = 0 if moved else still + 1
            if still >= patience:
                return True
        before = (level, spread)
    return False


def deviation(evaluation: Evaluation) -> float:
    """Standard deviation of the epochs' means; 0 for one epoch, which shows none."""
    drawn = [result.draws for result in evaluation.results if result.draws and None not in result.draws]
    if not drawn:
        return 0.0
    means = [
        math.fsum(value for value in epoch if value is not None) / len(epoch) for epoch in zip(*drawn, strict=True)
    ]
    return stdev(means)


@dataclass(frozen=True, slots=True)
class AFlow:
    """The options, as on the command line. One proposal a round; scores are those on validation."""

    name: ClassVar[str] = "aflow"
    splits: ClassVar[tuple[str, ...]] = ("validation",)

    rounds: int = 20
    start: str = "custom"
    """Round 1: `custom`, one call with next to no instruction, as published; or `hand-written`, the benchmark's own
    workflow, where there is one."""

    pool: int = 4
    """Candidates that the parent is drawn from: round 1 and the best others."""

    alpha: float = 0.2
    lam: float = 0.3
    logs: int = 3
    """Failing validation tasks of the parent shown, drawn at random."""

    patience: int = 5
    """Rounds without a change of the mean of the three best, after which the search ends; 0: it goes on."""

    z: float = 0.0
    touched: int = 3
    """Steps that one modification may add, remove or change."""

    refusals: int = 3
    """How often a modification that this parent has had is refused and another asked for."""

    repairs: int = 3
    temperature: float = 1.0
    max_tokens: int | None = None
    prompt_chars: int | None = None

    def __post_init__(self) -> None:
        options.check(
            self,
            zero=("logs", "patience", "z", "refusals", "repairs", "temperature", "alpha", "lam"),
            words={"start": ("custom", "hand-written")},
        )

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next round's modification; none after the last round, or once the search has converged.

        Raises:
            ProviderError, BudgetExhaustedError: From the generator.
        """
        rounds = self._rounds(situation.trials)
        if situation.round > self.rounds or self._still(rounds):
            return ()
        if not rounds:
            if situation.round > 1:
                # The first workflow has no score: no round has anything to stand on.
                return ()
            flow = custom(situation)
            return [Proposal(flow, dump(flow), "AFlow's first round: one call")]
        parent = self._parent(rounds, situation.rng)
        return [await self._modified(situation, parent)]

    def _rounds(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that count as AFlow's rounds: scored, the first the one that the search began with."""
        found = [trial for trial in trials if trial.validation is not None and trial.validation.mean is not None]
        by_hand = [trial for trial in found if trial.round == 0]
        if self.start == "hand-written" and by_hand:
            return found
        return [trial for trial in found if trial.round > 0]

    def _still(self, rounds: Sequence[Trial]) -> bool:
        if not self.patience:
            return False
        return converged(
            [_score(trial) for trial in rounds],
            [0.0 if trial.validation is None else deviation(trial.validation) for trial in rounds],
            patience=self.patience,
            z=self.z,
        )

    def _parent(self, rounds: Sequence[Trial], rng: random.Random) -> Trial:
        first, others = rounds[0], sorted(rounds[1:], key=_rank)
        pool = [first, *others[: self.pool - 1]]
        chances = probabilities([_score(trial) for trial in pool], alpha=self.alpha, lam=self.lam)
        return rng.choices(pool, chances)[0]

    async def _modified(self, situation: Situation, parent: Trial) -> Proposal:
        workflow = parent.proposal.workflow
        assert workflow is not None  # noqa: S101  scored
        tried = experience(situation.trials, parent)
        known = {_folded(item.modification) for item in tried}
        seeds = [situation.rng.randrange(2**31) for _ in range(self.refusals + 1)]
        logs = failing(parent.validation, situation.benchmark.validation, self.logs, situation.rng)
        repairs = 0
        for index, seed in enumerate(seeds):
            found = await self._draft(situation, parent, tried, logs, index=index, seed=seed)
            repairs += found.repairs
            modification = clipped(_modification(found, workflow), _MODIFICATION_CHARS)
            if _folded(modification) not in known:
                break
        else:
            error = f'the modification "{modification}" was tried on {parent.id} before, and nothing else was proposed'
            found = replace(found, workflow=None, errors=(error,))
        return Proposal(
            found.workflow,
            found.text,
            f"modifies {parent.id}, which {scored(parent.validation)}: {modification}",
            parent.id,
            found.errors,
            repairs,
            {"modification": modification, "before": _score(parent)},
        )

    async def _draft(
        self,
        situation: Situation,
        parent: Trial,
        tried: Sequence[Tried],
        logs: Sequence[FailingTask],
        *,
        index: int,
        seed: int,
    ) -> Draft:
        generator = situation.generator
        workflow = parent.proposal.workflow
        assert workflow is not None  # noqa: S101  scored
        size = size_of(generator, max_tokens=self.max_tokens, prompt_chars=self.prompt_chars)
        form = form_of(generator)
        base = replace(
            opening(
                situation,
                size,
                index=index,
                sampling=Sampling(self.temperature, 1.0, size.max_tokens, seed),
                examples=0,
            ),
            note=NOTE,
            wish=render(WishPrompt(self.touched)),
        )
        text = written(workflow, form, answer_of(situation.benchmark.baseline))

        async def one_modification(child: Workflow) -> list[str]:
            count = touched(workflow, child)
            if 0 < count <= self.touched:
                return []
            if not count:
                return ["the workflow is the same as before; make exactly one modification"]
            return [f"{count} steps were added, removed or changed; one modification touches at most {self.touched}"]

        def requests() -> Iterator[DraftRequest]:
            for shown, past in _levels(len(logs), len(tried)):
                latest = tried[len(tried) - past :]
                helped = tuple(item for item in latest if item.success)
                failed = tuple(item for item in latest if not item.success)
                prompt = ParentPrompt(scored(parent.validation), text, helped, failed, tuple(logs[:shown]))
                yield replace(base, evidence=render(prompt), describe_cards=bool(shown or past or not tried))

        return await fitted(generator, requests(), size, form=form, repairs=self.repairs, check=one_modification)


def custom(situation: Situation) -> Workflow:
    """AFlow's first round: one call of the operator that every workflow has."""
    answer = answer_of(situation.benchmark.baseline)
    return Workflow("custom", (Step("answer", "terminal", "Solve the task.", output=answer),))


def experience(trials: Sequence[Trial], parent: Trial) -> list[Tried]:
    """What modifications of this parent did, in order; one without a score changed nothing for the better."""
    found = []
    for trial in trials:
        modification = trial.proposal.notes.get("modification")
        if trial.proposal.parent == parent.id and isinstance(modification, str):
            before, after = _score(parent), None if trial.validation is None else trial.validation.mean
            said = "no score" if after is None else f"{after:.3f}"
            found.append(Tried(modification, f"{before:.3f}", said, after is not None and after > before))
    return found


def touched(before: Workflow, after: Workflow) -> int:
    """How many steps were added, removed, renamed or changed."""
    return len({change.step for change in diff(before, after).changes if change.step is not None})


def _modification(found: Draft, parent: Workflow) -> str:
    """What the model says it changed; where it says nothing, what it changed."""
    if found.note.strip() or found.workflow is None:
        return found.note
    return "; ".join(change.to_text() for change in diff(parent, found.workflow).changes)


def _score(trial: Trial) -> float:
    assert trial.validation is not None and trial.validation.mean is not None  # noqa: S101, PT018  a scored one
    return trial.validation.mean


def _rank(trial: Trial) -> tuple[bool, float]:
    """A place to sort by: what lost a race, and so has a score on few tasks, comes last."""
    return (trial.validation is not None and not complete(trial.validation), -_score(trial))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _levels(logs: int, tried: int) -> Iterator[tuple[int, int]]:
    """How many logs and how much experience are shown, from most to least."""
    for shown in range(logs, -1, -1):
        yield shown, tried
    for past in range(min(tried - 1, 5), -1, -1):
        yield 0, past


PLUGIN = AFlow
