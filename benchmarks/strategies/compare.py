"""Every strategy on the same benchmark, with the same models, budget and seeds.

    python benchmarks/strategies/compare.py reach [--seeds 20] [--jobs 2]
    python benchmarks/strategies/compare.py table [--benchmark synthetic] [--seeds 20] --max-cost 0.2
    python benchmarks/strategies/compare.py table --benchmark openagi --generator embedded/smollm2-135m \\
        --interpreter embedded/smollm2-135m --seeds 1 --max-calls 300

`reach` counts, on the synthetic benchmark, the task runs until the best workflow on validation has 95 % of the best
reachable score. `table` gives every strategy the same budget, its own calls included, and measures what it chose on
test. Both write a table, the numbers behind it as JSON, and drawings into `--out`; the same command goes on from there.
"""

import argparse
import asyncio
import math
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import plot
import world
from arena import Contender, Outcome, configured, reached, search
from author import Author
from campaign import Found, Settings, campaign, keep

from autoflow.core.budget import Budget
from autoflow.core.model import Sampling
from autoflow.improve import Collaborators, ImproveConfig, ImproveEvent
from autoflow.interpreter.settings import Settings as RunSettings
from autoflow.statistics import mean_interval

LEVEL = 0.95
"""Of the best reachable score, which is 1."""

CONTENDERS = (
    Contender("evolve", "evolve"),
    Contender("aflow", "aflow", {"start": "hand-written"}),
    Contender("w4s", "w4s"),
    Contender("adas", "adas"),
    Contender("in-context", "in-context"),
)

REACHING = (
    Contender("evolve", "evolve"),
    # AFlow's own rules, with everything that could end its search early out of the way.
    Contender("aflow", "aflow", {"start": "hand-written", "patience": 0}, race=False),
    Contender("aflow raced", "aflow", {"start": "hand-written", "patience": 0}),
    # What each mechanism of evolve is worth, and what a generator that cannot tell where a run went wrong leaves of it.
    Contender("evolve without race", "evolve", race=False),
    Contender("evolve without merges", "evolve", {"merge": False}),
    Contender("evolve with one patch a candidate", "evolve", {"chain": 1}),
    Contender("evolve with blame at chance", "evolve", author={"judgement": 0.0}),
)

NOISE, INVALID, FAULTS = 0.05, 0.20, 0.05
TRAIN, VALIDATION = 30, 40

Given = Callable[[asyncio.Event, Callable[[ImproveEvent], None]], Collaborators]


def simulated(seed: int, author: Mapping[str, float]) -> Given:
    """The synthetic benchmark with its models, for one seed; `author` is what the generator is to be otherwise."""

    def given(stop: asyncio.Event, listen: Callable[[ImproveEvent], None]) -> Collaborators:
        return Collaborators(
            benchmark=world.benchmark(seed, train=TRAIN, validation=VALIDATION, noise=NOISE),
            generator=Author(seed, invalid=INVALID, **author),
            interpreter=world.Clerk(seed, faults=FAULTS),
            on_event=listen,
            stop=stop,
        )

    return given


SYNTHETIC = ImproveConfig("orders", "synthetic/author", "synthetic/clerk")


def one(
    contender: Contender, seed: int, *, budget: Budget, runs: Path, most: int | None = None, until: float | None = None
) -> Outcome:
    """One search on the synthetic benchmark."""
    folder = Path(tempfile.mkdtemp(dir=runs))
    try:
        config = configured(contender, SYNTHETIC, seed, budget)
        given = simulated(seed, contender.author)
        return asyncio.run(search(contender, config, given, world.true_score, folder, most=most, until=until))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- until 95 % is reached


def needed(outcomes: Sequence[Outcome], most: int) -> list[int]:
    """Task runs until the level; the bound itself where it was not reached, which is too little."""
    return [count if (count := reached(outcome, LEVEL)) is not None else most for outcome in outcomes]


def ratio(a: Sequence[float], b: Sequence[float], *, seed: int = 0, draws: int = 10_000) -> tuple[float, float, float]:
    """Mean of `a` over mean of `b` with its 95 % interval, bootstrapped over seeds that both were run with."""
    rng = random.Random(seed)
    count = len(a)
    drawn = []
    for _ in range(draws):
        picked = [rng.randrange(count) for _ in range(count)]
        drawn.append(math.fsum(a[index] for index in picked) / math.fsum(b[index] for index in picked))
    drawn.sort()
    return math.fsum(a) / math.fsum(b), drawn[int(0.025 * draws)], drawn[int(0.975 * draws) - 1]


