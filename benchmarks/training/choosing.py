"""Rules that choose one of several drafts of a task, by the drafts alone: no rule sees a score.

A draft of a held-out task must not be chosen by what it scores there. What may be learned from scores, on validation
tasks, is which rule to apply.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoflow.runs.ledger import Ledger
from autoflow.zero_shot import INVALID, PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draft of a task with what came of it."""

    plan: tuple[str, ...] | None
    """Its operators in order; `None` where it is no workflow."""

    score: float
    """For the tables; rules are not given it."""


Plans = Sequence[tuple[str, ...] | None]
"""Of one task, in the order drawn."""

Rule = Callable[[Plans], int]
"""The place of the draft that is taken."""


def first(plans: Plans) -> int:
    """The first: a single draw."""
    return 0


def most_frequent(plans: Plans) -> int:
    """The plan drawn most often, a draft that is no workflow being a plan like any other."""
    return _most_frequent(plans, plans)


def most_frequent_valid(plans: Plans) -> int:
    """The plan drawn most often; the first draft where none is a workflow."""
    return _most_frequent(plans, _valid(plans))


def shortest_frequent(plans: Plans) -> int:
    """Of the plans drawn at least half as often as the most frequent one, the shortest: what is needless comes and
    goes from draft to draft."""
    valid = _valid(plans)
    counts = Counter(valid)
    most = max(counts.values(), default=0)
    short = min((len(plan) for plan in valid if 2 * counts[plan] >= most), default=0)
    return _most_frequent(plans, [plan for plan in valid if 2 * counts[plan] >= most and len(plan) == short])


RULES: Mapping[str, Rule] = {
    "first": first,
    "most frequent": most_frequent,
    "most frequent valid": most_frequent_valid,
    "shortest frequent": shortest_frequent,
}
"""In the order in which equal ones are preferred."""


def best_rule(tasks: Sequence[Sequence[Drawn]]) -> tuple[str, dict[str, float]]:
    """The rule with the best mean score over these tasks, and every rule's mean. For validation tasks only."""
    means = {name: sum(chosen(rule, drawn).score for drawn in tasks) / len(tasks) for name, rule in RULES.items()}
    return max(RULES, key=lambda name: means[name]), means


def chosen(rule: Rule, drawn: Sequence[Drawn]) -> Drawn:
    """The draft that the rule takes."""
    return drawn[rule([item.plan for item in drawn])]


def read(run: Path, split: str, epochs: int) -> dict[str, list[Drawn]]:
    """The drafts of a finished run of `autoflow bench --generator`, by task, in the order drawn.

    A task of which a fault took drafts or scores is left out.
    """
    found: dict[str, list[Drawn]] = {}
    with Ledger.reading(run / "ledger.sqlite") as ledger:
        for result in ledger.results(PLACEHOLDER.fingerprint(), split):
            drafts = found.setdefault(result.place.task, [])
            if result.score.value is None:
                continue
            plan = result.score.details.get("plan")
            invalid = result.score.reason == INVALID or not isinstance(plan, list)
            drafts.append(Drawn(None if invalid else tuple(map(str, plan)), result.score.value))
    return {task: drafts for task, drafts in found.items() if len(drafts) == epochs}


def _valid(plans: Plans) -> list[tuple[str, ...]]:
    return [plan for plan in plans if plan is not None]


def _most_frequent(plans: Plans, among: Plans) -> int:
    """The first place of what is most often among them; of equals the one drawn earlier; 0 for none."""
    # The counter keeps the order of first sight, and `most_common` keeps it among equals.
    common = Counter(among).most_common(1)
    return plans.index(common[0][0]) if common else 0
