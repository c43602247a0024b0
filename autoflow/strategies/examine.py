"""Examining a workflow on train tasks: which fail, why, and whether a changed workflow does better there."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoflow.core.strategy import Laboratory, Tried
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.strategies.blame import Finding, Judge, findings, inspected
from autoflow.strategies.drafting import together


@dataclass(frozen=True, slots=True)
class Case:
    """One task that was run."""

    task: Task
    tried: Tried
    findings: tuple[Finding, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether a run with better results showed where it went wrong."""
        return any(finding.confirmed for finding in self.findings)


@dataclass(slots=True)
class Examined:
    """What was found out about a workflow."""

    failed: list[Case] = field(default_factory=list)
    """What is to be mended: the proven cases; where there are none, cases that nobody could explain for sure."""

    passed: list[Case] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """Of all failed cases, in order."""
        return [finding for case in self.failed for finding in case.findings]


@dataclass(frozen=True, slots=True)
class Examiner:
    """Runs workflows on train tasks and reads the runs."""

    laboratory: Laboratory
    judge: Judge
    tasks: Sequence[Task]
    """The train tasks."""

    probes: int
    """Proven cases wanted."""

    look: int
    """New tasks run in one examination, at most."""

    depth: int
    """Faults looked for in one run."""

    async def examine(self, workflow: Workflow, rng: random.Random) -> Examined:
        """Run the workflow on train tasks until enough have failed for a reason that a changed run proves.

        What was run before is looked at first: it costs nothing.
        """
        shuffled = list(self.tasks)
        rng.shuffle(shuffled)
        recorded = [task for task in shuffled if self.laboratory.trace(workflow, "train", task.id) is not None]
        fresh = [task for task in shuffled if task not in recorded][: self.look]
        found = Examined()
        open_cases: list[Case] = []
        waiting = await self._run(workflow, recorded, found)
        while len(found.failed) < self.probes and (waiting or fresh):
            count = self.probes - len(found.failed)
            if not waiting:
                # As many at a time as are still wanted: none is run that would not be looked at.
                waiting = await self._run(workflow, fresh[:count], found)
                fresh = fresh[count:]
            now, waiting = waiting[:count], waiting[count:]
            for case in await together(self._read(workflow, case, rng) for case in now):
                (found.failed if case.proven else open_cases).append(case)
        if not found.failed:
            found.failed = open_cases[: self.probes]
        return found

    async def _run(self, workflow: Workflow, tasks: Sequence[Task], found: Examined) -> list[Case]:
        """The failed cases; those that went well are kept."""
        tried = await together(self.laboratory.attempt(workflow, task.id) for task in tasks)
        failed: list[Case] = []
        for task, one in zip(tasks, tried, strict=True):
            if one.result.value is not None and one.trace is not None:
                (failed if one.result.value < 1 else found.passed).append(Case(task, one))
        return failed

    async def _read(self, workflow: Workflow, case: Case, rng: random.Random) -> Case:
        judged = await findings(self.judge, self.laboratory, workflow, case.task, case.tried, depth=self.depth)
        if not judged:
            place = inspected(workflow, case.task, case.tried, rng)
            judged = [] if place is None else [place]
        return Case(case.task, case.tried, tuple(judged))

    async def helps(self, child: Workflow, examined: Examined) -> bool:
        """Whether the child gains more on the failed cases than it loses on as many that went well."""
        gain = await self._gain(child, examined.failed)
        if gain <= 0:
            return False
        return gain + await self._gain(child, examined.passed[: len(examined.failed)]) > 0

    async def _gain(self, child: Workflow, cases: Sequence[Case]) -> float:
        tried = await together(self.laboratory.attempt(child, case.task.id) for case in cases)
        gain = 0.0
        for case, after in zip(cases, tried, strict=True):
            if case.tried.result.value is not None and after.result.value is not None:
                gain += after.result.value - case.tried.result.value
        return gain
