"""A run as a picture, PNG or SVG: the score over the rounds with its interval, and what a task costs against it.

Matplotlib draws it, which the extra `plots` brings. Equal runs give equal SVG files.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from autoflow.core.front import front
from autoflow.errors import MissingDependencyError, RunError
from autoflow.report.evidence import TEST, TRAIN, VALIDATION, Evidence, Source
from autoflow.report.matrix import Matrix
from autoflow.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = Literal["png", "svg"]

PICTURES: tuple[Picture, ...] = ("png", "svg")

_MARK, _SOFT, _GOOD = "#0b5cad", "#6b7178", "#1a6b35"
_DRAWN = {TRAIN: ("o", "white", _SOFT), VALIDATION: ("o", _MARK, _MARK), TEST: ("s", _GOOD, _GOOD)}
# Marker, filling and line of a split: told apart by shape and filling, not by colour alone. Another, such as a scorer's
# own, is drawn like the one that chooses.

_NAMED = 12
# So many points bear their names; more would cover each other.


@dataclass(frozen=True, slots=True)
class Point:
    """A workflow on a split."""

    id: str
    round: int
    split: str
    interval: Interval
    cost: float | None
    """Of a task, in dollars or tokens; `None` where it is not known."""

    whole: bool
    """It has seen every task of the split: what lost a race has not."""


def points(evidence: Evidence) -> tuple[list[Point], str]:
    """The workflows with scores, and the unit of their cost: dollars where every call has a price and one costs."""
    sources = [source for source in evidence.sources() if source.interval(evidence.seed) is not None]
    spent = [result.spend for source in sources for result in source.results()]
    dollars = bool(spent) and not any(spend.unpriced for spend in spent) and any(spend.usd for spend in spent)
    seen: dict[str, int] = {}
    for source in sources:
        seen[source.split] = max(seen.get(source.split, 0), len(source.by_task()))
    found = []
    for source in sources:
        interval = source.interval(evidence.seed)
        assert interval is not None  # noqa: S101  chosen so above
        whole = len(source.by_task()) == seen[source.split]
        cost = _cost(source, dollars)
        found.append(Point(source.candidate.id, source.candidate.round, source.split, interval, cost, whole))
    return found, "US dollars" if dollars else "tokens"


def _cost(source: Source, dollars: bool) -> float | None:
    results = list(source.results())
    if not dollars and any(result.spend.uncounted for result in results):
        return None
    return sum(result.spend.usd if dollars else result.spend.tokens for result in results) / len(results)


def of_run(evidence: Evidence, form: Picture) -> bytes:
    """The file of a `bench` or `improve` run.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        RunError: If nothing of the run is scored.
    """
    found, unit = points(evidence)
    if not found:
        raise RunError(f"{evidence.folder}: nothing is scored yet, so there is nothing to draw")
    with _drawing(f"{evidence.folder.name} ({evidence.info.state})", (12, 5)) as drawn:
        rounds, costs = drawn.subplots(1, 2)
        _rounds(rounds, found, evidence)
        _front(costs, found, unit, evidence)
        return _written(drawn, form)


def of_matrix(matrix: Matrix, form: Picture) -> bytes:
    """The file of a matrix: its table, shaded by the mean.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        RunError: If nothing of the matrix is scored.
    """
    rows, columns = matrix.report["rows"], matrix.report["interpreters"]
    means = [[matrix.at(row, name).cell["mean"] for name in columns] for row in rows]
    if all(value is None for row in means for value in row):
        raise RunError(f"{matrix.folder}: nothing is scored yet, so there is nothing to draw")
    title = f"{matrix.folder.name} ({matrix.info.state}): {matrix.report['score']}"
    with _drawing(title, (3 + 2.6 * len(columns), 1.6 + 0.8 * len(rows))) as drawn:
        axes = drawn.subplots()
        shades = [[float("nan") if value is None else value for value in row] for row in means]
        axes.imshow(shades, cmap="Blues", vmin=0.0, vmax=1.6, aspect="auto")
        for y, row in enumerate(rows):
            for x, name in enumerate(columns):
                text = matrix.at(row, name).mean.replace(" n ", "\nn ")
                axes.text(x, y, text, ha="center", va="center", fontsize=8, parse_math=False)
        axes.set_xticks(range(len(columns)), [name[:40] for name in columns], parse_math=False)
        axes.set_yticks(range(len(rows)), [row[:40] for row in rows], parse_math=False)
        return _written(drawn, form)


@contextmanager
def _drawing(title: str, size: tuple[float, float]) -> "Iterator[Figure]":
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "pictures need the package matplotlib", hint="pip install 'autoflow[plots]'"
        ) from error
    # Text stays text, and names of elements follow from the content: two drawings of a run are the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "autoflow", "font.size": 10}):
        drawn = Figure(figsize=size, dpi=120, layout="constrained")
        drawn.suptitle(title, parse_math=False)
        yield drawn


def _written(drawn: "Figure", form: Picture) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that the font lacks are boxes in a PNG; an SVG holds them as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn.savefig(out, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return out.getvalue()


def _rounds(axes: Any, found: Sequence[Point], evidence: Evidence) -> None:
    chosen = _choosing(found)
    for split in sorted({point.split for point in found}, key=lambda name: [*_DRAWN, name].index(name)):
        marker, face, edge = _DRAWN.get(split, _DRAWN[VALIDATION])
        mine = [point for point in found if point.split == split]
        places = _places(mine, split)
        for point, x in zip(mine, places, strict=True):
            axes.plot([x, x], [point.interval.low, point.interval.high], color=edge, linewidth=1.5, zorder=1)
        axes.scatter(
            places,
            [point.interval.mean for point in mine],
            marker=marker,
            facecolor=face,
            edgecolor=edge,
            s=40,
            zorder=2,
            label=f"{split}, 95 % interval",
        )
        if split == chosen and len(mine) <= _NAMED:
            for point, x in zip(mine, places, strict=True):
                _name(axes, point, x, point.interval.mean, evidence)
    steps = sorted((point for point in found if point.split == chosen and point.whole), key=lambda item: item.round)
    best, line = -1.0, []
    for number in sorted({point.round for point in steps}):
        best = max([best, *(point.interval.mean for point in steps if point.round == number)])
        line.append((number, best))
    last = max(point.round for point in found)
    line.append((last, best))
    if last:
        axes.step(*zip(*line, strict=True), where="post", color=_MARK, linestyle="--", linewidth=1, label="best so far")
    axes.set_xticks(range(0, last + 1, max(1, last // 10)))
    axes.set_xlim(-0.6, last + 0.6)
    axes.set_ylim(-0.03, 1.09)
    axes.set_xlabel("round")
    axes.set_ylabel(textwrap.fill(evidence.label, 50), parse_math=False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#dddddd")
    axes.legend(loc="best", fontsize=8)


def _front(axes: Any, found: Sequence[Point], unit: str, evidence: Evidence) -> None:
    split = _choosing(found)
    known = [point for point in found if point.split == split and point.cost is not None]
    axes.set_xlabel(f"{unit} a task, {split}")
    axes.set_ylim(-0.03, 1.09)
    axes.set_axisbelow(True)
    axes.grid(color="#dddddd")
    if not known:
        axes.text(0.5, 0.5, "no cost is known", ha="center", va="center", transform=axes.transAxes)
        return
    whole = [point for point in known if point.whole]
    best = [whole[index] for index in front([(p.interval.mean, -(p.cost or 0.0)) for p in whole])]
    rest = [point for point in known if point not in best]
    for group, marker, face, label in ((best, "D", _MARK, "front"), (rest, "o", "white", "beaten, or not run on all")):
        if group:
            edge = _MARK if group is best else _SOFT
            axes.scatter(
                [point.cost for point in group],
                [point.interval.mean for point in group],
                marker=marker,
                facecolor=face,
                edgecolor=edge,
                s=45,
                zorder=2,
                label=label,
            )
    line = sorted(best, key=lambda point: point.cost or 0.0)
    axes.plot([p.cost for p in line], [p.interval.mean for p in line], color=_MARK, linewidth=1, zorder=1)
    for point in known if len(known) <= _NAMED else best[:_NAMED]:
        _name(axes, point, point.cost or 0.0, point.interval.mean, evidence)
    # Room for the names, which stand to the right of their points.
    axes.set_xlim(0, 1.3 * max(point.cost or 0.0 for point in known) or 1.0)
    axes.legend(loc="best", fontsize=8)


def _name(axes: Any, point: Point, x: float, y: float, evidence: Evidence) -> None:
    chosen = " (chosen)" if point.id == evidence.best else ""
    axes.annotate(
        f"{point.id}{chosen}"[:40],
        (x, y),
        textcoords="offset points",
        xytext=(6, 4),
        fontsize=8,
        parse_math=False,
        annotation_clip=True,
        # Above the lines, below the points.
        zorder=1.5,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
    )


def _choosing(found: Sequence[Point]) -> str:
    """The split that the choice is made on; of a measured workflow, the one that it was measured on."""
    splits = {point.split for point in found}
    return next((split for split in (VALIDATION, TEST, TRAIN) if split in splits), found[0].split)


def _places(mine: Sequence[Point], split: str) -> list[float]:
    """Where points of equal rounds stand side by side; splits a little apart."""
    shift = {TRAIN: -0.12, TEST: 0.12}.get(split, 0.0)
    taken: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for point in mine:
        sizes[point.round] = sizes.get(point.round, 0) + 1
    places = []
    for point in mine:
        number = taken.get(point.round, 0)
        taken[point.round] = number + 1
        spread = min(0.1, 0.6 / sizes[point.round])
        places.append(point.round + shift + spread * (number - (sizes[point.round] - 1) / 2))
    return places
