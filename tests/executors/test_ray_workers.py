"""A run on a Ray cluster of several nodes reports what one process does, also when a node is killed under it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import SERVER_ERROR, Server, serve
from workers_helpers import TASKS, answer, command, make, report, text

from autoflow.cli.main import main
from autoflow.runs.ledger import Ledger

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Else workers give way to everything else on the machine, and on a busy one take minutes to start.
os.environ.setdefault("RAY_worker_niceness", "0")
ray: Any = pytest.importorskip("ray", reason="needs the extra `ray`")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# Loopback, but not 127.0.0.1, which Ray takes for "this machine" and replaces by an address that others can reach.
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False, "node_ip_address": "127.0.0.2"}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Two nodes of one CPU each; the driver is on the first."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args=NODE)
    found.add_node(**NODE)
    yield found
    found.shutdown()


@pytest.fixture
def cluster(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, with the benchmark in the working folder."""
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    if not nodes.worker_nodes:
        nodes.add_node(**NODE)
    return nodes


def _ray(server: Server, run: str, *more: str) -> list[str]:
    return command(server, run, "--executor", "ray", *more)


def test_two_nodes_report_what_one_process_does(cluster: Any) -> None:
    refuse = lambda body: SERVER_ERROR if "thing 7" in str(body["messages"]) else None  # noqa: E731
    with serve(replies=[answer], refuse=refuse) as server:
        assert main(command(server, "runs/one", "--epochs", "2", "--max-retries", "0")) == 0
        alone = server.calls
        Path("judges").unlink()
        assert main(_ray(server, "runs/two", "--epochs", "2", "--max-retries", "0")) == 0
        assert server.calls == 2 * alone
    assert report("runs/one") == report("runs/two")
    assert text("runs/one") == text("runs/two")
    assert len(set(Path("judges").read_text().split())) == 2


def test_one_budget_holds_for_all_nodes_and_sittings(cluster: Any) -> None:
    with serve(replies=[answer], latency_s=0.01) as server:
        assert main(_ray(server, "runs/one", "--max-calls", "17")) == 6
        assert server.calls == 17
        assert main(_ray(server, "runs/one", "--max-calls", "17")) == 6
        assert server.calls == 17
        assert main(_ray(server, "runs/one")) == 0
        assert server.calls == 2 * TASKS
        assert main(command(server, "runs/whole")) == 0
    assert report("runs/one") == report("runs/whole")


def test_a_node_killed_in_mid_run_loses_nothing(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    second = next(iter(cluster.worker_nodes))
    with serve(replies=[answer]) as server:
        assert main(command(server, "runs/whole")) == 0
        whole, server.latency_s = server.calls, 0.3

        def kill() -> None:
            while server.answered < whole + 12:
                time.sleep(0.01)
            cluster.remove_node(second, allow_graceful=False)
            server.latency_s = 0.0

        killer = threading.Thread(target=kill)
        killer.start()
        assert main(_ray(server, "runs/one")) == 0
        killer.join()
        # What was in flight on the lost node was asked again, and nothing else.
        assert whole <= server.calls - whole <= whole + 8
    assert report("runs/one") == report("runs/whole")
    assert text("runs/one") == text("runs/whole")
    shown = capsys.readouterr().err
    assert "a worker was lost" in shown
    with Ledger.reading(Path("runs/one/ledger.sqlite")) as ledger:
        assert ledger.failed_calls() <= 8


def test_a_worker_that_is_killed_is_replaced(cluster: Any) -> None:
    with serve(replies=[answer], latency_s=0.01) as server:
        assert main(command(server, "runs/whole")) == 0
        Path("fatal").write_text("t11")
        Path("judges").unlink()
        assert main(_ray(server, "runs/one")) == 0
    assert report("runs/one") == report("runs/whole")
    assert Path("pids").read_text()


def test_a_driver_that_is_killed_resumes_without_a_repeated_call(cluster: Any) -> None:
    with serve(replies=[answer], latency_s=0.2) as server:
        arguments = [sys.executable, "-m", "autoflow", *_ray(server, "runs/one", "--concurrency", "4")]
        driver = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.answered < 20:
            assert driver.poll() is None
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        # The cluster ends the actors of a driver that is gone; what they had in flight reaches nobody.
        time.sleep(2)
        with Ledger.reading(Path("runs/one/ledger.sqlite")) as ledger:
            recorded = ledger.spend().calls
        before, server.latency_s = server.calls, 0.0
        assert recorded >= 16
        assert main(_ray(server, "runs/one")) == 0
        assert server.calls - before == 2 * TASKS - recorded
        assert main(command(server, "runs/whole")) == 0
    assert report("runs/one") == report("runs/whole")


def test_a_node_with_another_benchmark_is_refused(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    # Each node keeps its own AUTOFLOW_DATA; here the data change between the driver's look and the workers'.
    with serve(replies=[answer]) as server:
        from autoflow.executors import ray_cluster

        connect = ray_cluster._connect

        def change(*given: Any) -> bool:
            with Path("colours/tasks.jsonl").open("a") as rows:
                rows.write('{"id": "new", "text": "new", "answer": "red", "kind": "k0"}\n')
            return connect(*given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_cluster, "_connect", change)
            assert main(_ray(server, "runs/one")) == 2
        assert server.calls == 0
    assert "is not the driver's; data, code or scorer differ" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.2:1")
    with serve(replies=[answer]) as server:
        assert main(_ray(server, "runs/one")) == 2
    assert "no Ray cluster answers at RAY_ADDRESS=127.0.0.2:1" in capsys.readouterr().err
