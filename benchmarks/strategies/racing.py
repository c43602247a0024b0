"""Does racing choose the candidate that scoring everything would choose, and at what share of the calls?

    python benchmarks/strategies/racing.py [--draws 200] [--seed 0] [--json]

No model: 16 candidates with known true scores answer n tasks right or wrong, and race by the rule that `autoflow
improve` uses: all side by side (a round of 16), or one by one against the best so far (16 rounds of one). A draw is one
table of answers for every way of choosing; the winner has the best mean over all tasks and is the first among equals.

Candidates are paired through the tasks: one is right where sqrt(rho) * difficulty + sqrt(1 - rho) * luck, both normal,
lies below its own threshold, which gives each exactly its true score. At scores near 0.6, rho 0.5 lets two equal
candidates differ on a third of the tasks, rho 0.8 on a fifth (METHODS counts with a fifth).
"""

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from autoflow.core.strategy import Evaluation, TaskResult
from autoflow.core.task import Task
from autoflow.objective.racing import Race
from autoflow.statistics import wilson

CANDIDATES = 16
SAME_TARGET = 0.95
CALLS_TARGET = 0.40
RHOS = (0.5, 0.8)
TASKS = (50, 128, 264, 500, 1055)

TrueScores = Callable[[np.random.Generator], Sequence[float]]

FIELDS: dict[str, TrueScores] = {
    "even .40 to .80": lambda rng: np.linspace(0.40, 0.80, CANDIDATES).tolist(),
    "even .50 to .80": lambda rng: np.linspace(0.50, 0.80, CANDIDATES).tolist(),
    "even .60 to .75": lambda rng: np.linspace(0.60, 0.75, CANDIDATES).tolist(),
    "even .80 to .95": lambda rng: np.linspace(0.80, 0.95, CANDIDATES).tolist(),
    "normal .60, sd .10": lambda rng: rng.normal(0.60, 0.10, CANDIDATES).clip(0.02, 0.98).tolist(),
    "normal .60, sd .05": lambda rng: rng.normal(0.60, 0.05, CANDIDATES).clip(0.02, 0.98).tolist(),
    "one .70, rest .55": lambda rng: [0.70] + [0.55] * (CANDIDATES - 1),
    "half .20 to .50, half .60 to .70": lambda rng: [*np.linspace(0.2, 0.5, 8), *np.linspace(0.6, 0.7, 8)],
    "even .69 to .70": lambda rng: np.linspace(0.69, 0.70, CANDIDATES).tolist(),
    "all .70": lambda rng: [0.70] * CANDIDATES,
}
"""The last two hold next to no difference to find: there racing can save little, and any winner is as good."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is drawn, and how the candidates come."""

    scores: str
    """Of `FIELDS`."""

    rho: float
    """How much the tasks decide, in [0, 1)."""

    tasks: int
    together: int = CANDIDATES
    """Candidates a round."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of the draws of a setting."""

    setting: Setting
    same: float
    """Share of draws with the same winner as scoring everything."""

    as_good: float
    """Share of draws with a winner of the same mean over all tasks, the same one included."""

    calls: float
    """Share of the calls of scoring everything, mean over draws."""

    true_loss: float
    """By how much the true score of racing's winner is below that of the full winner, mean over draws."""

    draws: int

    @property
    def meets(self) -> bool:
        """Whether both targets are met."""
        return self.same >= SAME_TARGET and self.calls <= CALLS_TARGET


def answers(true_scores: Sequence[float], rho: float, tasks: int, rng: np.random.Generator) -> Any:
    """Zeros and ones, shape (candidates, tasks)."""
    difficulty = math.sqrt(rho) * rng.standard_normal(tasks)
    luck = math.sqrt(1 - rho) * rng.standard_normal((len(true_scores), tasks))
    thresholds = np.array([NormalDist().inv_cdf(score) for score in true_scores])
    return (difficulty + luck < thresholds[:, None]).astype(float)


async def raced(table: Any, together: int, seed: int) -> tuple[int, int]:
    """The winner's row in a table of answers, and the calls that the races took: one a candidate and task."""
    count = table.shape[1]
    tasks = [Task(str(number), "") for number in range(count)]
    # Once for all: most of a simulation's time would go into making them.
    results = [[TaskResult(task.id, float(value)) for task, value in zip(tasks, row, strict=True)] for row in table]

    async def score(name: str, part: Sequence[Task]) -> Evaluation:
        return Evaluation("validation", tuple(results[int(name)][int(task.id)] for task in part))

    best: dict[str, Evaluation] = {}
    calls = 0
    for start in range(0, len(table), together):
        names = [str(index) for index in range(start, start + together)]
        race = Race(names, tasks, "validation", seed=seed, finished=best)
        await race.run(score)
        calls += sum(len(found.results) for found in race.evaluations.values())
        whole = best | {name: found for name, found in race.evaluations.items() if found.dropped is None}
        winner = max(whole, key=lambda name: (sum(whole[name].values), -int(name)))
        best = {winner: whole[winner]}
    return int(winner), calls


async def simulate(setting: Setting, draws: int, seed: int) -> Found:
    """Choose both ways in every draw."""
    rng = np.random.default_rng(seed)
    same = as_good = 0
    calls = true_loss = 0.0
    for draw in range(draws):
        true_scores = rng.permutation(FIELDS[setting.scores](rng))
        table = answers(true_scores.tolist(), setting.rho, setting.tasks, rng)
        winner, spent = await raced(table, setting.together, seed + draw)
        means = table.mean(axis=1)
        best = int(np.argmax(means))
        same += winner == best
        as_good += bool(means[winner] == means[best])
        calls += spent / table.size
        true_loss += float(true_scores[best] - true_scores[winner])
    return Found(setting, same / draws, as_good / draws, calls / draws, true_loss / draws, draws=draws)


def main() -> int:
    """Print a line a setting, as a Markdown table or as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.json:
        print("| true scores | rho | tasks | same winner [95 %] | as good | calls | true loss | both targets ", end="")
        print("| one by one: same winner | calls |\n|---|---|---|---|---|---|---|---|---|---|")
    for scores in FIELDS:
        for rho in RHOS:
            for tasks in TASKS:
                setting = Setting(scores, rho, tasks)
                found = asyncio.run(simulate(setting, given.draws, given.seed))
                single = asyncio.run(simulate(replace(setting, together=1), given.draws, given.seed))
                if given.json:
                    print(json.dumps(asdict(found)), json.dumps(asdict(single)), sep="\n", flush=True)
                else:
                    print(_row(found, single), flush=True)
    return 0


def _row(found: Found, single: Found) -> str:
    setting = found.setting
    low, high = wilson(found.same, found.draws)
    cells = [
        setting.scores,
        str(setting.rho),
        str(setting.tasks),
        f"{found.same:.3f} [{low:.3f}, {high:.3f}]",
        f"{found.as_good:.3f}",
        f"{found.calls:.3f}",
        f"{found.true_loss:+.4f}",
        "yes" if found.meets else "no",
        f"{single.same:.3f}",
        f"{single.calls:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
