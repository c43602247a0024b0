"""`adas`: the generator sees an archive of workflows with their fitness and writes a new one; all are kept.

Automated Design of Agentic Systems (arXiv:2408.08435): seven seed agents, two rounds of reflexion on each proposal,
debugging of what fails. Ours: the archive can be capped or sampled, fitness is that on validation, no generation is
lost, and the interval is the 95 % one that it says it is.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.model import Message, Sampling
from autoflow.core.strategy import Evaluation, Proposal, Situation, Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.generator.draft import (
    ClosingPrompt,
    Draft,
    DraftRequest,
    Form,
    answer_of,
    form_of,
    spoken,
    written,
)
from autoflow.language.dump import dump
from autoflow.prompts import render
from autoflow.statistics import mean_interval
from autoflow.strategies import options
from autoflow.strategies.drafting import LARGE, MAX_CANDIDATES, fitted, opening, size_of, together
from autoflow.strategies.evidence import clipped, complete, scored
from autoflow.strategies.seeds import seeds

NOTE = "thought"
SEEDS = ("cot", "cot_sc", "reflexion", "debate", "step_back", "quality_diversity", "role")
MAX_TOKENS = 4096

_PER_CANDIDATE = 10
# Sample indices a candidate: its first draft, two reflexions, room for none of them to meet another's.

_THOUGHT_CHARS = 600
_WISH = (
    "Write an interesting new workflow that should do better than all of these. Think outside the box: draw on what is"
    " known of agents and of reasoning. The thought says what is new about it and why it should work."
)
_DEBUG = "The last workflow does not work: {}. Find out why and put it right. The thought says what was wrong."


@dataclass(frozen=True, slots=True)
class ArchivePrompt:
    """What was found so far."""

    template: ClassVar[str] = "strategies/adas.j2"
    archive: str
    """A JSON list."""

    shown: int
    total: int


@dataclass(frozen=True, slots=True)
class ReflexionPrompt:
    """One of the two reflexions on a proposal."""

    template: ClassVar[str] = "strategies/adas_reflexion.j2"
    second: bool
    closing: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A workflow and the attempts to debug it."""

    trial: Trial
    """The last attempt."""

    debugs: int


