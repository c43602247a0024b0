"""The report of a matrix: rows and generators against interpreters, and every task under each of them.

The table is the matrix's own `report.json`; the tasks are read from the cells' run folders.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from autoflow.core.json import Json
from autoflow.errors import RunError
from autoflow.report.evidence import Evidence, Source, read_json
from autoflow.report.text import cell as _cell
from autoflow.report.text import suite
from autoflow.runs.folder import info
from autoflow.summary import count

MEASURED = "measured"
# The folder in a generator's cell that its best workflow is measured in.

_TASKS = 5000
# Rows of the page's table of tasks; beyond this the page says how many are left out.


@dataclass(frozen=True, slots=True)
class Measured:
    """A cell with what its run folder holds."""

    cell: Mapping[str, Any]
    scores: Mapping[str, float | None]
    """By task, epochs averaged; empty where nothing was measured."""

    @property
    def row(self) -> str:
        return str(self.cell["row"])

    @property
    def interpreter(self) -> str:
        return str(self.cell["interpreter"])

    @property
    def mean(self) -> str:
        """As a table shows it."""
        if self.cell["mean"] is None:
            state = self.cell["state"]
            return "not begun" if state is None else "–" if state == "complete" else f"– ({state})"
        stopped = "" if self.cell["state"] == "complete" else f" ({self.cell['state']})"
        low, high = self.cell["low"], self.cell["high"]
        return f"{self.cell['mean']:.3f} [{low:.3f}, {high:.3f}] n {self.cell['n']}{stopped}"


class Matrix:
    """A matrix, opened for reading. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            RunError: If it is no folder of a matrix, damaged, or has no report yet.
        """
        self.folder = folder
        self.info = info(folder)
        report = read_json(folder / "report.json")
        if report is None or report.get("kind") != "matrix":
            raise RunError(
                f"{folder}: the matrix has no report yet",
                hint="it is written when a sitting ends; the same command resumes one that was killed",
            )
        self.report: Mapping[str, Any] = report
        self.texts: dict[str, tuple[str, str]] = {}
        self._stack = ExitStack()
        self._sources: list[tuple[Measured, Source | None]] = []
        for cell in report["cells"]:
            source = self._source(cell)
            self._sources.append((Measured(cell, {} if source is None else source.by_task()), source))

    def __enter__(self) -> "Matrix":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def cells(self) -> list[Measured]:
        """Column by column, each in the order of the rows."""
        return [measured for measured, _ in self._sources]

    @property
    def sources(self) -> list[tuple[Measured, Source]]:
        """The cells that were measured, with their results."""
        return [(measured, source) for measured, source in self._sources if source is not None]

    def at(self, row: str, interpreter: str) -> Measured:
        """The cell there."""
        return next(cell for cell in self.cells if (cell.row, cell.interpreter) == (row, interpreter))

    def _source(self, cell: Mapping[str, Any]) -> Source | None:
        if cell.get("folder") is None:
            return None
        folder = self.folder / Path(str(cell["folder"])).name
        # A generator's cell is the run that searched; what it found is measured in a folder inside.
        measured = folder / MEASURED if (folder / MEASURED).is_dir() else folder
        if not (measured / "ledger.sqlite").is_file():
            return None
        evidence = self._stack.enter_context(Evidence(measured))
        self.texts.update(evidence.texts())
        sources = evidence.sources() if evidence.kind == "bench" else []
        return sources[0] if sources else None


def markdown(matrix: Matrix) -> Iterator[str]:
    """Title, the table, what each cell took, notes and the command."""
    report = matrix.report
    yield f"# {_cell(matrix.folder.name)}\n\n{_cell(_title(matrix))}\n\n"
    yield _row(["", *report["interpreters"]]) + _row(["---"] * (1 + len(report["interpreters"])))
    for row in report["rows"]:
        yield _row([_cell(row), *(_cell(matrix.at(row, name).mean) for name in report["interpreters"])])
    yield "\n" + _row(_DETAILS) + _row(["---"] * len(_DETAILS))
    for cell in matrix.cells:
        yield _row([_cell(item) for item in _details(cell)])
    for line in _closing(matrix):
        yield f"\n{_cell(line)}\n"
    if report.get("command"):
        yield f"\n```\n{report['command']}\n```\n"


def document(matrix: Matrix) -> Iterator[str]:
    """The matrix's own report, with the score of every task in every cell."""
    results = [
        {"row": cell.row, "interpreter": cell.interpreter, "task": task, "score": value}
        for cell in matrix.cells
        for task, value in cell.scores.items()
    ]
    value = {
        "schema": "autoflow.report/1",
        "run": matrix.folder.name,
        "kind": "matrix",
        "state": matrix.info.state,
        "report": matrix.report,
        "results": results,
    }
    yield json.dumps(value, indent=1) + "\n"


