"""What training makes of a generator: each arm writes a workflow for every task, on tasks and operators held out.

    python benchmarks/training/experiment.py

trains what is missing (`arms.py`), exports it for the embedded runtime, has every arm write for every set and puts
results.json and results.md beside this file. Everything is made of recorded runs below --runs: stopped and started
again it goes on, and what is measured already costs no call. Parts, and smaller numbers for a small machine:

    python benchmarks/training/experiment.py --arms sft sft+grpo --sets test operators --draws 1 --operator-sets 5

With one draw a draft is greedy. With k draws at temperature 1 one draft of each task is taken by a rule that sees no
score (`choosing.py`); which rule, is chosen for each arm on validation tasks. No draft is repaired.
"""

import argparse
import functools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import decisions
import tables
from arms import ARMS, HERE, Arm, autoflow, generator, training
from choosing import RULES, Drawn, best_rule, chosen, read

from autoflow.benchmarks import folder
from autoflow.statistics import mean_interval

SETS = ("test", "operators", "family", "not trained on", "decisions")
DECIDING = ("untrained", "sft")
INTERPRETER = "embedded/smollm2-135m"
# Asked by no plan of tools: only a draft with a step that asks a model comes to it.


class Bench:
    """The recorded runs of one generator."""

    def __init__(self, spec: str, runs: Path, given: argparse.Namespace) -> None:
        self._spec, self._runs, self._given = spec, runs, given

    @functools.cache  # noqa: B019  as long-lived as the process
    def drafts(self, benchmark: str, split: str, draws: int) -> dict[str, Any]:
        """The drafts by task, as `name/id`; how many tasks there are; calls and seconds of the run."""
        given = self._given
        name = f"{Path(benchmark).name}-{split}-{draws}" + (f"-first-{given.limit}" if given.limit else "")
        place = self._runs / name
        limit = ["--limit", str(given.limit)] if given.limit else []
        autoflow(
            *("bench", benchmark, "--split", split, "--generator", self._spec, "--interpreter", INTERPRETER),
            *("--epochs", str(draws), "--seed", str(given.seed), "--concurrency", str(given.concurrency)),
            *("--run", str(place), "--quiet", *limit),
        )
        report = json.loads((place / "report.json").read_text(encoding="utf-8"))
        timing = json.loads((place / "timing.json").read_text(encoding="utf-8"))
        found = read(place, split, draws)
        return {
            "drafts": {f"{Path(benchmark).name}/{task}": drawn for task, drawn in found.items()},
            "tasks": [f"{Path(benchmark).name}/{row['id']}" for row in report["rows"]],
            "calls": report["spend"]["calls"],
            "seconds": timing["seconds"],
        }


def openagi(kind: str, wanted: Sequence[str]) -> tuple[str, set[str] | None]:
    """The split to run for a set of OpenAGI's tasks, and which of them are of the set (`None`: all)."""
    opened = folder.open_folder("openagi", {})
    learned = {*opened.ids("train"), *opened.ids("validation")}
    ids = {
        "test": set(opened.ids("test")),
        "family": set(opened.ids("nonlinear")),
        "not trained on": {*opened.ids("all")} - learned,
    }
    # One run on all tasks serves the sets within it.
    if "not trained on" in wanted:
        return "all", ids[kind]
    return {"test": "test", "family": "nonlinear"}[kind], None


