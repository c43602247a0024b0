"""`evolve`: looks where a workflow goes wrong, mends that place with a small patch, and pays for validation only if it
helped.

A round, for each candidate:

1. A parent: mostly the best on validation, else from the Pareto front over per-task scores, cost and latency.
2. Failing train tasks of it, as many as it takes; for each, the step at fault (`autoflow.strategies.blame`), proven by
   a run with that step's result replaced.
3. A patch of the workflow, its edits confined to what can mend that kind of fault; it lints before any task is run.
   Where the generator cannot write one, an edit that takes no model.
4. The child is run on the train tasks that the patch is for, then on some that went well. If that is no gain it goes no
   further; if it is one, the child is examined in turn, and after some such gains it is proposed.

Besides, two workflows that solve different tasks are merged, and once nothing fails, work is taken away.

Prompts show train tasks alone. Validation scores choose parents; validation tasks are never shown.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.model import Sampling
from autoflow.core.strategy import Proposal, Situation, Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError, WorkflowError
from autoflow.generator.draft import CALLS_PER_SAMPLE, Limits, form_of
from autoflow.language.dump import dump
from autoflow.strategies import options
from autoflow.strategies.archive import (
    TOLD_CHARS,
    ancestor,
    archive,
    failed_edits,
    incumbent,
    population,
    seen,
    shares,
    wins,
    workflow,
)
from autoflow.strategies.blame import Finding, Judge
from autoflow.strategies.drafting import MAX_CANDIDATES, SMALL, Size, fitted, opening, size_of, together
from autoflow.strategies.evidence import clipped, scored
from autoflow.strategies.examine import Examined, Examiner
from autoflow.strategies.merging import merged
from autoflow.strategies.mutations import mutation, simplification
from autoflow.strategies.patches import Edit, Op, Scope, ensure_sound, told
from autoflow.strategies.patching import Patch, PatchRequest, patch, routed

MERGE_WINS = 2
"""By how many tasks another workflow must be ahead where it is, for a merge with it to be worth a try."""


@dataclass(frozen=True, slots=True)
class Child:
    """A workflow made from another."""

    workflow: Workflow
    edits: tuple[Edit, ...]
    how: str
    why: str


@dataclass(slots=True)
class Notes:
    """What one candidate's work brought besides its workflow."""

    children: list[Child]
    """The workflows on the way, each a gain on the one before; the last is proposed."""

    findings: list[Finding]
    rejected: list[str]
    """Edits that did not help, in words."""

    broken: list[Patch]
    """Patches that could not be used."""


