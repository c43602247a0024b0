"""GSM8K's rows as tasks. What benchmark.yaml cannot say."""

from collections.abc import Mapping
from typing import Any

from autoflow.core.task import Task


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A row of the published test file, or of AFlow's splits, whose ids end in the number of that row."""
    identity = str(row["id"]).rsplit("-", 1)[-1] if "id" in row else str(index)
    # The worked solution ends in "#### 18"; AFlow's files hold the number alone.
    return Task(identity, row["question"], reference={"answer": row["answer"]})
