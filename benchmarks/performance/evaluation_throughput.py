"""How close an evaluation comes to the network: ours beside the least that asyncio can do, over loopback HTTP.

    python benchmarks/performance/evaluation_throughput.py [--tasks 500] [--connections 64] [--workers 2] [--rounds 3]

A server with a fixed latency answers in a process of its own (`tests/servers/loopback_server.py`). Each row is a client
process that carries out `--tasks` tasks of three calls, the later ones with the earlier replies in the prompt:

    aiohttp       plain asyncio and aiohttp: encode, post, decode
    openai SDK    plain asyncio and the openai SDK with its aiohttp transport
    autoflow      `autoflow.bench.bench`: a workflow of three steps through the `openai` provider, with retries, limits,
                  budget, ledger, scores, intervals and the report on disk
    workers       the same with `--workers N`: N processes run the tasks, and one keeps ledger, budget and limits

All make the same calls, check every answer, have as many tasks under way at once (`--concurrency`; more than there are
connections, so that none waits while a task computes), and are warmed up with as many tasks as there are connections.
No clock runs while programs are loaded: that of the workers stands still from asking for them until the last is ready
and warm, and while they end; how long they take to start and to end is printed. The target is met where either row of
autoflow meets it, and the output says which.

Rows take turns; each figure is the median over the rounds. The ideal wall time is calls x latency / connections.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "servers"))

from loopback_server import serve
from loopback_tasks import MAX_TOKENS, STEPS, messages_of

if TYPE_CHECKING:
    from autoflow.core.task import Task
    from autoflow.executors.recipe import Executor, Office, Recipe
    from autoflow.objective.drawing import Drawer

OURS = ("autoflow", "workers")
ROWS = ("aiohttp", "openai SDK", *OURS)

FLOOR_SHARE = 0.95
"""At 100 ms: our throughput as a share of aiohttp's, at least."""

MORE_CPU_MS = 0.6
"""At 5 ms: our CPU time a call beyond that of the openai SDK, at most."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a client is to do."""

    url: str
    connections: int
    concurrency: int
    """Tasks under way at once."""

    workers: int


async def _each(numbers: Iterator[int], load: Load, one: Callable[[int], Awaitable[None]]) -> None:
    async def work() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(work() for _ in range(load.concurrency)))


def _checked(reply: str | None, number: int) -> None:
    if reply is None or reply.strip() != str(number):
        raise AssertionError(f"task {number} got {reply!r}")


Run = Callable[[range], Awaitable[None]]


async def _aiohttp(load: Load, measure: Callable[[Run], Awaitable[None]]) -> None:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=load.connections)) as session:

        async def one(number: int) -> None:
            for messages in messages_of(number):
                body = {"model": "loopback", "messages": messages, "temperature": 0.0, "max_tokens": MAX_TOKENS}
                async with session.post(f"{load.url}/chat/completions", json=body) as answer:
                    reply = json.loads(await answer.read())
                _checked(reply["choices"][0]["message"]["content"], number)

        async def run(numbers: range) -> None:
            await _each(iter(numbers), load, one)

        await measure(run)


async def _openai(load: Load, measure: Callable[[Run], Awaitable[None]]) -> None:
    import openai

    most = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=load.connections, max_keepalive_connections=load.connections, keepalive_expiry=30.0
    )
    http_client = openai.DefaultAioHttpClient(base_url=load.url, limits=most)
    client = openai.AsyncOpenAI(api_key="none", base_url=load.url, max_retries=0, http_client=http_client)

    async def one(number: int) -> None:
        for messages in messages_of(number):
            answer = await client.chat.completions.create(
                model="loopback",
                messages=messages,  # type: ignore[arg-type]
                temperature=0.0,
                max_tokens=MAX_TOKENS,
            )
            _checked(answer.choices[0].message.content, number)

    async def run(numbers: range) -> None:
        await _each(iter(numbers), load, one)

    await measure(run)
    await client.close()


