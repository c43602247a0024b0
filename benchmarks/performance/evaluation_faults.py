"""What an evaluation makes of a bad network: every task scored right, none lost, none scored 0 for a fault.

    python benchmarks/performance/evaluation_faults.py [--tasks 500] [--json]

A loopback server (`tests/servers/loopback_server.py`) answers after `--latency-ms`. Of all calls it turns away 10 %
with 429, fails 5 % with 500, drops 2 % of the connections, answers 1 % with malformed JSON and 1 % with half a body,
and lets 1 % hang until the time-out. Then the same without faults, and the server killed for good in mid-run: what is
done is kept, the rest has no score, and with the server back the same call completes without repeating a recorded one.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "servers"))

from loopback_evaluation import evaluate, opened, tasks_of
from loopback_server import MIX, Server, serve
from loopback_tasks import STEPS

from autoflow.bench import BenchReport
from autoflow.runs.ledger import Ledger


async def sitting(server: Server, options: argparse.Namespace, folder: Path, gone_after_s: float | None) -> BenchReport:
    """One call of `bench`; the server is killed after so many seconds."""
    model = opened(server.url, options.connections, timeout_s=options.timeout_s, seed=1)
    if gone_after_s is not None:
        asyncio.get_running_loop().call_later(gone_after_s, server.stop)
    report = await evaluate(
        model, server.url, tasks_of(range(options.tasks)), folder, concurrency=options.connections * 3 // 2
    )
    await model.aclose()
    return report


def _said(report: BenchReport, began: float) -> dict[str, Any]:
    return {
        "state": report.state,
        "exit_code": report.exit_code,
        "right": sum(row.score == 1.0 for row in report.rows),
        "wrong": sum(row.score == 0.0 for row in report.rows),
        "unscored": report.unscored,
        "reasons": dict(report.reasons),
        "recorded_calls": report.spend.calls,
        "failed_calls": report.timing.failed_calls,
        "wall_s": time.perf_counter() - began,
    }


def mixed(options: argparse.Namespace) -> dict[str, Any]:
    """One evaluation against all faults at once."""
    with tempfile.TemporaryDirectory() as folder, serve(latency_s=options.latency_ms / 1000, faults=MIX) as server:
        began = time.perf_counter()
        report = asyncio.run(sitting(server, options, Path(folder) / "run", None))
        return {**_said(report, began), "server": server.stats()}


def gone(options: argparse.Namespace) -> dict[str, Any]:
    """One evaluation whose server dies, and one that goes on with it."""
    latency_s = options.latency_ms / 1000
    half_s = 0.5 * options.tasks * len(STEPS) * latency_s / options.connections + 0.5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        began = time.perf_counter()
        with serve(latency_s=latency_s) as server:
            stopped = _said(asyncio.run(sitting(server, options, folder, half_s)), began)
        with Ledger.reading(folder / "ledger.sqlite") as ledger:
            recorded = ledger.spend().calls
        began = time.perf_counter()
        with serve(latency_s=latency_s, port=server.port) as back:
            resumed = _said(asyncio.run(sitting(back, options, folder, None)), began)
            resumed["server"] = back.stats()
    return {"stopped": stopped, "recorded": recorded, "resumed": resumed}


def main() -> int:
    """Print what came of it; 3 if a task was lost or scored for a fault, or a recorded call was repeated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--timeout-s", type=float, default=3.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    mix, end = mixed(options), gone(options)
    calls = options.tasks * len(STEPS)
    stopped, resumed = end["stopped"], end["resumed"]
    targets = {
        "with faults, every task is scored right": mix["right"] == options.tasks,
        "a server that is gone stops the run with exit code 5": (stopped["state"], stopped["exit_code"])
        == ("provider", 5),
        "what was done is kept, and the rest has no score": stopped["wrong"] == 0
        and 0 < stopped["right"] < options.tasks
        and end["recorded"] >= stopped["right"] * len(STEPS),
        "with the server back, the run completes": (resumed["state"], resumed["right"]) == ("complete", options.tasks),
        "no recorded call is repeated": resumed["server"]["calls"] == calls - end["recorded"],
    }
    if options.json:
        print(json.dumps({"schema": 1, "mix": mix, **end, "targets": targets}, indent=2))
        return 0 if all(targets.values()) else 3
    print(f"{options.tasks} tasks x {len(STEPS)} calls, {options.connections} connections")
    for label, row in (("faults", mix), ("server killed", stopped), ("server back", resumed)):
        print(
            f"{label:14} {row['state']:9} right {row['right']:4} wrong {row['wrong']:3} unscored {row['unscored']:4}"
            f"  recorded calls {row['recorded_calls']:5}  failed calls {row['failed_calls']:4}  {row['wall_s']:6.1f} s"
        )
    print("faults met:", ", ".join(f"{name} {count}" for name, count in mix["server"].items()))
    for what, met in targets.items():
        print(f"target, {what}: {'met' if met else 'NOT MET'}")
    return 0 if all(targets.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
