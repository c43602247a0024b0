"""The experiment's results as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autoflow.statistics import mean_interval, paired

MEANING = {
    "test": "OpenAGI's test split",
    "not trained on": "all OpenAGI tasks but its train and validation splits; no arm is trained on any of them",
    "family": "OpenAGI's tasks with two inputs; no arm is trained on any of them",
    "operators": "made-up domains of the test split: operators and concepts that no arm has seen",
    "k": "drafts drawn for a task: 1 is greedy; of more, at temperature 1, one is taken by a rule that sees no score",
    "single draw": "mean over all drafts drawn: what one draft at temperature 1 is worth, and what rewards raise",
    "bound": "mean of each task's best draft by its own score: an upper bound for any rule, no result",
    "valid": "share of the drafts taken that are workflows, unrepaired; the runtime holds every arm to types that fit",
    "p": "two-sided, for each row by itself",
}

Results = Mapping[str, Mapping[str, Any]]


def markdown(results: Results) -> str:
    """All tables."""
    parts = (_scores, _differences, _rules, _training, _decisions)
    lines = [line for part in parts for line in part(results)]
    return "\n".join([*lines, *(f"- {name}: {said}." for name, said in MEANING.items())]) + "\n"


def _rows(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    if rows:
        yield from (f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows))
        yield ""


def _interval(mean: float, low: float, high: float, sign: str = "") -> str:
    return f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _scores(results: Results) -> Iterator[str]:
    rows = []
    for name, arm in results.items():
        for draws, cells in arm["cells"].items():
            for kind, found in cells.items():
                score = _interval(found["mean"], found["low"], found["high"])
                several = [f"{found['single']:.3f}", f"{found['bound']:.3f}"] if draws != "1" else ["", ""]
                valid = f"{found['valid']:.1%}"
                counted = [found["n"], found["unscored"]]
                rows.append([name, kind, draws, *counted, score, valid, *several, found["calls"], found["seconds"]])
    head = ["arm", "set", "k", "n", "unscored", "score (95 %)", "valid", "single draw", "bound", "calls", "seconds"]
    yield from _rows(head, rows)


def _differences(results: Results) -> Iterator[str]:
    """Each arm from the one that it was trained on from, and the choice among draws from the greedy draft."""
    rows = []
    for name, arm in results.items():
        start = {"untrained": "", "sft": "untrained"}.get(name, "sft")
        for draws, cells in arm["cells"].items():
            for kind, found in cells.items():
                before = results.get(start, {}).get("cells", {}).get(draws, {}).get(kind)
                if before is not None:
                    rows.append([f"{name} - {start}", kind, draws, *_gap(found, before, arm["seed"])])
                    if draws != "1":
                        every = [{"tasks": item["drawn"]} for item in (found, before)]
                        rows.append([f"{name} - {start}, single draw", kind, draws, *_gap(*every, arm["seed"])])
                greedy = arm["cells"].get("1", {}).get(kind) if draws != "1" else None
                if greedy is not None:
                    rows.append([f"{name}, k = {draws} - 1", kind, "", *_gap(found, greedy, arm["seed"])])
    yield from _rows(["difference", "set", "k", "tasks of both", "score (95 %)", "p"], rows)


def _gap(after: Mapping[str, Any], before: Mapping[str, Any], seed: int) -> list[Any]:
    both = [task for task in after["tasks"] if task in before["tasks"]]
    if not both:
        return [0, "", ""]
    found = paired([after["tasks"][task] for task in both], [before["tasks"][task] for task in both], seed=seed)
    return [found.n, _interval(found.difference, found.low, found.high, "+"), f"{found.p_value:.2g}"]


def _rules(results: Results) -> Iterator[str]:
    said = [(name, k, rule) for name, arm in results.items() for k, rule in arm.get("rules", {}).items()]
    if not said:
        return
    names = list(said[0][2]["means"])
    rows = [
        [name, k, rule["n"], *(f"{rule['means'][item]:.3f}" for item in names), rule["rule"]] for name, k, rule in said
    ]
    yield from _rows(["rule, on validation", "k", "n", *names, "taken"], rows)


def _training(results: Results) -> Iterator[str]:
    found = [(name, arm["training"]) for name, arm in results.items() if arm.get("training")]
    rows = [[name, item["updates"], item["samples"] or "", item["seconds"], item["seed"]] for name, item in found]
    yield from _rows(["training", "updates", "samples", "seconds", "seed"], rows)


def _decisions(results: Results) -> Iterator[str]:
    rows: list[list[Any]] = []
    before: Mapping[str, float] | None = None
    for name, arm in results.items():
        if (found := arm.get("decisions")) is None:
            continue
        interval = mean_interval(list(found["right"].values()), seed=arm["seed"])
        gap = _gap({"tasks": found["right"]}, {"tasks": before}, arm["seed"])[1:] if before else ["", ""]
        right = _interval(interval.mean, interval.low, interval.high)
        rows.append([name, interval.n, f"{found['chance']:.3f}", right, *gap, found["seconds"]])
        before = found["right"]
    yield from _rows(["decisions", "n", "chance", "right (95 %)", "over the one before", "p", "seconds"], rows)
