"""Cost in the choice: the front of score against cost, and which candidate each objective takes from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from autoflow.core.front import front
from autoflow.core.json import Json
from autoflow.core.strategy import Cost, Trial
from autoflow.improve.selection import Cost as Spent
from autoflow.improve.selection import chosen, compared, distinct, hand_written

Objective = Literal["score", "score-cost", "pareto"]
"""`score`: the best on validation. `score-cost`: the cheapest a task of what the sample cannot tell from the best.
`pareto`: the front, the best score first; a shortlist then runs so many of it on test."""

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A workflow that no other beats in both score and cost on validation."""

    id: str
    score: float
    cost: Cost
    """Of one task, on average."""

    def to_json(self) -> dict[str, Json]:
        """As a report holds it; `null` is what is not known. Seconds are left out: no two executions share them."""
        cost = self.cost
        return {"id": self.id, "score": self.score, "calls": cost.calls, "tokens": cost.tokens, "usd": cost.usd}

    def line(self) -> str:
        """One line for a person."""
        cost = self.cost
        said = [f"{cost.calls:.4g} call{'' if cost.calls == 1 else 's'}"]
        said += [f"{cost.tokens:,.0f} tokens"] if cost.tokens is not None else []
        said += [f"${cost.usd:.6f}"] if cost.usd is not None else []
        said += [f"{cost.seconds:.2f} s"] if cost.seconds is not None else []
        return f"{self.id}: {self.score:.3f} at {', '.join(said)} a task"


def prices(costs: Sequence[Cost]) -> tuple[float, ...]:
    """The costs in one unit: dollars if all are known and any is not free, else tokens if all are known, else calls."""
    for amounts in ([cost.usd for cost in costs], [cost.tokens for cost in costs]):
        known = [amount for amount in amounts if amount is not None]
        if len(known) == len(costs) and any(known):
            return tuple(known)
    return tuple(cost.calls for cost in costs)


def points(trials: Sequence[Trial]) -> tuple[FrontPoint, ...]:
    """The front, the dearest and best first. What lost a race, or has tasks unscored, is not on it."""
    known = []
    for trial in distinct(trials):
        evaluation = trial.validation
        if evaluation is None or evaluation.mean is None or evaluation.cost is None:
            continue
        if evaluation.dropped is None and not evaluation.unscored:
            known.append(FrontPoint(trial.id, evaluation.mean, evaluation.cost))
    asked = prices([point.cost for point in known])
    kept = front([(point.score, -price) for point, price in zip(known, asked, strict=True)])
    return tuple(known[index] for index in sorted(kept, key=lambda index: (-known[index].score, asked[index])))


def ordered(objective: Objective, trials: Sequence[Trial], cost: Callable[[Trial], Spent], seed: int) -> list[str]:
    """Ids of the candidates that the objective prefers to the hand-written workflow, the first choice first.

    Source of the comparison: METHODS 9.3 and 9.4, the paired test on validation.
    """
    ranked = chosen(trials, cost, seed)
    if objective == "score" or not ranked:
        return ranked
    if objective == "pareto":
        by_hand = hand_written(trials)
        return [point.id for point in points(trials) if by_hand is None or point.id != by_hand.id] or ranked
    by_id = {trial.id: trial for trial in trials}
    best = by_id[ranked[0]]
    alike = [name for name in ranked if _alike(by_id[name], best, seed)]
    return [*_cheapest([by_id[name] for name in alike]), *(name for name in ranked if name not in alike)]


def _alike(trial: Trial, best: Trial, seed: int) -> bool:
    """Whether validation does not tell the two apart."""
    if trial.id == best.id:
        return True
    assert trial.validation is not None  # noqa: S101  ranked
    assert best.validation is not None  # noqa: S101
    comparison = compared(trial.validation, best.validation, seed)
    return comparison is not None and not comparison.significant


def _cheapest(trials: Sequence[Trial]) -> list[str]:
    """Their ids, the lowest price first; of equals, and of those whose cost is not known, the earlier."""
    known = [(trial.id, trial.validation.cost) for trial in trials if trial.validation and trial.validation.cost]
    price = dict(zip((name for name, _ in known), prices([cost for _, cost in known]), strict=True))
    return sorted((trial.id for trial in trials), key=lambda name: price.get(name, float("inf")))
