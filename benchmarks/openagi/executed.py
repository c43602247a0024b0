"""Scorers that run a plan: its expert models on the task's samples, and a metric on what comes out."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from autoflow.core.json import Json
from autoflow.core.score import Score, Scorer
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import DataError, MissingDependencyError

from . import breakdown, reference, sheet, yardstick
from . import ran as running
from .crew import Crew
from .goal import Goal, from_json
from .machine import Outcome as Symbolic
from .machine import execute as execute_symbolically
from .metrics import Metric
from .plan import Token
from .plan_score import read_plan
from .presence import blocked, remedies
from .ran import Ran
from .samples import Samples
from .yardstick import Yardstick

LONGEST_PLAN = 20
"""Modules of a plan that is run; the longest reference has 7."""

MetricOf: TypeAlias = Callable[[Goal], Metric | None]


@dataclass(frozen=True, slots=True)
class ExecutedScorer:
    """Runs the plan of a trace on the task's samples, in batches, and averages the metric over them."""

    label: str
    crew: Crew
    samples: Samples
    metric_of: MetricOf
    """The metric of a goal; `None` where the scorer has none."""

    absent: frozenset[str] = frozenset()
    """Modules to do without, beside those that the set lacks."""

    limit: int | None = None
    """Samples a task; `None`: all there are."""

    batch_size: int = 5
    over_batches: bool = False
    """Whether a task's figure is the mean over its batches, as published, and not over its samples."""

    metric_lacks: Callable[[Goal], Sequence[str]] = lambda goal: ()
    """What the metric of a goal needs and has not, in words."""

    statements: Mapping[str, Json] = field(default_factory=dict)
    """What every report says of these figures."""

    beside: bool = False
    """Whether each covered task's derived reference plan runs too, so that a report shows what the models can do."""

    folder: Path | None = None
    """Where pictures are kept; `None`: nowhere."""

    _yardsticks: dict[str, Yardstick] = field(init=False, default_factory=dict, repr=False, compare=False)
    """By task, once measured."""

    @property
    def secondary(self) -> Mapping[str, str]:
        """Shown beside the score."""
        return breakdown.SECONDARY

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the plan of the trace. `None`: the set or the samples do not cover the task.

        Raises:
            ExpertFaultError: If an expert model broke.
            DataError: If the task's samples cannot be read.
        """
        goal = from_json(task.reference)
        if not self.covers(goal, task.id):
            return Score(None, "not_covered", {"valid": None})
        parsed, source = read_plan(trace)
        found: dict[str, Json] = {"plan": [str(token) for token in parsed.tokens], "source": source}
        if parsed.code is not None:
            score = Score(0.0, parsed.code, {**found, "valid": False, "exact_match": False, "message": parsed.message})
        else:
            score = await self.execute(task, parsed.tokens, found)
        if not self.beside:
            return score
        return replace(score, details={**score.details, **(await self._yardstick(task, goal, score)).details})

    async def execute(self, task: Task, plan: tuple[Token, ...], found: Mapping[str, Json]) -> Score:
        """Judge a plan of a task that the set covers; `found` goes into the details.

        Raises:
            ExpertFaultError, DataError: As `score`.
        """
        goal = from_json(task.reference)
        symbolic = execute_symbolically(goal, plan)
        exact = plan in (reference.flat(goal), reference.postfix(goal))
        details = {**found, "valid": symbolic.code is None, "exact_match": exact}
        refused = self._refused(symbolic)
        if refused is not None:
            code, message = refused
            return Score(0.0, code, {**details, "valid": False, "message": message})
        samples = self.samples.load(goal, task.id, self.limit)
        ran = await running.run(goal, symbolic, samples, self.crew, self.batch_size)
        judged: Score = await self._in_turn(self._judged, task, ran, details)
        return judged

    def covers(self, goal: Goal, task: str) -> bool:
        """Whether the reference plan can run here and its output be judged."""
        needed = {token for token in reference.flat(goal) if isinstance(token, str)}
        return needed <= self._modules() and self.samples.covers(goal, task) and self.metric_of(goal) is not None

    def check(self, tasks: Sequence[Task]) -> None:
        """Make sure that every module of the set can load and that the tasks' samples are there.

        Raises:
            MissingDependencyError: Naming each package and weight file that is not, and what it blocks.
            DataError: Naming each missing file.
        """
        goals = {task.id: from_json(task.reference) for task in tasks}
        wanted = [self.crew.experts[module] for module in self.crew.experts if module in self._modules()]
        blocking = {expert.module: lines for expert in wanted if (lines := blocked(expert, self.crew.site))}
        covered = {task: goal for task, goal in goals.items() if self.covers(goal, task)}
        lacking = [line for lines in blocking.values() for line in lines]
        lacking += [line for goal in covered.values() for line in self.metric_lacks(goal)]
        files = [path for task, goal in covered.items() for path in self.samples.missing(goal, task)]
        shown = [*files[:20], *([f"and {len(files) - 20} more"] if len(files) > 20 else [])]
        absent = [f"samples of {len(covered)} tasks are needed, and these are missing:", *shown] if files else []
        if lacking:
            raise MissingDependencyError(
                "\n  ".join([f"{self.label} cannot run here:", *dict.fromkeys(lacking), *absent]),
                hint=remedies(list(blocking)),
            )
        if absent:
            raise DataError(
                "\n  ".join(absent), hint="autoflow openagi prepare makes them; or name fewer tasks with --tasks"
            )

    def keeping(self, folder: Path) -> Scorer:
        """The scorer, leaving its pictures in `folder`."""
        return replace(self, folder=folder)

    def groups(self, task: Task) -> Mapping[str, str]:
        """Grouping -> the task's group: plan length, form, metric."""
        metric = self.metric_of(from_json(task.reference))
        return {**breakdown.groups(task), "metric": "none" if metric is None else metric.name}

    def facts(self, judged: Sequence[tuple[Task, Score]]) -> Mapping[str, Json]:
        """What a reader needs beside the scores."""
        details = [score.details for _, score in judged]
        return {
            **self.statements,
            **running.figures(details),
            "samples": self.samples.description,
            "samples a task": "all" if self.limit is None else f"at most {self.limit}",
            "expert models": {module: expert.description for module, expert in self.crew.experts.items()},
            **running.gains([row for item in details for row in _rows(item)]),
            **yardstick.facts(judged),
        }

    async def _yardstick(self, task: Task, goal: Goal, score: Score) -> Yardstick:
        if task.id not in self._yardsticks:
            is_reference = score.details["exact_match"] is True
            best = score if is_reference else await self.execute(task, reference.flat(goal), {})
            samples, metric = self.samples.load(goal, task.id, self.limit), self.metric_of(goal)
            assert metric is not None
            nothing = await self._in_turn(yardstick.nothing, goal, samples, metric)
            self._yardsticks[task.id] = Yardstick(best, nothing)
        return self._yardsticks[task.id]

    async def _in_turn(self, work: Callable[..., Any], *given: Any) -> Any:
        """Metrics may be models: they take their turn with the experts, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.crew.pool, work, *given)

    def _modules(self) -> frozenset[str]:
        return frozenset(self.crew.experts) - self.absent

    def _refused(self, symbolic: Symbolic) -> tuple[str, str] | None:
        """Reason and message of a plan that is not run."""
        if symbolic.code is not None:
            return symbolic.code, symbolic.message
        lacking = [item.module for item in symbolic.applications if item.module not in self._modules()]
        if lacking:
            return "module_absent", f"there is no {lacking[0]} in this set of expert models; no covered task needs it"
        if len(symbolic.applications) > LONGEST_PLAN:
            return "max_steps", f"{len(symbolic.applications)} modules; a plan of more than {LONGEST_PLAN} is not run"
        return None

    def _judged(self, task: Task, ran: Ran, details: Mapping[str, Json]) -> Score:
        metric = self.metric_of(ran.goal)
        assert metric is not None
        measured = running.measure(metric, ran)
        figure = running.aggregate(metric, measured, over_batches=self.over_batches)
        results = [item for batch in measured for item in batch]
        rows = [running.row(*item) for item in zip(ran.samples, ran.outputs, results, strict=True)]
        found: dict[str, Json] = {
            **details,
            "metric": metric.name,
            "samples": rows,
            "batches": list(figure.batches),
            **({} if ran.failed is None else {"message": f"{ran.failed.module}: {ran.failed.message}"}),
            **self._keep(task, ran, rows),
        }
        if not metric.is_score:
            return Score(None, "distance", {**found, "figure": figure.value})
        assert figure.value is not None
        return Score(min(max(figure.value, 0.0), 1.0), "" if ran.failed is None else "runtime_error", found)

    def _keep(self, task: Task, ran: Ran, rows: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
        """Write the task's pictures side by side, where it has any, and what the models have done so far."""
        types = {ran.goal.output, *(item.type for item in ran.goal.inputs)}
        if self.folder is None:
            return {}
        # Not in the report: which models a sitting loads depends on what is cached.
        counts = {"loads": self.crew.loads, "samples run": self.crew.ran, "samples from the cache": self.crew.cached}
        sheet.write(self.folder / "experts.json", json.dumps(counts, indent=1).encode())
        if "image" not in types:
            return {}
        # Equal plans on equal samples give equal pictures, whatever workflow they come from.
        name = f"images/{task.id}-{ran.digest}.jpg"
        shown = [(running.caption(row), ran.pictures(place)) for place, row in enumerate(rows)]
        sheet.write(self.folder / name, sheet.sheet(shown))
        return {"pictures": name}


def _rows(details: Mapping[str, Json]) -> Sequence[Any]:
    rows: Any = details.get("samples", ())
    return list(rows)
