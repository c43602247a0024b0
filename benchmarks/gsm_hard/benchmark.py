"""GSM-Hard's rows as tasks. What benchmark.yaml cannot say."""

from collections.abc import Mapping
from typing import Any

from autoflow.core.task import Task


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A row of the published file; its number is the id, and its solution program is left out."""
    return Task(str(index), row["input"], reference={"answer": row["target"]})
