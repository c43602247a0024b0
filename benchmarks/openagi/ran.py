"""What running a plan on a task's samples came to, and the figures made of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoflow.core.json import Json, digest

from . import execute
from .crew import Crew, Failed, Outcome
from .expert import ExpertFaultError
from .goal import Goal
from .machine import Outcome as Symbolic
from .metrics import Measured, Metric
from .modules import MODULES
from .samples import Sample

_SHOWN = 300
# Characters of an output text in the report.


@dataclass(frozen=True, slots=True)
class Ran:
    """A plan on samples, sample by sample."""

    goal: Goal
    symbolic: Symbolic
    samples: Sequence[Sample]
    values: Sequence[Mapping[int, Outcome]]
    """Every value of the plan by its number, one mapping a sample."""

    batch_size: int

    @property
    def outputs(self) -> list[Outcome]:
        """What the plan left of each sample."""
        return [row[self.symbolic.result] for row in self.values]

    @property
    def failed(self) -> Failed | None:
        """The first sample that a model refused; `None` if none was."""
        return next((output for output in self.outputs if isinstance(output, Failed)), None)

    @property
    def digest(self) -> str:
        """Of what was computed: equal for the flat and the postfix form of a plan."""
        return digest([[item.module, item.operands] for item in self.symbolic.applications])[:8]

    def pictures(self, row: int) -> tuple[Any, Any, Any]:
        """A sample's picture as it came, the last one that the plan made, and the original; `None` where there is
        none."""
        given = [self.samples[row].inputs[place] for place, item in enumerate(self.goal.inputs) if item.type == "image"]
        made = [
            self.values[row][place]
            for place, item in enumerate(self.symbolic.applications, len(self.goal.inputs))
            if MODULES[item.module].output == "image"
        ]
        sound = [value for value in made if not isinstance(value, Failed)]
        return (given[0] if given else None, sound[-1] if sound else None, self.samples[row].original)


async def run(goal: Goal, symbolic: Symbolic, samples: Sequence[Sample], crew: Crew, batch_size: int) -> Ran:
    """Run a plan that the plan machine accepted on the samples, in batches, in their order.

    Raises:
        ExpertFaultError: If a model broke.
    """
    graph = execute.compile_plan(symbolic.applications, len(goal.inputs), crew)
    found: list[Mapping[int, Outcome]] = []
    for batch in batches(samples, batch_size):
        given = [[sample.inputs[place] for sample in batch] for place in range(len(goal.inputs))]
        values = await execute.run_batch(graph, given)
        found += [{place: column[row] for place, column in values.items()} for row in range(len(batch))]
    return Ran(goal, symbolic, samples, found, batch_size)


def batches(items: Sequence[Any], size: int) -> list[Any]:
    """The items in their order, `size` at a time; the last batch may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def measure(metric: Metric, ran: Ran) -> list[list[Measured | None]]:
    """One result a sample, by batches; `None` for a sample that failed.

    Raises:
        ExpertFaultError: If the metric broke.
    """
    return [
        _batch(metric, outputs, samples)
        for outputs, samples in zip(
            batches(ran.outputs, ran.batch_size), batches(ran.samples, ran.batch_size), strict=True
        )
    ]


def _batch(metric: Metric, outputs: Sequence[Any], samples: Sequence[Sample]) -> list[Measured | None]:
    sound = [place for place, output in enumerate(outputs) if not isinstance(output, Failed)]
    found: list[Measured | None] = [None] * len(outputs)
    if sound:
        try:
            made = metric.measure([outputs[place] for place in sound], [samples[place] for place in sound])
        except Exception as error:  # boundary: a metric may be a model
            raise ExpertFaultError(f"the metric {metric.name} broke: {type(error).__name__}: {error}") from error
        for place, item in zip(sound, made, strict=True):
            found[place] = item
    return found


@dataclass(frozen=True, slots=True)
class Figure:
    """A task's figure."""

    value: float | None
    """`None`: a distance of which a sample failed."""

    batches: tuple[float, ...]


def aggregate(metric: Metric, measured: Sequence[Sequence[Measured | None]], *, over_batches: bool) -> Figure:
    """The task's figure, over its samples or over its batches. A failed sample counts 0 in a score."""
    items = [item for batch in measured for item in batch]
    if not metric.is_score and any(item is None for item in items):
        return Figure(None, ())
    scores = [[0.0 if item is None else item.score for item in batch] for batch in measured]
    figures = tuple(metric.batch(batch) for batch in scores)
    flat = [score for batch in scores for score in batch]
    return Figure(math.fsum(figures) / len(figures) if over_batches else math.fsum(flat) / len(flat), figures)


def row(sample: Sample, output: Outcome, item: Measured | None) -> dict[str, Json]:
    """A sample in the report."""
    shown: dict[str, Json] = {"sample": sample.name, "score": None if item is None else item.score}
    if isinstance(output, Failed):
        return {**shown, "failed": f"{output.module}: {output.message}"}
    assert item is not None
    return {**shown, **({"output": output[:_SHOWN]} if isinstance(output, str) else {}), **item.parts}


def caption(figures: Mapping[str, Json]) -> str:
    """A sample below its pictures."""
    name = str(figures["sample"])
    if "failed" in figures:
        return f"{name}: failed"
    if "psnr_db" in figures:
        return (
            f"{name}: PSNR {figures['psnr_db']} dB ({figures['gain_psnr_db']:+}), "
            f"SSIM {figures['ssim']} ({figures['gain_ssim']:+})"
        )
    return f"{name}: {figures.get('output', '')}  [{figures['score']}]"


def gains(rows: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Mean gains over the damaged pictures, of samples that have one."""
    found: list[Any] = [row for row in rows if "gain_psnr_db" in row]
    if not found:
        return {}
    psnr = math.fsum(row["gain_psnr_db"] for row in found) / len(found)
    similarity = math.fsum(row["gain_ssim"] for row in found) / len(found)
    return {
        "restored pictures": len(found),
        "mean PSNR gain over the damaged pictures, dB": round(psnr, 3),
        "mean SSIM gain over the damaged pictures": round(similarity, 4),
    }


def figures(details: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """The mean over tasks of each metric that is no score, which no other mean of the report has."""
    found: dict[str, list[float]] = {}
    for item in details:
        figure = item.get("figure")
        if isinstance(figure, int | float):
            found.setdefault(str(item["metric"]), []).append(float(figure))
    return {f"mean {name}": round(math.fsum(values) / len(values), 6) for name, values in found.items()}