@dataclass(frozen=True, slots=True)
class Adas:
    """The options, as on the command line. Round 1 scores the seeds; each later round writes anew, or debugs."""

    name: ClassVar[str] = "adas"
    splits: ClassVar[tuple[str, ...]] = ("validation",)

    rounds: int = 31
    """With the round of the seeds; debugging takes rounds of its own."""

    candidates: int = 1
    """Workflows a round."""

    archive: str = "all"
    """What is shown: `all` as published, the `best`, or a `sample` of it."""

    cap: int = 10
    """How many are shown of the archive, where it is not `all`."""

    debug: int = 3
    """How often a workflow that fails is put right before it is given up."""

    fails_below: float = 0.01
    """A mean score below which a workflow counts as failing."""

    repairs: int = 3
    temperature: float = 0.8
    max_tokens: int | None = None
    prompt_chars: int | None = None

    def __post_init__(self) -> None:
        options.check(
            self,
            zero=("debug", "fails_below", "repairs", "temperature"),
            words={"archive": ("all", "best", "sample")},
        )
        if self.candidates * _PER_CANDIDATE > MAX_CANDIDATES:
            most = MAX_CANDIDATES // _PER_CANDIDATE
            raise UsageError(f"strategy option candidates is at most {most}, not {self.candidates}")

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The seeds, then new workflows; none after the last round.

        Raises:
            ProviderError, BudgetExhaustedError: From the generator, or from the self-check.
        """
        if situation.round > self.rounds:
            return ()
        if situation.round == 1:
            answer = answer_of(situation.benchmark.baseline)
            known = seeds(SEEDS, situation.cards, answer)
            return [Proposal(flow, dump(flow), f"seed: {flow.description}", notes={"seed": True}) for flow in known]
        # Drawn before any call, so that the order in which calls return changes nothing.
        seeds_ = [situation.rng.randrange(2**31) for _ in range(self.candidates)]
        task = situation.rng.choice(situation.benchmark.train).id
        failing = self._failing(situation.trials)[: self.candidates]
        work = []
        for index, seed in enumerate(seeds_):
            broken = failing[index] if index < len(failing) else None
            work.append(self._candidate(situation, broken, task, index, seed))
        return await together(work)

    def generations(self, trials: Sequence[Trial]) -> list[Generation]:
        """Every workflow with a score, the attempts to debug it counted as one with it, in order."""
        found: dict[str, Generation] = {}
        for trial in trials:
            if trial.validation is None or trial.validation.mean is None:
                continue
            first = trial.proposal.notes.get("debugs")
            key = str(first) if first is not None else trial.id
            found[key] = Generation(trial, found[key].debugs + 1 if key in found else 0)
        return list(found.values())

    def _failing(self, trials: Sequence[Trial]) -> list[Generation]:
        """Workflows of the last round that fail and may be debugged once more."""
        last = max((trial.round for trial in trials), default=0)
        return [
            item
            for item in self.generations(trials)
            if item.trial.round == last
            and last > 1
            and item.debugs < self.debug
            and (_mean(item.trial) or 0.0) < self.fails_below
        ]

    async def _candidate(
        self, situation: Situation, broken: Generation | None, task: str, index: int, seed: int
    ) -> Proposal:
        generator = situation.generator
        size = size_of(
            generator,
            replace(LARGE, max_tokens=MAX_TOKENS),
            max_tokens=self.max_tokens,
            prompt_chars=self.prompt_chars,
        )
        form = form_of(generator)
        sampling = Sampling(self.temperature, None, size.max_tokens, seed)
        base = replace(
            opening(situation, size, index=index * _PER_CANDIDATE, sampling=sampling),
            note=NOTE,
            wish=_WISH if broken is None else _DEBUG.format(_fault(broken.trial)),
        )
        everything = self.generations(situation.trials)
        # Chosen once: the three turns speak of the same archive.
        chosen = self._shown(everything, random.Random(seed))  # noqa: S311  no secret
        if broken is not None:
            # What is to be debugged stands last, and in every request.
            chosen = [item for item in chosen if item.trial.id != broken.trial.id]

        async def self_check(workflow: Workflow) -> list[str]:
            tried = await situation.laboratory.attempt(workflow, task)
            failure = None if tried.trace is None else tried.trace.failure
            return [] if failure is None else [f"run on a task, the workflow failed: {failure.message}"]

        found: Draft | None = None
        turns: tuple[Message, ...] = ()
        rounds = 3 if broken is None else 1
        for number in range(rounds):
            request = replace(base, sample=base.sample + number, turns=turns)
            last = number == rounds - 1
            found = await fitted(
                generator,
                self._requests(situation, request, chosen, broken, total=len(everything)),
                size,
                form=form,
                # What reflexion is to improve need not be perfect: only the last is put right.
                repairs=self.repairs if last else 0,
                check=self_check if last else None,
            )
            again = ReflexionPrompt(second=number == 1, closing=render(ClosingPrompt(NOTE, form)))
            turns = (*turns, Message("assistant", spoken(found, form, NOTE)), Message("user", render(again)))
        assert found is not None  # noqa: S101  there is at least one round
        notes: dict[str, Json] = {"thought": clipped(found.note, _THOUGHT_CHARS)}
        if broken is None:
            reason, parent = f"new: {clipped(found.note, 200) or 'no thought given'}", None
        else:
            parent = broken.trial.id
            notes["debugs"] = str(broken.trial.proposal.notes.get("debugs", parent))
            reason = f"debugs {parent}, which {scored(broken.trial.validation)}"
        return Proposal(found.workflow, found.text, reason, parent, found.errors, found.repairs, notes)

    def _requests(
        self,
        situation: Situation,
        base: DraftRequest,
        chosen: Sequence[Generation],
        broken: Generation | None,
        *,
        total: int,
    ) -> Iterator[DraftRequest]:
        """The archive as it was chosen, then less and less of it."""
        form = form_of(situation.generator)
        for count in _fewer(len(chosen)):
            kept = _best(chosen, count)
            if broken is not None:
                kept = [*kept, broken]
            entries = [_entry(item, form, situation) for item in kept]
            listing = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
            yield replace(base, evidence=render(ArchivePrompt(listing, len(kept), total)))
        # No room for any: the last turns say what is to be improved.
        yield replace(base, evidence="", describe_cards=False, examples=(), turns=base.turns[-2:])

    def _shown(self, everything: Sequence[Generation], rng: random.Random) -> list[Generation]:
        if self.archive == "all" or len(everything) <= self.cap:
            return list(everything)
        if self.archive == "best":
            return _best(everything, self.cap)
        order = sorted(rng.sample(range(len(everything)), self.cap))
        return [everything[index] for index in order]


def fitness(evaluation: Evaluation | None, seed: int = 0) -> str:
    """The mean score with its 95 % interval, as the generator reads it."""
    if evaluation is None or not evaluation.values:
        return "not scored"
    interval = mean_interval(evaluation.values, seed=seed)
    return f"95% interval: ({100 * interval.low:.1f}%, {100 * interval.high:.1f}%), mean: {100 * interval.mean:.1f}%"


def _entry(item: Generation, form: Form, situation: Situation) -> dict[str, Json]:
    proposal = item.trial.proposal
    assert proposal.workflow is not None  # noqa: S101  scored
    thought = proposal.notes.get("thought")
    return {
        "name": proposal.workflow.name,
        "thought": thought if isinstance(thought, str) and thought else proposal.workflow.description,
        "workflow": written(proposal.workflow, form, answer_of(situation.benchmark.baseline)),
        "score": round(_mean(item.trial) or 0.0, 3),
        "fitness": fitness(item.trial.validation),
    }


def _best(items: Sequence[Generation], count: int) -> list[Generation]:
    """So many of the best, in the order given; what lost a race comes after what did not."""

    def rank(item: Generation) -> tuple[bool, float]:
        evaluation = item.trial.validation
        return (evaluation is not None and complete(evaluation), _mean(item.trial) or 0.0)

    kept = sorted(items, key=rank, reverse=True)[:count]
    return [item for item in items if item in kept]


def _fewer(count: int) -> Iterator[int]:
    """`count`, then about two thirds, and so on down to 1."""
    while count > 1:
        yield count
        count = count * 2 // 3
    yield count


def _fault(trial: Trial) -> str:
    evaluation = trial.validation
    reasons = [] if evaluation is None else [result.reason for result in evaluation.results if result.reason]
    common = Counter(reasons).most_common(1)
    return f"its mean score is {_mean(trial) or 0.0:.3f}" + (f", mostly for {common[0][0]}" if common else "")


def _mean(trial: Trial) -> float | None:
    return None if trial.validation is None else trial.validation.mean


PLUGIN = Adas
