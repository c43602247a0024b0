"""MGSM's rows as tasks. What benchmark.yaml cannot say."""

import re
from collections.abc import Mapping
from typing import Any

from autoflow.core.task import Task
from autoflow.errors import DataError


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A row of a language's file; the id is `de-17`, problem 17 (from 0) in German, the category the language.

    Raises:
        DataError: If the file's name does not say its language.
    """
    named = re.search(r"mgsm_([a-z]{2})\b", file)
    if named is None:
        raise DataError(f"{file}: must be named after its language, as in mgsm_de.tsv")
    return Task(f"{named[1]}-{index}", row["question"], reference={"answer": row["answer"]}, category=named[1])
