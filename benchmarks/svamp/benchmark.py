"""SVAMP's rows as tasks. What benchmark.yaml cannot say."""

from collections.abc import Mapping
from typing import Any

from autoflow.core.task import Task


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A row of the published file: story and question are one text, the id is the number in `chal-17`."""
    body = row["Body"].strip()
    if body[-1:] not in {".", "!", "?"}:
        body += "."
    return Task(
        id=str(row["ID"]).removeprefix("chal-"),
        text=f"{body} {row['Question'].strip()}",
        reference={"answer": row["Answer"]},
        # One row says Divison.
        category=row["Type"].replace("Divison", "Division"),
    )