@dataclass(frozen=True, slots=True)
class Evolve:
    """The options, as on the command line."""

    name: ClassVar[str] = "evolve"
    splits: ClassVar[tuple[str, ...]] = ("validation",)

    rounds: int = 20
    candidates: int = 1
    """Workflows a round, merges not counted."""

    greed: float = 0.8
    """How often the parent is the best on validation; otherwise it is drawn from the Pareto front."""

    probes: int = 3
    """Failing train tasks that a patch is for."""

    look: int = 12
    """New train tasks that a workflow is run on, at most, to find those."""

    depth: int = 3
    """Faults looked for in one run, one after the other, each in the run with those before it mended."""

    edits: int = 3
    """Edits of a patch, at most."""

    tries: int = 2
    """Patches made until one helps on train."""

    chain: int = 4
    """Patches that build on each other, each shown to help on train, before validation is paid for."""

    mutate: bool = True
    """Where the generator wrote no patch that can be used, try an edit that takes no model."""

    merge: bool = True
    repairs: int = 2
    """Of each patch."""

    models: str = ""
    """`provider/model` names, commas between, that a step may be moved to; empty: none."""

    temperature: float = 1.0
    max_tokens: int | None = None
    prompt_chars: int | None = None

    def __post_init__(self) -> None:
        options.check(self, zero=("greed", "repairs", "temperature"))
        if self.candidates > MAX_CANDIDATES:
            raise UsageError(f"strategy option candidates is at most {MAX_CANDIDATES}, not {self.candidates}")
        if self.chain * self.tries * (self.repairs + 1) > CALLS_PER_SAMPLE:
            raise UsageError(f"strategy options chain x tries x (repairs + 1) are at most {CALLS_PER_SAMPLE}")

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next round's patches and merges; none after the last round, or when there is nothing left to try.

        Raises:
            ProviderError, BudgetExhaustedError: From the generator, or from runs on train tasks.
        """
        if situation.round > self.rounds:
            return ()
        # Drawn before any call, so that the order in which calls return changes nothing.
        seeds = [situation.rng.randrange(2**31) for _ in range(self.candidates + 1)]
        known = population(situation.trials)
        if not known:
            return await together(self._first(situation, index, seed) for index, seed in enumerate(seeds[:-1]))
        rngs = [random.Random(seed) for seed in seeds]  # noqa: S311  no secret
        work = [self._candidate(situation, known, index, rng) for index, rng in enumerate(rngs[:-1])]
        if self.merge:
            work.append(self._merge(situation, known, rngs[-1]))
        return [proposal for proposal in await together(work) if proposal is not None]

    async def _first(self, situation: Situation, index: int, seed: int) -> Proposal:
        """A whole workflow, for a benchmark without a hand-written one."""
        size = self._size(situation)
        request = opening(
            situation, size, index=index, sampling=Sampling(self.temperature, None, size.max_tokens, seed)
        )
        shorter = replace(request, describe_cards=False, examples=())
        form = form_of(situation.generator)
        found = await fitted(situation.generator, (request, shorter), size, form=form, repairs=self.repairs + 1)
        notes = {"how": "draft"}
        return Proposal(found.workflow, found.text, "first draft", None, found.errors, found.repairs, notes)

    # -- patches

    async def _candidate(
        self, situation: Situation, known: Sequence[Trial], index: int, rng: random.Random
    ) -> Proposal | None:
        """A chain of patches of one parent; or, where nothing of it fails, the same with less work."""
        parent = self._parent(known, rng)
        examiner = self._examiner(situation)
        notes = Notes([], [], list(failed_edits(situation.trials, parent)), [])
        now = workflow(parent)
        for link in range(self.chain):
            examined = await examiner.examine(now, rng)
            if not examined.failed:
                break
            sample = (situation.round * MAX_CANDIDATES + index) * CALLS_PER_SAMPLE
            sample += link * self.tries * (self.repairs + 1)
            child = await self._mended(situation, parent, now, examined, notes, sample=sample, rng=rng)
            if child is None:
                break
            notes.children.append(child)
            notes.findings += examined.findings
            now = child.workflow
        if notes.children:
            return self._proposal(parent, notes)
        if not examined.failed:
            return self._lighter(situation, parent, rng)
        return self._nothing(situation, parent, notes)

    async def _mended(
        self,
        situation: Situation,
        parent: Trial,
        now: Workflow,
        examined: Examined,
        notes: Notes,
        *,
        sample: int,
        rng: random.Random,
    ) -> Child | None:
        """The first change that helps where it is meant to: a patch, else an edit that takes no model."""
        examiner = self._examiner(situation)
        broken = False
        for attempt in range(self.tries):
            seed = rng.randrange(2**31)
            ops = routed(examined.findings, free=len(notes.rejected) > 1)
            request = PatchRequest(
                situation.benchmark,
                situation.cards,
                now,
                scored(parent.validation) if now is workflow(parent) else "does better than it did",
                tuple(examined.findings),
                tuple(notes.rejected),
                self._size(situation),
                self._scope(situation, ops),
            )
            made = await patch(
                situation.generator,
                request,
                Sampling(self.temperature, None, request.size.max_tokens, seed),
                sample=sample + attempt * (self.repairs + 1),
                repairs=self.repairs,
            )
            if made.workflow is None:
                broken = True
                notes.broken.append(made)
                continue
            if not seen(situation.trials, made.workflow) and await examiner.helps(made.workflow, examined):
                return Child(made.workflow, made.edits, "patch", made.why)
            notes.rejected.append(clipped(told(made.edits), TOLD_CHARS))
        return await self._mutated(situation, now, examined, notes, rng) if broken and self.mutate else None

    async def _mutated(
        self, situation: Situation, now: Workflow, examined: Examined, notes: Notes, rng: random.Random
    ) -> Child | None:
        """An edit that no model writes, at a place that is at fault, if it helps."""
        where = rng.choice(examined.findings).step if examined.findings else None
        made = mutation(now, situation.cards, rng, self._scope(situation), step=where)
        if made is None or seen(situation.trials, made[0]):
            return None
        if await self._examiner(situation).helps(made[0], examined):
            return Child(made[0], (made[1],), "mutation", "the generator wrote no patch that can be used")
        notes.rejected.append(clipped(told((made[1],)), TOLD_CHARS))
        return None

    def _lighter(self, situation: Situation, parent: Trial, rng: random.Random) -> Proposal | None:
        """Nothing fails on train: the same with less work, if that has not been tried."""
        made = simplification(workflow(parent), situation.cards, rng, self._scope(situation))
        if made is None or seen(situation.trials, made[0]):
            return None
        child = Child(made[0], (made[1],), "simplification", "no train task that was looked at goes wrong")
        return self._proposal(parent, Notes([child], [], [], []))

    def _proposal(self, parent: Trial, notes: Notes) -> Proposal:
        last = notes.children[-1]
        why = clipped("; ".join(child.why for child in notes.children), TOLD_CHARS)
        places: list[Json] = [
            {"task": item.task, "step": item.step, "fault": item.fault, "confirmed": item.confirmed}
            for item in notes.findings
        ]
        return Proposal(
            last.workflow,
            dump(last.workflow),
            f"{last.how} of {parent.id}, which {scored(parent.validation)}: {why}",
            parent.id,
            notes={
                "how": last.how,
                "edits": [dict(edit) for child in notes.children for edit in child.edits],
                "findings": places,
                "rejected": list(notes.rejected),
                "broken": len(notes.broken),
            },
        )

    def _nothing(self, situation: Situation, parent: Trial, notes: Notes) -> Proposal | None:
        """A draft that failed: what was wrong with the patches, or that none of them helped."""
        before = len(failed_edits(situation.trials, parent))
        rejected = notes.rejected[before:]
        if rejected:
            said = f"none of {len(rejected)} edits of {parent.id} helped on the train tasks that they were for"
            how: dict[str, Json] = {"how": "screened out", "rejected": list(rejected), "broken": len(notes.broken)}
            return Proposal(None, "", said, parent.id, (said,), notes=how)
        if notes.broken:
            last = notes.broken[-1]
            how = {"how": "patch", "broken": len(notes.broken)}
            return Proposal(None, last.text, f"patch of {parent.id}", parent.id, last.errors, last.repairs, how)
        return None

    # -- merges

    async def _merge(self, situation: Situation, known: Sequence[Trial], rng: random.Random) -> Proposal | None:
        """The best workflow with what another one changed that solves tasks which the best does not."""
        best = incumbent(known)
        by_id = {trial.id: trial for trial in situation.trials}
        done = {frozenset((trial.proposal.parent, trial.proposal.notes.get("with"))) for trial in situation.trials}
        for other in sorted(known, key=lambda trial: -wins(trial, best)):
            gain = wins(other, best)
            if gain < MERGE_WINS:
                break
            base = ancestor(best, other, by_id)
            if base is None or frozenset((best.id, other.id)) in done:
                continue
            child = merged(workflow(base), workflow(best), workflow(other))
            if child is None or seen(situation.trials, child):
                continue
            try:
                ensure_sound(child, situation.cards, self._scope(situation))
            except WorkflowError:
                continue
            examiner = self._examiner(situation)
            if not await examiner.helps(child, await examiner.examine(workflow(best), rng)):
                continue
            why = f"{other.id} is ahead by {gain:.1f} tasks where {best.id} is not at its best"
            notes: dict[str, Json] = {"how": "merge", "with": other.id}
            return Proposal(child, dump(child), f"merge of {best.id} and {other.id}: {why}", best.id, notes=notes)
        return None

    # -- small things

    def _parent(self, known: Sequence[Trial], rng: random.Random) -> Trial:
        best = incumbent(known)
        if rng.random() < self.greed:
            return best
        pool = archive(known)
        weights = shares(pool)
        return rng.choices(pool, weights)[0] if math.fsum(weights) > 0 else best

    def _size(self, situation: Situation) -> Size:
        return size_of(situation.generator, max_tokens=self.max_tokens, prompt_chars=self.prompt_chars)

    def _scope(self, situation: Situation, ops: tuple[Op, ...] | None = None) -> Scope:
        size = self._size(situation)
        models = tuple(name.strip() for name in self.models.split(",") if name.strip())
        scope = Scope(
            max_edits=self.edits,
            limits=Limits(size.max_steps, size.max_instruction_chars, size.max_note_chars),
            models=models,
        )
        return scope if ops is None else replace(scope, ops=ops)

    def _examiner(self, situation: Situation) -> Examiner:
        size = self._size(situation)
        small = size.prompt_chars <= SMALL.prompt_chars
        judge = Judge(
            situation.generator,
            situation.benchmark.description,
            task_chars=400 if small else 2000,
            result_chars=160 if small else 800,
            why_chars=size.max_note_chars,
            max_tokens=size.max_tokens,
        )
        return Examiner(situation.laboratory, judge, situation.benchmark.train, self.probes, self.look, self.depth)


PLUGIN = Evolve