def junit(matrix: Matrix) -> Iterator[str]:
    """A suite a cell, a case a task: failed below full score, an error where it has none."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
    for cell, source in matrix.sources:
        yield from suite(source, f"{cell.row} under {cell.interpreter}")
    yield "</testsuites>\n"


def page(matrix: Matrix) -> Iterator[str]:
    """One HTML file without script. A cell's shade repeats its number: it can be read without colours."""
    style = (Path(__file__).parent / "assets" / "page.css").read_text(encoding="utf-8") + _STYLE
    report, name = matrix.report, escape(matrix.folder.name)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'\">\n"
        f"<title>{name}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the report</a>\n'
        f'<header><h1>{name}</h1><p id="lead">{escape(_title(matrix))}</p></header>\n<main id="main" tabindex="-1">\n'
    )
    yield '<section aria-labelledby="h-matrix"><h2 id="h-matrix">Scores</h2>\n'
    yield _table("Mean score of each row under each interpreter", _scores(matrix))
    yield '</section>\n<section aria-labelledby="h-cells"><h2 id="h-cells">What each cell took</h2>\n'
    heads = "".join(f'<th scope="col"{_class(heading)}>{heading}</th>' for heading in _DETAILS)
    rows = [
        "".join(
            f"<td{_class(heading) if item else ''}>{escape(item)}</td>"
            for heading, item in zip(_DETAILS, _details(cell), strict=True)
        )
        for cell in matrix.cells
    ]
    yield _table("Cost of each cell", f"<thead><tr>{heads}</tr></thead><tbody>{_lines(rows)}</tbody>")
    yield '</section>\n<section aria-labelledby="h-tasks"><h2 id="h-tasks">Tasks</h2>\n'
    yield from _tasks(matrix)
    yield '</section>\n<section aria-labelledby="h-notes"><h2 id="h-notes">Notes</h2>\n'
    yield "".join(f"<p>{escape(line)}</p>\n" for line in _closing(matrix))
    if report.get("command"):
        yield f"<pre>{escape(str(report['command']))}</pre>\n"
    yield "</section>\n</main>\n</body>\n</html>\n"


_STYLE = """
td.score, th.score { padding: 4px 10px; } td.score { white-space: nowrap; }
.wide th[scope=row] { padding-right: 16px; overflow-wrap: anywhere; min-width: 64px; }
section[aria-labelledby=h-matrix] th[scope=row] { min-width: 130px; }
.wide caption { position: absolute; left: -9999px; }
.wide { max-height: 560px; overflow: auto; }
td.text { min-width: 220px; max-width: 44ch; }
@media (max-width: 800px) { td.score { white-space: normal; } td.text { min-width: 150px; } }
""" + "".join(
    f".s{tenth} {{ background: color-mix(in srgb, var(--mark) {5 + 3 * tenth}%, var(--paper)); }}\n"
    for tenth in range(11)
)

_DETAILS = ["row", "interpreter", "unscored", "calls", "tokens", "USD", "against the first row"]
_NUMBERS = {"unscored", "calls", "tokens", "USD"}


def _title(matrix: Matrix) -> str:
    config = matrix.report["config"]
    return (
        f"{matrix.report['score']} on {config['benchmark']}, split {config['split']}, seed {config['seed']}, "
        f"{count(int(config['epochs']), 'epoch')}; mean with 95 % interval; {matrix.info.state}"
    )


