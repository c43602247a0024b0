"""Reference methods that a workflow must beat to be worth its calls, as workflows: by name, for any benchmark.

    io          one call that gives the answer at once
    cot         reasoning first (arXiv:2201.11903)
    cot-sc:N    self-consistency (arXiv:2203.11171): N lines of reasoning, and the answer that most of them reach
    manual      the benchmark's hand-written workflow

A benchmark brings others, or its own of these, under `baselines` of its definition.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoflow import resources
from autoflow.core.benchmark import Benchmark
from autoflow.core.json import Json
from autoflow.core.operator import Operator
from autoflow.core.workflow import Step, Workflow
from autoflow.counting import load_of
from autoflow.errors import UnknownNameError, UsageError
from autoflow.generator.draft import answer_of
from autoflow.interpreter.settings import Settings
from autoflow.language import document
from autoflow.operators.ensemble import MOST_SAMPLES, Ensemble

MANUAL = "manual"
EQUAL = "equal"
"""In the place of N: as many samples as the workflow under test takes calls."""

_GENERAL: Mapping[str, str] = {
    "io": "baselines/io.yaml",
    "cot": "chain_of_thought.yaml",
    "cot-sc": "self_consistency.yaml",
}
# Below the bundled `workflows`.


@dataclass(frozen=True, slots=True)
class Baseline:
    """A reference method, ready to run but for its number of samples."""

    name: str
    """Without the number: "cot-sc"."""

    workflow: Workflow
    samples: int | None
    """How many are drawn; `None`: as many as the file says, or, where `equal`, not known yet."""

    equal: bool = False
    """The number follows from the workflow under test: `samples_for`, then `sampled`."""


def names(benchmark: Benchmark) -> list[str]:
    """What `find` knows, sorted."""
    manual = [] if benchmark.baseline is None else [MANUAL]
    return sorted({*benchmark.baselines, *_GENERAL, *manual})


def find(asked: str, benchmark: Benchmark, max_steps: int) -> Baseline:
    """The reference method of that name for this benchmark: "io", "cot-sc:5", "cot-sc:equal".

    Where every terminal of the hand-written workflow answers in one form, the general methods answer in it too.

    Raises:
        UnknownNameError: Listing those that there are.
        UsageError: If the number is none, is more than `max_steps` steps of a run can draw, or is given to a method
            that draws no samples.
    """
    name, colon, number = asked.partition(":")
    workflow = benchmark.baselines.get(name)
    if workflow is None and name == MANUAL:
        workflow = benchmark.baseline
    if workflow is None and name in _GENERAL:
        path = resources.folder("workflows") / _GENERAL[name]
        workflow = _answering(document.load(path).workflow, answer_of(benchmark.baseline))
    if workflow is None:
        raise UnknownNameError(f"baseline of {benchmark.name}", name, names(benchmark))
    if not colon:
        return Baseline(name, workflow, None)
    if not _draws(workflow):
        raise UsageError(f"baseline {name} draws no samples, so it takes no number", hint=f"write: --baseline {name}")
    if number == EQUAL:
        return Baseline(name, workflow, None, equal=True)
    most = most_samples(workflow, max_steps)
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= most:
        raise UsageError(
            f"baseline {name} takes a number from 1 to {most}, or {EQUAL}, not {number!r}",
            hint=None if _votes(workflow) else "each sample is a step: --max-steps bounds them",
        )
    return Baseline(name, sampled(workflow, int(number)), int(number))


def sampled(workflow: Workflow, samples: int) -> Workflow:
    """The method with so many samples: each step of the operator `ensemble` draws them; without one, the first step
    runs that often, and steps that read its result read all of them."""
    described = replace(
        workflow, name=f"{workflow.name}-{samples}", description=f"{workflow.description} N = {samples}."
    )
    if _votes(workflow):
        steps = tuple(
            replace(step, parameters={**step.parameters, "samples": samples})
            if step.operator == Ensemble.card.name
            else step
            for step in workflow.steps
        )
        return replace(described, steps=steps)
    first, *rest = workflow.steps
    drawn = [f"{first.name} {number}" for number in range(1, samples + 1)]
    copies = [
        replace(first, name=name, next=following)
        for name, following in zip(drawn, [*drawn[1:], first.next], strict=True)
    ]
    return replace(described, steps=(*copies, *(_reading(step, first.name, drawn) for step in rest)))


def most_samples(workflow: Workflow, max_steps: int) -> int:
    """How many samples the method can draw in runs of so many steps; at least 1."""
    return MOST_SAMPLES if _votes(workflow) else max(1, min(MOST_SAMPLES, max_steps - len(workflow.steps) + 1))


def samples_for(workflow: Workflow, calls_a_task: float, operators: Mapping[str, Operator], settings: Settings) -> int:
    """How many samples make `workflow` take as many calls a task as asked, as nearly as may be; at least 1."""
    one, two = (load_of(sampled(workflow, number), operators, settings).calls.low for number in (1, 2))
    wanted = 1 if two <= one else math.floor(1 + (calls_a_task - one) / (two - one) + 0.5)
    return max(1, min(wanted, most_samples(workflow, settings.max_steps)))


def _votes(workflow: Workflow) -> bool:
    return any(step.operator == Ensemble.card.name for step in workflow.steps)


def _draws(workflow: Workflow) -> bool:
    """Whether `sampled` can be meant: a vote over an ensemble, or a first step that is drawn apart from all others."""
    first = workflow.steps[0]
    alone = first.type == "process" and first.reads == () and "temperature" in first.parameters
    return alone or _votes(workflow)


def _reading(step: Step, name: str, drawn: list[str]) -> Step:
    if step.reads is None or name not in step.reads:
        return step
    at = step.reads.index(name)
    return replace(step, reads=(*step.reads[:at], *drawn, *step.reads[at + 1 :]))


def _answering(workflow: Workflow, form: Mapping[str, Json] | None) -> Workflow:
    """The workflow with the benchmark's form of an answer on its terminals."""
    if form is None:
        return workflow
    steps = tuple(replace(step, output=form) if step.type == "terminal" else step for step in workflow.steps)
    return replace(workflow, steps=steps)
