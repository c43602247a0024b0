"""MATH's rows as tasks. What benchmark.yaml cannot say."""

import hashlib
from collections.abc import Mapping
from typing import Any

from autoflow.core.task import Task
from autoflow.errors import DataError
from autoflow.scorers.wording import boxed


def task(row: Mapping[str, Any], index: int, file: str) -> Task | None:
    """A problem of level 5 in AFlow's four subjects; others are left out. No source numbers them: the id is a hash of
    the problem's letters and digits.

    Raises:
        DataError: If its solution has no box.
    """
    if row["level"] != "Level 5" or row["type"] not in _SUBJECTS:
        return None
    gold = boxed(row["solution"])
    if gold is None:
        raise DataError("the solution has no \\boxed{} answer")
    letters = "".join(character for character in row["problem"] if character.isalnum())
    identity = "m" + hashlib.sha256(letters.encode()).hexdigest()[:10]
    return Task(identity, row["problem"], reference={"answer": gold}, category=row["type"])


_SUBJECTS = ("Prealgebra", "Number Theory", "Precalculus", "Counting & Probability")