def reach_text(found: Found, most: int) -> str:
    """The table of task runs, and what `evolve` needs of what `aflow` does."""
    lines = [
        "| strategy | seeds | reached | mean task runs | median | least | most | generator and interpreter calls |",
        "|---|---|---|---|---|---|---|---|",
    ]
    counts = {label: needed(outcomes, most) for label, outcomes in found.items()}
    for label, outcomes in found.items():
        done = [reached(outcome, LEVEL) for outcome in outcomes]
        ordered = sorted(counts[label])
        short = " or more" if None in done else ""
        calls = sum(outcome.calls for outcome in outcomes) / len(outcomes)
        lines.append(
            f"| {label} | {len(outcomes)} | {sum(count is not None for count in done)} "
            f"| {sum(ordered) / len(ordered):.0f}{short} | {ordered[len(ordered) // 2]} | {ordered[0]} | {ordered[-1]} "
            f"| {calls:.0f} |"
        )
    lines.append("")
    for label in [name for name in counts if name != "evolve" and "evolve" in counts]:
        value, low, high = ratio(counts["evolve"], counts[label])
        lines.append(f"evolve / {label}: {value:.2f} [{low:.2f}, {high:.2f}], n = {len(counts[label])} seeds")
    return "\n".join([*lines, ""])


def reach_bars(found: Found, most: int) -> str:
    """Mean task runs of each contender, with the interval over seeds."""
    values = {}
    for label, outcomes in found.items():
        counts = needed(outcomes, most)
        interval = mean_interval([count / most for count in counts], seed=0)
        values[label] = (most * interval.mean, most * interval.low, most * interval.high)
    return plot.bars("Until 95 % of the best reachable score", "task runs", values)


# -- at equal spend


def table_text(found: Found, judged: str, *, optimum: float | None = None) -> str:
    """A row a strategy: means over seeds, the scores with their 95 % interval; over tasks, where there is one seed.

    Args:
        optimum: The best reachable score, where it is known; how far each strategy stays below it is told then.
    """
    gap = "" if optimum is None else " gap to the optimum |"
    lines = [
        f"| strategy | seeds | validation | {judged} |{gap} task runs | calls | tokens | USD | seconds | drafts "
        "| invalid |",
        f"|{'---|' * (11 if optimum is None else 12)}",
    ]
    for label, outcomes in found.items():

        def mean(values: Sequence[float]) -> float:
            return math.fsum(values) / len(values)

        tests = [outcome.last.true for outcome in outcomes if outcome.last.true is not None]
        gap = "" if optimum is None or not tests else f" {optimum - mean(tests):.3f} |"
        lines.append(
            f"| {label} | {len(outcomes)} "
            f"| {spread([item.last.validation for item in outcomes], outcomes[0].validation_interval)} "
            f"| {spread(tests, outcomes[0].test_interval) if tests else '-'} |{gap} "
            f"{mean([item.last.evaluations for item in outcomes]):.0f} "
            f"| {mean([item.calls for item in outcomes]):.0f} | {mean([item.tokens for item in outcomes]):.0f} "
            f"| {mean([item.usd for item in outcomes]):.3f} | {mean([item.seconds for item in outcomes]):.0f} "
            f"| {mean([item.drafts for item in outcomes]):.1f} | {mean([item.invalid for item in outcomes]):.1f} |"
        )
    return "\n".join([*lines, ""])


def spread(values: Sequence[float], over_tasks: tuple[float, float] | None) -> str:
    """The mean with its interval over seeds; of one seed, the value with its interval over tasks."""
    if len(values) == 1:
        ends = "" if over_tasks is None else f" [{over_tasks[0]:.3f}, {over_tasks[1]:.3f}]"
        return f"{values[0]:.3f}{ends}"
    interval = mean_interval([min(1.0, value) for value in values], seed=0)
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def test_bars(found: Found) -> str:
    """The final score of each strategy on tasks that it has not seen, with its interval."""
    values = {}
    for label, outcomes in found.items():
        scores = [outcome.last.true for outcome in outcomes if outcome.last.true is not None]
        if not scores:
            continue
        over_tasks = outcomes[0].test_interval
        if len(scores) == 1 and over_tasks is not None:
            values[label] = (scores[0], *over_tasks)
        else:
            interval = mean_interval(scores, seed=0)
            values[label] = (interval.mean, interval.low, interval.high)
    return plot.bars("What was chosen, on tasks that no search has seen", "score", values)


