"""Time to judge HumanEval's 164 canonical solutions, each with its tests in sandboxes of its own.

    AUTOFLOW_DATA=... python benchmarks/performance/sandbox_speed.py [--rounds 3] [--boundary landlock] [--json]

Without AUTOFLOW_DATA, 164 made-up tasks of the same shape stand in. All answers are handed over at once, as an
evaluation does; as many run at a time as there are processors. The last row starts one empty program after another.
"""

import argparse
import asyncio
import gzip
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TypedDict

from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.sandbox.choose import choose, describe
from autoflow.sandbox.judge import processors
from autoflow.sandbox.program import Program, Sandbox
from autoflow.scorers.code_tests import CodeTests

TARGET_S = 60.0
"""What 164 solutions may take on two cores."""

TASKS = 164


class Row(TypedDict):
    """One line of the table."""

    what: str
    count: int
    passed: int
    median_s: float
    least_s: float
    most_s: float
    each_ms: float


def pairs() -> tuple[str, list[tuple[Task, str]]]:
    """Where the tasks come from, and each task with its right answer."""
    folder = os.environ.get("AUTOFLOW_DATA")
    if folder is None:
        return "made up", [_made_up(number) for number in range(TASKS)]
    with gzip.open(Path(folder) / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return "HumanEval", [
        (
            Task(row["task_id"], row["prompt"], reference={key: row[key] for key in ("prompt", "test", "entry_point")}),
            row["prompt"] + row["canonical_solution"],
        )
        for row in rows
    ]


def _made_up(number: int) -> tuple[Task, str]:
    prompt = (
        f'from typing import List\n\n\ndef scale(numbers: List[int]) -> List[int]:\n    """Each times {number}."""\n'
    )
    calls = "\n".join(
        f"    assert candidate(list(range({size}))) == [n * {number} for n in range({size})]" for size in range(8)
    )
    reference = {"prompt": prompt, "test": f"def check(candidate):\n{calls}\n", "entry_point": "scale"}
    return Task(str(number), prompt, reference=reference), f"{prompt}    return [n * {number} for n in numbers]\n"


async def _judged(sandbox: Sandbox, work: list[tuple[Task, str]]) -> int:
    scorer = CodeTests(sandbox=sandbox)
    scores = await asyncio.gather(*(scorer.score(task, Trace("w", task.id, (), answer)) for task, answer in work))
    return sum(score.value == 1.0 for score in scores)


async def _started(sandbox: Sandbox, count: int) -> int:
    outcomes = [await sandbox.run(Program({"main.py": ""})) for _ in range(count)]
    return sum(outcome.status == 0 for outcome in outcomes)


def measure(sandbox: Sandbox, rounds: int) -> tuple[str, list[Row]]:
    """Name of the data, and the table."""
    source, work = pairs()
    rows = []
    for what, count in ((f"judge {source}", len(work)), ("start a program", 20)):
        seconds, passed = [], count
        for _ in range(rounds):
            began = time.perf_counter()
            found = asyncio.run(_judged(sandbox, work) if count == len(work) else _started(sandbox, count))
            seconds.append(time.perf_counter() - began)
            passed = min(passed, found)
        median = statistics.median(seconds)
        rows.append(Row(what=what, count=count, passed=passed, median_s=median, least_s=min(seconds),
                        most_s=max(seconds), each_ms=1000 * median / count))  # fmt: skip
    return source, rows


def main() -> int:
    """Print the table; 1 if a right solution failed or the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--boundary", choices=["best", "bubblewrap", "landlock"], default="best")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sandbox = choose()
    if options.boundary != "best":
        found = next(boundary for boundary in describe() if boundary.name == options.boundary)
        if found.sandbox is None:
            print(f"{found.name} does not work here: {found.detail}", file=sys.stderr)
            return 1
        sandbox = found.sandbox
    source, rows = measure(sandbox, options.rounds)
    good = rows[0]["passed"] == rows[0]["count"] and rows[0]["median_s"] <= TARGET_S
    if options.json:
        head = {"boundary": sandbox.name, "data": source, "processors": processors(), "rounds": options.rounds}
        print(json.dumps({**head, "target_s": TARGET_S, "met": good, "rows": rows}, indent=2))
        return 0 if good else 1
    print(f"{sandbox.name}, {processors()} processors, {options.rounds} rounds; target {TARGET_S:g} s")
    print(f"{'what':<20} {'n':>5} {'passed':>7} {'median s':>9} {'least s':>8} {'most s':>8} {'each ms':>8}")
    for row in rows:
        print(
            f"{row['what']:<20} {row['count']:>5} {row['passed']:>7} {row['median_s']:>9.2f} {row['least_s']:>8.2f} "
            f"{row['most_s']:>8.2f} {row['each_ms']:>8.1f}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
