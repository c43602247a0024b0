"""A bad network costs time and nothing else: real HTTP on loopback, every fault at once, and a server that is gone."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from loopback_evaluation import evaluate, opened, tasks_of
from loopback_server import MIX, Server, serve
from loopback_tasks import STEPS

from autoflow.bench import BenchReport
from autoflow.models import retry


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of hundredths of a second."""
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.2)
    monkeypatch.setattr(retry, "SILENT_S", 1.0)


async def _sitting(server: Server, count: int, folder: Path, *, timeout_s: float, connections: int = 16) -> BenchReport:
    model = opened(server.url, connections, timeout_s=timeout_s, seed=1)
    try:
        return await evaluate(model, server.url, tasks_of(range(count)), folder, concurrency=connections)
    finally:
        await model.aclose()


def _outcome(report: BenchReport) -> tuple[str, int, int, int]:
    right, wrong = (sum(row.score == value for row in report.rows) for value in (1.0, 0.0))
    return report.state, right, wrong, report.unscored


async def _against_the_mix(count: int, folder: Path, *, timeout_s: float, connections: int) -> None:
    with serve(latency_s=0.002, faults=MIX, seed=7) as server:
        report = await _sitting(server, count, folder, timeout_s=timeout_s, connections=connections)
        met = server.stats()
    assert _outcome(report) == ("complete", count, 0, 0)
    # On a busy machine the server may answer a call that this side has given up, and answer it again.
    assert report.spend.calls == count * len(STEPS) <= met["answered"]
    # Each kind of fault has happened, or nothing was shown.
    assert all(met[kind] for kind in MIX)


async def _stop_after(server: Server, answered: int) -> None:
    while (await asyncio.to_thread(server.stats))["answered"] < answered:
        await asyncio.sleep(0.01)
    server.stop()


async def test_no_task_is_lost_or_scored_for_a_fault(hasty: None, tmp_path: Path) -> None:
    await _against_the_mix(60, tmp_path / "run", timeout_s=0.5, connections=16)


@pytest.mark.slow
async def test_of_500_tasks_none_is_lost_or_scored_for_a_fault(tmp_path: Path) -> None:
    await _against_the_mix(500, tmp_path / "run", timeout_s=3.0, connections=64)


async def test_server_that_is_gone_stops_the_run_and_one_that_is_back_completes_it(hasty: None, tmp_path: Path) -> None:
    count, folder = 150, tmp_path / "run"
    with serve(latency_s=0.01) as server:
        ending = asyncio.create_task(_stop_after(server, 30))
        stopped = await _sitting(server, count, folder, timeout_s=5.0, connections=4)
        await ending
    state, right, wrong, unscored = _outcome(stopped)
    assert (state, wrong, right + unscored) == ("provider", 0, count)
    assert stopped.exit_code == 5
    assert 0 < right < count
    assert set(stopped.reasons) == {"provider", "not_run"}
    recorded = stopped.spend.calls
    assert recorded >= right * len(STEPS)
    with serve(latency_s=0.0, port=server.port) as back:
        resumed = await _sitting(back, count, folder, timeout_s=5.0)
        assert back.stats()["calls"] == count * len(STEPS) - recorded
    assert _outcome(resumed) == ("complete", count, 0, 0)
    # Nothing of the outage is left in what the report says.
    with serve(latency_s=0.0) as other:
        whole = await _sitting(other, count, tmp_path / "whole", timeout_s=5.0)
    assert [replace(row, seconds=None) for row in resumed.rows] == [replace(row, seconds=None) for row in whole.rows]
