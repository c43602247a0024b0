"""Searches by contender and seed, several at once, each kept when it is over: the same command goes on from there."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from arena import Contender, Outcome, Point

Found = dict[str, list[Outcome]]
"""Outcomes by contender, in the order of their seeds."""

Settings = Mapping[str, str | int | float | None]
"""What outcomes that stand in one table share."""


def kept(file: Path, settings: Settings) -> list[Outcome]:
    """The outcomes of earlier sittings; none where there is no file.

    Raises:
        SystemExit: If they were found with other settings.
    """
    if not file.exists():
        return []
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if data["settings"] != settings:
        raise SystemExit(f"{file} was made with {data['settings']}, not with {dict(settings)}: name another --out")
    return [
        Outcome(
            **{
                **item,
                "points": tuple(Point(**point) for point in item["points"]),
                **{name: tuple(item[name]) for name in ("validation_interval", "test_interval") if item[name]},
            }
        )
        for item in data["outcomes"]
    ]


def keep(file: Path, settings: Settings, outcomes: Sequence[Outcome]) -> None:
    """Write what there is so far."""
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {"settings": dict(settings), "outcomes": [asdict(outcome) for outcome in outcomes]}
    file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def grouped(outcomes: Sequence[Outcome], contenders: Sequence[Contender]) -> Found:
    """The outcomes by contender, in the contenders' order."""
    found: Found = {}
    for contender in contenders:
        own = sorted((item for item in outcomes if item.label == contender.label), key=lambda item: item.seed)
        if own:
            found[contender.label] = own
    return found


def campaign(
    search: Callable[[Contender, int], Outcome],
    contenders: Sequence[Contender],
    seeds: int,
    *,
    jobs: int,
    file: Path,
    settings: Settings,
) -> Found:
    """What is not in the file yet is run, seed by seed; each search is kept as it ends."""
    outcomes = kept(file, settings)
    done = {(item.label, item.seed) for item in outcomes}
    work = [(item, seed) for seed in range(seeds) for item in contenders if (item.label, seed) not in done]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(search, contender, seed) for contender, seed in work]):
            outcomes.append(future.result())
            keep(file, settings, outcomes)
            last = outcomes[-1].last
            said = f"{last.evaluations} task runs, true score {last.true}"
            print(f"seed {outcomes[-1].seed}, {outcomes[-1].label}: {said} ({outcomes[-1].state})", flush=True)
    return grouped([item for item in outcomes if item.seed < seeds], contenders)
