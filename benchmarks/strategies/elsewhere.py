"""The comparison on any benchmark with any models: each search within the same budget, then one pass over test.

The pass over test is no part of the budget: it is the same for all, and no strategy sees it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from arena import Contender, Outcome, best, configured, search

from autoflow.bench import BenchConfig, bench
from autoflow.benchmarks import loader
from autoflow.cli.opening import model_options, opener, pricer
from autoflow.core.budget import Budget
from autoflow.core.workflow import Workflow
from autoflow.improve import Collaborators, ImproveConfig, ImproveEvent
from autoflow.runs.ledger import Ledger
from autoflow.statistics import Interval


async def measured(
    contenders: Sequence[Contender], base: ImproveConfig, seeds: int, budget: Budget, folder: Path
) -> dict[str, list[Outcome]]:
    """Every contender's searches. Folders stay: the same command resumes, and asks nothing twice."""
    found: dict[str, list[Outcome]] = {}
    for contender in contenders:
        for seed in range(seeds):
            place = folder / f"{contender.label.replace(' ', '-')}-{seed}"
            config = configured(contender, base, seed, budget)
            outcome = await search(contender, config, partial(_given, seed), _later, place)
            with closing(Ledger.reading(place / "ledger.sqlite")) as record:
                leader = best(record.trials())
            if leader is not None and leader.proposal.workflow is not None:
                # Two strategies that chose the same workflow share its pass over test.
                name = f"test-{seed}-{leader.proposal.workflow.fingerprint()[:12]}"
                interval = await _tested(leader.proposal.workflow, config, folder / name)
                if interval is not None:
                    last = replace(outcome.last, true=interval.mean)
                    ends = (interval.low, interval.high)
                    outcome = replace(outcome, points=(*outcome.points[:-1], last), test_interval=ends)
            found.setdefault(contender.label, []).append(outcome)
            print(f"{contender.label}, seed {seed}: {outcome.last} ({outcome.state})", flush=True)
    return found


def _given(seed: int, stop: asyncio.Event, listen: Callable[[ImproveEvent], None]) -> Collaborators:
    options = model_options(None, seed, 5)
    return Collaborators(open_model=opener(options), price=pricer(options), on_event=listen, stop=stop)


async def _later(workflow: Workflow) -> None:
    """Test is read once, at the end: nothing is said of the way there."""
    return


async def _tested(workflow: Workflow, config: ImproveConfig, folder: Path) -> Interval | None:
    benchmark = loader.load(config.benchmark, scorer=config.scorer, options=config.options)
    model = opener(model_options(None, config.seed, 5))(config.interpreter)
    try:
        asked = BenchConfig(
            config.benchmark,
            config.interpreter,
            limit=config.test_limit,
            epochs=config.epochs,
            seed=config.seed,
            settings=config.settings,
            concurrency=config.concurrency,
        )
        report = await bench(asked, workflow, benchmark, model, folder=folder)
    finally:
        await model.aclose()
    return report.interval
