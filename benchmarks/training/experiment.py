"""What training makes of a generator: each arm writes a workflow for every task, on tasks and operators held out.

    python benchmarks/training/experiment.py --arm untrained=embedded/smollm2-135m --arm sft=embedded/autoflow-135m \
        --domains runs/adapter/domains --out benchmarks/training/results

An arm is any generator that `autoflow bench --generator` takes: `embedded/...` after `autoflow adapters export`,
`transformers/BASE@ADAPTER`, a server's. Every set is made of recorded runs below --runs: the same command goes on where
it was stopped. Written are OUT.json and OUT.md; arms that OUT.json has already and that are not named stay.

A draft is greedy and gets no repair (k = 1). With --epochs N there are N draws at temperature 1: the score of a task is
then the mean of single draws, and the best of N by its own score stands beside it, no more than an upper bound.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from autoflow.benchmarks import folder
from autoflow.statistics import mean_interval, paired

SETS = {
    "test": "OpenAGI's test split",
    "not trained on": "all OpenAGI tasks but its train and validation splits; no arm is trained on any of them",
    "family": "OpenAGI's tasks with two inputs, which practice asks for only within longer goals",
    "operators": "made-up domains of the test split: operators and concepts that no arm has seen",
}
INTERPRETER = "embedded/smollm2-135m"
# Asked by no plan of tools: only a draft with a step that asks a model comes to it.

Scores = dict[str, dict[str, Any]]
"""Task -> score (None: unscored), best (of its draws, by its own score), invalid (the first draft is no workflow)."""


def bench(benchmark: str, split: str, generator: str, runs: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The report of one run, which is made or gone on with, and its seconds."""
    made = runs / f"{Path(benchmark).name}-{split}-{given.epochs}"
    command = [
        *(sys.executable, "-m", "autoflow", "bench", benchmark, "--split", split, "--generator", generator),
        *("--interpreter", INTERPRETER, "--epochs", str(given.epochs), "--seed", str(given.seed)),
        *("--concurrency", str(given.concurrency), "--run", str(made), "--json"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  our own command
    report: dict[str, Any] = json.loads((made / "report.json").read_text(encoding="utf-8"))
    report["seconds"] = json.loads((made / "timing.json").read_text(encoding="utf-8"))["seconds"]
    return report


def openagi_ids() -> dict[str, list[str]]:
    """The sets of OpenAGI, as ids of its 185 tasks."""
    opened = folder.open_folder("openagi", {})
    learned = {*opened.ids("train"), *opened.ids("validation")}
    return {
        "test": list(opened.ids("test")),
        "not trained on": [name for name in opened.ids("all") if name not in learned],
        "family": list(opened.ids("nonlinear")),
    }


def domains(place: Path, count: int) -> list[Path]:
    """The first `count` made-up domains of the test split."""
    found = sorted(place.glob("environments/test-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    if len(found) < count:
        sys.exit(f"{place}: has {len(found)} domains of the test split, not {count}; autoflow synthesize makes them")
    return found[:count]


def scores(report: Mapping[str, Any], keep: Sequence[str] | None = None) -> Scores:
    """Of the tasks of a run; `keep` names the ids, `None` all."""
    name = report["config"]["benchmark"]
    return {
        f"{name}/{row['id']}": {
            "score": row["score"],
            "best": max((score for score in row["epochs"] if score is not None), default=None),
            "invalid": row["reason"] == "draft",
        }
        for row in report["rows"]
        if keep is None or row["id"] in keep
    }


def cell(found: Scores, reports: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """One set of one arm. Calls and seconds are those of the runs, by the set's share of their tasks."""
    known = [item["score"] for item in found.values() if item["score"] is not None]
    best = [item["best"] for item in found.values() if item["best"] is not None]
    interval = mean_interval(known, seed=seed)
    share = len(found) / sum(len(report["rows"]) for report in reports)
    return {
        "n": len(known),
        "unscored": len(found) - len(known),
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "best": sum(best) / len(best),
        "valid": 1 - sum(item["invalid"] for item in found.values()) / len(found),
        "calls": round(share * sum(report["spend"]["calls"] for report in reports)),
        "seconds": round(share * sum(report["seconds"] for report in reports), 1),
        "tasks": {name: item["score"] for name, item in found.items()},
    }


def measure(generator: str, runs: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The sets of one arm."""
    cells = {}
    wanted = {name: ids for name, ids in openagi_ids().items() if name in given.sets}
    if wanted:
        report = bench("openagi", "test" if set(wanted) == {"test"} else "all", generator, runs, given)
        for name, ids in wanted.items():
            cells[name] = cell(scores(report, ids), [report], given.seed)
    if "operators" in given.sets:
        reports = [
            bench(str(place), "test", generator, runs, given) for place in domains(given.domains, given.operator_sets)
        ]
        found = {name: item for report in reports for name, item in scores(report).items()}
        cells["operators"] = cell(found, reports, given.seed)
    return {"generator": generator, "epochs": given.epochs, "seed": given.seed, "sets": cells}


def table(arms: Mapping[str, Any], seed: int) -> str:
    """What came of it, as Markdown. Differences are from the first arm that comes before in the list."""
    lines = ["| arm | set | n | score (95 %) | best of k by own score | valid | calls | seconds |", "|" + "---|" * 8]
    for name, arm in arms.items():
        for kind, found in arm["sets"].items():
            score = f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
            best = "" if arm["epochs"] == 1 else f"{found['best']:.3f} (k = {arm['epochs']})"
            cells = [name, kind, found["n"], score, best, f"{found['valid']:.1%}", found["calls"], found["seconds"]]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "| arms | set | tasks of both | difference (95 %) | p |", "|" + "---|" * 5]
    names = list(arms)
    for before, after in pairwise(names):
        for kind in arms[after]["sets"]:
            if kind not in arms[before]["sets"]:
                continue
            left, right = (arms[arm]["sets"][kind]["tasks"] for arm in (after, before))
            both = [task for task in left if task in right]
            if not both:
                continue
            found = paired([left[task] for task in both], [right[task] for task in both], seed=seed)
            gap = f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
            lines.append(f"| {after} - {before} | {kind} | {found.n} | {gap} | {found.p_value:.2g} |")
    lines += ["", *(f"- {name}: {said}." for name, said in SETS.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", action="append", default=[], metavar="NAME=GENERATOR")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--domains", type=Path, default=Path("runs/adapter/domains"), help="a folder of synthesize")
    parser.add_argument("--operator-sets", type=int, default=20, metavar="N", help="made-up domains")
    parser.add_argument("--epochs", type=int, default=1, metavar="K")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--runs", type=Path, default=Path("runs/training-experiment"))
    parser.add_argument("--out", type=Path, default=Path("runs/training-experiment/results"))
    given = parser.parse_args()
    kept = given.out.with_suffix(".json")
    arms = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for stated in given.arm:
        name, _, generator = stated.partition("=")
        if not generator:
            parser.error(f"--arm {stated}: write NAME=GENERATOR")
        arms[name] = measure(generator, given.runs / name, given)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(arms, indent=1) + "\n", encoding="utf-8")
        given.out.with_suffix(".md").write_text(table(arms, given.seed), encoding="utf-8")
    print(table(arms, given.seed), end="")


if __name__ == "__main__":
    main()