def domains(place: Path, split: str, count: int) -> list[str]:
    """The first `count` made-up domains of a split."""
    found = sorted(place.glob(f"environments/{split}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    if len(found) < count:
        sys.exit(f"{place}: has {len(found)} domains of the split {split}, not {count}; autoflow synthesize makes them")
    return [str(path) for path in found[:count]]


def gathered(bench: Bench, kind: str, draws: int, given: argparse.Namespace) -> dict[str, Any]:
    """What `Bench.drafts` has, of one set. Calls and seconds are those of the runs, by the set's share of their
    tasks. "validation" is what rules are chosen on."""
    keep = None
    if kind == "validation":
        places = [("openagi", kind), *((place, kind) for place in domains(given.domains, kind, given.validation_sets))]
    elif kind == "operators":
        places = [(place, "test") for place in domains(given.domains, "test", given.operator_sets)]
    else:
        split, keep = openagi(kind, given.sets)
        places = [("openagi", split)]
    runs = [bench.drafts(place, split, draws) for place, split in places]
    of_set = [task for run in runs for task in run["tasks"] if keep is None or task.partition("/")[2] in keep]
    share = len(of_set) / sum(len(run["tasks"]) for run in runs)
    drafts = {task: drawn for run in runs for task, drawn in run["drafts"].items()}
    return {
        "tasks": of_set,
        "drafts": {task: drafts[task] for task in of_set if task in drafts},
        "calls": round(share * sum(run["calls"] for run in runs)),
        "seconds": round(share * sum(run["seconds"] for run in runs), 1),
    }


def cell(found: Mapping[str, Any], rule: str, seed: int) -> dict[str, Any]:
    """One set of one arm under one rule."""
    drafts: Mapping[str, Sequence[Drawn]] = found["drafts"]
    taken = {task: chosen(RULES[rule], drawn) for task, drawn in drafts.items()}
    interval = mean_interval([item.score for item in taken.values()], seed=seed)
    every = [item for drawn in drafts.values() for item in drawn]
    several = {task: sum(item.score for item in drawn) / len(drawn) for task, drawn in drafts.items() if len(drawn) > 1}
    return {
        "n": len(taken),
        "unscored": len(found["tasks"]) - len(taken),
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "valid": sum(item.plan is not None for item in taken.values()) / len(taken),
        "single": sum(item.score for item in every) / len(every),
        "single_valid": sum(item.plan is not None for item in every) / len(every),
        "bound": sum(max(item.score for item in drawn) for drawn in drafts.values()) / len(drafts),
        "calls": found["calls"],
        "seconds": found["seconds"],
        "tasks": {task: item.score for task, item in taken.items()},
        **({"drawn": several} if several else {}),
    }


def rule_of(bench: Bench, draws: int, given: argparse.Namespace) -> dict[str, Any]:
    """The rule for an arm's draws, with what it was chosen on."""
    found = gathered(bench, "validation", draws, given)
    rule, means = best_rule(list(found["drafts"].values()))
    return {"rule": rule, "n": len(found["drafts"]), "means": means, "seconds": found["seconds"]}


def measure(arm: Arm, spec: str, draws: int, kept: dict[str, Any], given: argparse.Namespace) -> None:
    """Put the arm's cells of this many draws into `kept`."""
    bench = Bench(spec, given.runs / arm.name, given)
    rule = "first"
    if draws > 1:
        kept.setdefault("rules", {})[str(draws)] = said = rule_of(bench, draws, given)
        rule = said["rule"]
    cells = kept.setdefault("cells", {}).setdefault(str(draws), {})
    for kind in given.sets:
        if kind != "decisions":
            cells[kind] = cell(gathered(bench, kind, draws, given), rule, given.seed)
        elif draws == 1 and arm.name in DECIDING:
            kept["decisions"] = decisions.measure(given.domains, spec, given.runs / arm.name)


def stated(text: str) -> tuple[Arm, str | None]:
    """An arm of the experiment by its name, or any generator as NAME=GENERATOR."""
    name, _, spec = text.partition("=")
    if spec:
        return Arm(name), spec
    known = {arm.name: arm for arm in ARMS}
    if name not in known:
        raise argparse.ArgumentTypeError(f"no arm {name!r}; there are {', '.join(known)}, or write NAME=GENERATOR")
    return known[name], None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [(arm, None) for arm in ARMS]
    parser.add_argument("--arms", nargs="+", type=stated, default=every, metavar="NAME|NAME=GENERATOR")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--draws", nargs="+", type=int, default=[1, 20], metavar="K")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first so many tasks of each split")
    parser.add_argument("--domains", type=Path, default=Path("runs/adapter/domains"), help="a folder of synthesize")
    parser.add_argument("--operator-sets", type=int, default=20, metavar="N", help="made-up domains to test on")
    parser.add_argument("--validation-sets", type=int, default=5, metavar="N", help="and to choose rules on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--runs", type=Path, default=Path("runs/training-experiment"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    file = given.out.with_suffix(".json")
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for draws in given.draws:
        for arm, told in given.arms:
            spec = told or generator(arm, given.runs)
            kept = results.setdefault(arm.name, {})
            kept |= {"generator": spec, "seed": given.seed, "training": training(arm, given.runs)}
            measure(arm, spec, draws, kept, given)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            given.out.with_suffix(".md").write_text(tables.markdown(results), encoding="utf-8")
    print(tables.markdown(results), end="")


if __name__ == "__main__":
    main()
