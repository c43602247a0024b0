"""What a constraint says of a plan."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from .database import Database
from .plan import Day
from .question import Question

Verdict: TypeAlias = str | None
"""Why the constraint does not hold; `None`: it holds."""

Constraint: TypeAlias = Callable[[Question, Sequence[Day], Database], Verdict]

Verdicts: TypeAlias = Mapping[str, Verdict]
"""By the constraint's published name."""