def written(out: Path, name: str, text: str, **drawings: str) -> None:
    """Leave the table and the drawings, and print the table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    for what, drawing in drawings.items():
        (out / f"{name}-{what}.svg").write_text(drawing, encoding="utf-8")
    print(f"\n{text}\nwritten: {out / name}.md, .json and drawings")


def course(found: Found) -> str:
    """The share of seeds that have come to the level, over task runs."""
    to = max(outcome.last.evaluations for outcomes in found.values() for outcome in outcomes)
    series = {}
    for label, outcomes in found.items():
        counts = sorted(count for outcome in outcomes if (count := reached(outcome, LEVEL)) is not None)
        steps = [(float(count), number / len(outcomes)) for number, count in enumerate(counts, 1)]
        series[label] = [(0.0, 0.0), *steps, (float(to), len(counts) / len(outcomes))]
    return plot.lines("95 % of the best reachable score", "task runs", "share of seeds that are there", series)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reach", "table"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--most", type=int, default=2000, help="reach: task runs after which a search is given up")
    parser.add_argument("--jobs", type=int, default=1, help="synthetic: searches run at once")
    parser.add_argument("--benchmark", default="synthetic", help="table: synthetic, or a benchmark by name or path")
    parser.add_argument("--strategies", default="", help="names, commas between; all without it")
    parser.add_argument("--generator", default="embedded/smollm2-135m")
    parser.add_argument("--interpreter", default="embedded/smollm2-135m")
    parser.add_argument("--train-limit", type=int)
    parser.add_argument("--validation-limit", type=int)
    parser.add_argument("--test-limit", type=int)
    parser.add_argument("--concurrency", type=int, default=8, help="task runs at once")
    parser.add_argument("--max-tokens", type=int, default=256, help="of the interpreter's replies")
    parser.add_argument("--max-steps", type=int, default=20, help="of one run of a workflow")
    parser.add_argument("--max-cost", type=float)
    parser.add_argument("--max-calls", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/strategies"))
    parser.add_argument("--runs", type=Path, help="where run folders are made; a folder in memory makes it faster")
    asked = parser.parse_args()
    chosen = [name.strip() for name in asked.strategies.split(",") if name.strip()]
    budget = Budget(usd=asked.max_cost, calls=asked.max_calls)
    if asked.what == "table" and budget == Budget():
        parser.error("table needs --max-cost or --max-calls: strategies are compared at equal spend")
    contenders = REACHING if asked.what == "reach" else CONTENDERS
    contenders = tuple(item for item in contenders if not chosen or item.label in chosen)
    spent: Settings = {"max_cost": asked.max_cost, "max_calls": asked.max_calls}
    if asked.benchmark != "synthetic" and asked.what == "table":
        from elsewhere import measured

        base = ImproveConfig(
            asked.benchmark,
            asked.generator,
            asked.interpreter,
            settings=RunSettings(max_steps=asked.max_steps, sampling=Sampling(max_tokens=asked.max_tokens)),
            train_limit=asked.train_limit,
            validation_limit=asked.validation_limit,
            test_limit=asked.test_limit,
            concurrency=asked.concurrency,
        )
        found = asyncio.run(measured(contenders, base, asked.seeds, budget, asked.out / "runs"))
        name = f"table-{asked.benchmark}"
        keep(asked.out / f"{name}.json", spent, [outcome for outcomes in found.values() for outcome in outcomes])
        written(asked.out, name, table_text(found, "test"), bars=test_bars(found))
        return
    world_is: Settings = {
        "noise": NOISE,
        "invalid": INVALID,
        "faults": FAULTS,
        "train": TRAIN,
        "validation": VALIDATION,
    }
    with tempfile.TemporaryDirectory(dir=asked.runs) as runs:
        if asked.what == "reach":
            run = partial(one, budget=Budget(), runs=Path(runs), most=asked.most, until=LEVEL)
            settings: Settings = {**world_is, "most": asked.most, "level": LEVEL}
            found = campaign(
                run, contenders, asked.seeds, jobs=asked.jobs, file=asked.out / "reach.json", settings=settings
            )
            bars = reach_bars(found, asked.most)
            written(asked.out, "reach", reach_text(found, asked.most), course=course(found), bars=bars)
            return
        run = partial(one, budget=budget, runs=Path(runs))
        file = asked.out / "table-synthetic.json"
        found = campaign(run, contenders, asked.seeds, jobs=asked.jobs, file=file, settings={**world_is, **spent})
        text = table_text(found, "true score", optimum=1.0)
        written(asked.out, "table-synthetic", text, bars=test_bars(found))


if __name__ == "__main__":
    main()