async def _autoflow(load: Load, measure: Callable[[Run], Awaitable[None]]) -> None:
    from loopback_evaluation import evaluate, opened, tasks_of

    model = opened(load.url, load.connections)
    with tempfile.TemporaryDirectory() as folder:

        async def run(numbers: range) -> None:
            path = Path(folder) / str(numbers.start)
            report = await evaluate(model, load.url, tasks_of(numbers), path, concurrency=load.concurrency)
            assert report.state == "complete"
            assert report.spend.calls == len(numbers) * len(STEPS), report.spend
            assert report.interval is not None
            assert (report.interval.mean, report.interval.n) == (1.0, len(numbers))

        await measure(run)
    await model.aclose()


@contextmanager
def profiled(file: str | None) -> Iterator[None]:
    """cProfile's figures of the block, written to the file if there is one."""
    if file is None:
        yield
        return
    import cProfile

    with cProfile.Profile() as profiler:
        yield
    profiler.dump_stats(file)


SINGLE = {"aiohttp": _aiohttp, "openai SDK": _openai, "autoflow": _autoflow}


class _Warm:
    """Workers that are all ready and have run the `first` tasks before the others begin."""

    def __init__(self, executor: "Executor", load: Load, first: "list[Task]", profile: str | None) -> None:
        self._executor = executor
        self._profile = profile
        self._load = load
        self._first = first
        self.start_s = self.warm_up_s = self.stop_s = self.cpu_s = 0.0

    @asynccontextmanager
    async def at_work(self, recipe: "Recipe", office: "Office") -> "AsyncIterator[Drawer]":
        """As of the executor within."""
        from autoflow.executors.pool import Pool

        asked = time.perf_counter()
        async with self._executor.at_work(recipe, office) as pool:
            assert isinstance(pool, Pool)
            while pool.ready < self._load.workers:  # noqa: ASYNC110  the pool tells nobody
                await asyncio.sleep(0.005)
            ready = time.perf_counter()

            async def one(number: int) -> None:
                await pool.draw(recipe.workflow, self._first[number], 0)

            await _each(iter(range(len(self._first))), self._load, one)
            self.start_s, self.warm_up_s = ready - asked, time.perf_counter() - ready
            before = _cpu_s()
            with profiled(self._profile):
                yield pool
            self.cpu_s = _cpu_s() - before
            ended = time.perf_counter()
        self.stop_s = time.perf_counter() - ended


def _cpu_s() -> float:
    """Of this process and its children. As Linux tells it, for the children to 10 ms."""
    spent = time.process_time()
    for child in Path("/proc/self/task", str(os.getpid()), "children").read_text().split():
        user, system = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()[11:13]
        spent += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return spent


async def _workers(load: Load, tasks: int, profile: str | None) -> dict[str, float]:
    from loopback_evaluation import evaluate, opened, tasks_of, workers_of, written

    first, chosen = tasks_of(range(10**6, 10**6 + load.connections)), tasks_of(range(tasks))
    model = opened(load.url, load.connections)
    warm = _Warm(workers_of(load.workers, load.url, load.connections), load, first, profile)
    with tempfile.TemporaryDirectory() as folder:
        benchmark = written(Path(folder))
        # For this process; the workers run them as well.
        await evaluate(model, load.url, first, Path(folder, "first"), concurrency=load.concurrency)
        began = time.perf_counter()
        report = await evaluate(
            model,
            load.url,
            chosen,
            Path(folder, "run"),
            concurrency=load.concurrency,
            benchmark=benchmark,
            executor=warm,
        )
        whole_s = time.perf_counter() - began
    await model.aclose()
    assert report.state == "complete"
    assert report.spend.calls == (len(first) + len(chosen)) * len(STEPS), report.spend
    assert report.interval is not None
    assert (report.interval.mean, report.interval.n) == (1.0, len(chosen))
    wall_s = whole_s - warm.start_s - warm.warm_up_s - warm.stop_s
    return {"wall_s": wall_s, "cpu_s": warm.cpu_s, "start_s": warm.start_s, "stop_s": warm.stop_s}


def client(row: str, load: Load, tasks: int, profile: str | None) -> dict[str, float]:
    """One row, measured in this process and its children: seconds of wall and of CPU."""
    found: dict[str, float] = {}

    async def measure(run: Run) -> None:
        await run(range(10**6, 10**6 + load.connections))
        with profiled(profile):
            wall, cpu = time.perf_counter(), time.process_time()
            await run(range(tasks))
            found.update(wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)

    if row == "workers":
        return asyncio.run(_workers(load, tasks, profile))
    asyncio.run(SINGLE[row](load, measure))
    return found


