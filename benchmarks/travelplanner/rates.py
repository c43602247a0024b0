"""The six reported rates, over all questions asked (Xie et al. 2024, arXiv:2402.01622, section 3.4)."""

from collections.abc import Iterable
from dataclasses import dataclass

COMMONSENSE = 8
"""Commonsense constraints of every question."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What held of one question's plan."""

    delivered: bool
    commonsense: int
    """Of the eight."""

    hard: int
    """0 where they were not judged: for a plan that is incomplete or leaves the sandbox."""

    stated: int
    """Hard constraints that the question has, judged or not; at least 1."""

    @property
    def sensible(self) -> bool:
        """Every commonsense constraint holds."""
        return self.commonsense == COMMONSENSE

    @property
    def obedient(self) -> bool:
        """Every hard constraint holds."""
        return self.hard == self.stated


def rates(counted: Iterable[Counted]) -> dict[str, float]:
    """Each in [0, 1]; empty where nothing was counted. Micro is the share of constraints, macro that of questions."""
    rows = list(counted)
    if not rows:
        return {}
    return {
        "delivery rate": sum(row.delivered for row in rows) / len(rows),
        "commonsense micro": sum(row.commonsense for row in rows) / (COMMONSENSE * len(rows)),
        "commonsense macro": sum(row.sensible for row in rows) / len(rows),
        "hard micro": sum(row.hard for row in rows) / sum(row.stated for row in rows),
        "hard macro": sum(row.obedient for row in rows) / len(rows),
        "final pass rate": sum(row.sensible and row.obedient for row in rows) / len(rows),
    }