def _details(cell: Measured) -> list[str]:
    found, spend, against = cell.cell, cell.cell["spend"], cell.cell["against_first"]
    compared = "–"
    if against is not None:
        adjusted = "" if against["p_holm"] is None else f" (p = {against['p_holm']:.3f} adjusted)"
        compared = f"{against['verdict']}{adjusted}"
    usd = f"{spend['usd']:.4f}" + (f" and {spend['unpriced']} unpriced" if spend["unpriced"] else "")
    unscored = "–" if found["unscored"] is None else str(found["unscored"])
    tokens = spend["input_tokens"] + spend["output_tokens"]
    return [
        cell.row,
        cell.interpreter,
        unscored,
        f"{spend['calls']:,}",
        f"{tokens:,}",
        usd,
        compared,
    ]


def _closing(matrix: Matrix) -> list[str]:
    report = matrix.report
    lines = [] if report["state"] == "complete" else [f"Not complete ({report['state']}); the same command resumes."]
    lines += [f"{cell.row} under {cell.interpreter}: {cell.cell['note']}" for cell in matrix.cells if cell.cell["note"]]
    return [*lines, *(f"Note: {note}" for note in report["notes"])]


def _scores(matrix: Matrix) -> str:
    interpreters = matrix.report["interpreters"]
    heads = "".join(f'<th scope="col" class="score">{escape(name)}</th>' for name in interpreters)
    rows = []
    for row in matrix.report["rows"]:
        cells = (matrix.at(row, name) for name in interpreters)
        rows.append(
            f'<th scope="row">{escape(row)}</th>' + "".join(_shaded(cell.cell["mean"], cell.mean) for cell in cells)
        )
    return f'<thead><tr><th scope="col">workflow or generator</th>{heads}</tr></thead><tbody>{_lines(rows)}</tbody>'


def _tasks(matrix: Matrix) -> Iterator[str]:
    measured = [cell for cell in matrix.cells if cell.scores]
    tasks = list(dict.fromkeys(task for cell in measured for task in cell.scores))
    if not tasks:
        yield "<p>No task is measured yet.</p>\n"
        return
    # What the cells disagree about comes first: it tells them apart.
    tasks.sort(key=lambda task: -_spread([cell.scores.get(task) for cell in measured]))
    yield f"<p>{count(len(tasks), 'task')}; those that the cells score most differently come first.</p>\n"
    if len(tasks) > _TASKS:
        yield f"<p>The first {_TASKS:,} are shown; --format json has all.</p>\n"
    heads = "".join(
        f'<th scope="col" class="score">{escape(cell.row)}<br>{escape(cell.interpreter)}</th>' for cell in measured
    )
    rows = []
    for task in tasks[:_TASKS]:
        scores = [cell.scores.get(task) for cell in measured]
        text = matrix.texts.get(task, ("", ""))[0]
        cells = "".join(_shaded(value, "–" if value is None else f"{value:.3f}") for value in scores)
        rows.append(f'<th scope="row">{escape(task)}</th><td class="text">{escape(text[:300])}</td>{cells}')
    head = f'<thead><tr><th scope="col">task</th><th scope="col">text</th>{heads}</tr></thead>'
    yield _table("Score of each task in each cell", f"{head}<tbody>{_lines(rows)}</tbody>")


def _spread(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0.0


def _shaded(value: float | None, text: str) -> str:
    if value is None:
        return f"<td>{escape(text)}</td>"
    tenth = round(10 * min(1.0, max(0.0, value)))
    return f'<td class="score s{tenth}">{escape(text)}</td>'


def _table(caption: str, content: str) -> str:
    # It can be scrolled by keys where it is wider than the page.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>{content}</table></div>\n"
    )


def _lines(rows: Sequence[str]) -> str:
    return "".join(f"<tr>{row}</tr>\n" for row in rows)


def _class(heading: str) -> str:
    return ' class="number"' if heading in _NUMBERS else ' class="said"' if heading == _DETAILS[-1] else ""


def _row(cells: Sequence[Json]) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"