def measured(latency_s: float, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every row by its name."""
    tasks, connections = options.tasks, options.connections
    drawn: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
    with serve(latency_s=latency_s) as server:
        for _ in range(options.rounds):
            for row in ROWS:
                command = [sys.executable, __file__, "--client", row, "--url", server.url]
                command += ["--tasks", str(tasks), "--connections", str(connections)]
                command += ["--concurrency", str(options.concurrency), "--workers", str(options.workers)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                drawn[row].append(json.loads(done.stdout))
    calls = tasks * len(STEPS)
    ideal_s = calls * latency_s / connections
    rows = {}
    floor_s = statistics.median(one["wall_s"] for one in drawn["aiohttp"])
    for row in ROWS:
        wall_s = statistics.median(one["wall_s"] for one in drawn[row])
        rows[row] = {
            "wall_s": wall_s,
            "ideal_share": ideal_s / wall_s,
            "floor_share": floor_s / wall_s,
            "cpu_ms_a_call": 1000 * statistics.median(one["cpu_s"] for one in drawn[row]) / calls,
            **{
                name: statistics.median(one[name] for one in drawn[row])
                for name in ("start_s", "stop_s")
                if name in drawn[row][0]
            },
        }
    return rows


def main() -> int:
    """Print the tables; 3 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2, help="processes that run the tasks in the last row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[100.0, 5.0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", choices=ROWS, help="measure one row in this process, against --url")
    parser.add_argument("--url")
    parser.add_argument("--profile", metavar="FILE", help="with --client: where cProfile's figures go")
    options = parser.parse_args()
    if options.client is not None:
        load = Load(options.url, options.connections, options.concurrency, options.workers)
        print(json.dumps(client(options.client, load, options.tasks, options.profile)))
        return 0
    labels = {row: row for row in ROWS} | {"workers": f"autoflow, {options.workers} workers"}
    settings = {latency_ms: measured(latency_ms / 1000, options) for latency_ms in options.latency_ms}
    targets = {}
    if 100.0 in settings:
        rows = settings[100.0]
        better = max(OURS, key=lambda row: rows[row]["floor_share"])
        share = rows[better]["floor_share"]
        what = f"100 ms: at least {FLOOR_SHARE} of aiohttp's throughput ({labels[better]}: {share:.3f})"
        targets[what] = share >= FLOOR_SHARE
    if 5.0 in settings:
        rows = settings[5.0]
        more = rows["autoflow"]["cpu_ms_a_call"] - rows["openai SDK"]["cpu_ms_a_call"]
        targets[f"5 ms: at most {MORE_CPU_MS} ms of CPU a call more than the openai SDK"] = more <= MORE_CPU_MS
    if options.json:
        head = {
            "schema": 1,
            "tasks": options.tasks,
            "calls_a_task": len(STEPS),
            "connections": options.connections,
            "concurrency": options.concurrency,
            "workers": options.workers,
            "rounds": options.rounds,
            "python": sys.version.split()[0],
            "cpus": os.cpu_count(),
        }
        print(json.dumps({**head, "latency_ms": settings, "targets": targets}, indent=2))
    else:
        for latency_ms, rows in settings.items():
            print(f"\n{options.tasks} tasks x {len(STEPS)} calls, {latency_ms:g} ms, {options.connections} connections")
            print(f"{'':<20} {'wall s':>8} {'of ideal':>9} {'of aiohttp':>11} {'CPU ms a call':>14}")
            for row, values in rows.items():
                print(
                    f"{labels[row]:<20} {values['wall_s']:>8.2f} {values['ideal_share']:>9.2f}"
                    f" {values['floor_share']:>11.2f} {values['cpu_ms_a_call']:>14.2f}"
                )
            taken = rows["workers"]
            print(f"besides, the workers take {taken['start_s']:.2f} s to start and {taken['stop_s']:.2f} s to end")
        print()
        for what, met in targets.items():
            print(f"target, {what}: {'met' if met else 'NOT MET'}")
    return 0 if all(targets.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
