"""Every form that a report is written in, and how it reaches the disk."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from autoflow.report.evidence import Evidence


def parts(evidence: Evidence, form: str) -> Iterator[str]:
    """The report in that form (`html`, `md`, `json`, `junit`), part by part."""
    if form == "html":
        from autoflow.report.page import page

        return page(evidence)
    from autoflow.report import text

    return {"md": text.markdown, "json": text.document, "junit": text.junit}[form](evidence)


def whole(file: Path, parts: Iterable[str]) -> None:
    """Write the parts to the file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        stream.writelines(parts)
    new.replace(file)
