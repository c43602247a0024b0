"""Every form that a report is written in, and how it reaches the disk."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from autoflow.report.evidence import Evidence
from autoflow.report.matrix import Matrix
from autoflow.report.plots import PICTURES
from autoflow.runs.folder import info

TEXTS = ("html", "md", "json", "junit")
FORMATS = (*TEXTS, *PICTURES)


def opened(folder: Path) -> AbstractContextManager[Evidence | Matrix]:
    """The run, for reading.

    Raises:
        RunError: If it is no run folder, damaged, or of a kind that has no report.
    """
    kind = (info(folder).config or {}).get("kind")
    return Matrix(folder) if kind == "matrix" else Evidence(folder)


def parts(run: Evidence | Matrix, form: str) -> Iterator[str]:
    """The report in that form (one of `TEXTS`), part by part."""
    if isinstance(run, Matrix):
        from autoflow.report import matrix

        return {"html": matrix.page, "md": matrix.markdown, "json": matrix.document, "junit": matrix.junit}[form](run)
    if form == "html":
        from autoflow.report.page import page

        return page(run)
    from autoflow.report import text

    return {"md": text.markdown, "json": text.document, "junit": text.junit}[form](run)


def picture(run: Evidence | Matrix, form: str) -> bytes:
    """The report as a picture (one of `PICTURES`).

    Raises:
        MissingDependencyError: Without matplotlib.
        RunError: If nothing is scored yet.
    """
    from autoflow.report import plots

    known = next(item for item in PICTURES if item == form)
    return plots.of_matrix(run, known) if isinstance(run, Matrix) else plots.of_run(run, known)


def whole(file: Path, parts: Iterable[str | bytes]) -> None:
    """Write the parts to the file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as stream:
            stream.writelines(part.encode() if isinstance(part, str) else part for part in parts)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
