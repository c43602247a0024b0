"""Shards of a run, merged, say what an unsharded run says; what does not make up one run is refused."""

import json
import re
from pathlib import Path

import pytest
from openai_server import SERVER_ERROR, serve

from autoflow.cli.main import main
from autoflow.runs.ledger import Ledger

BENCHMARK = """\
name: colours
description: Name the colour of a thing.
data: {jsonl: tasks.jsonl, fields: {id: id, text: text, reference: {answer: answer}, category: kind}}
scorer: exact
baseline: hand.yaml
"""

HAND = "autoflow: 1\nname: hand-written\nsteps:\n  - {name: answer, type: terminal, instruction: Name the colour.}\n"
RUNS = ["runs/a", "runs/b", "runs/c"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    # Two tasks of one text, which ask the same.
    things = ["sky", "sky", *(f"thing {number}" for number in range(9))]
    rows = [
        {"id": f"t{number}", "text": thing, "answer": "blue", "kind": "odd" if number % 2 else "even"}
        for number, thing in enumerate(things)
    ]
    (place / "tasks.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "rules.yaml").write_text("- when: thing 3\n  replies: [red]\n- replies: [blue]\n")
    monkeypatch.chdir(tmp_path)


BENCH = ["bench", "./colours", "--interpreter", "scripted/rules.yaml", "--epochs", "2", "--temperature", "1"]
MERGE = ["runs", "merge", *RUNS, "-o", "runs/merged"]


def _shards(bench: list[str] = BENCH, of: int = 3) -> None:
    for number, folder in enumerate(RUNS[:of], 1):
        assert main([*bench, "--shard", f"{number}/{of}", "--run", folder]) == 0


def _report(folder: str) -> tuple[str, str]:
    """Without the command, which is another."""
    written = Path(folder, "report.json").read_text()
    text = Path(folder, "report.txt").read_text()
    return re.sub(r'"command": ".*"', "", written), re.sub(r"command: .*", "", text)


def test_merged_shards_report_as_an_unsharded_run(capsys: pytest.CaptureFixture[str]) -> None:
    _shards()
    assert main([*BENCH, "--run", "runs/whole"]) == 0
    assert main([*MERGE[:2], *reversed(RUNS), *MERGE[5:]]) == 0
    assert _report("runs/merged") == _report("runs/whole")
    assert sorted(item.name for item in Path("runs").iterdir()) == ["a", "b", "c", "merged", "whole"]
    capsys.readouterr()
    # The merged run is that run: it goes on, compares and resumes as if it had been one from the start.
    assert main([*BENCH, "--run", "runs/merged"]) == 0
    assert "nothing to do, 22 task runs on record" in capsys.readouterr().err
    assert main(["compare", "runs/whole", "runs/merged"]) == 0
    with Ledger.reading(Path("runs/merged/ledger.sqlite")) as ledger:
        assert ledger.events()[-1].kind == "complete"


def test_what_a_shard_lost_stays_unscored(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(replies=["blue"], refuse=lambda body: SERVER_ERROR if "thing 5" in json.dumps(body) else None) as server:
        bench = [*BENCH, "--max-retries", "0", "--base-url", server.url]
        bench[bench.index("scripted/rules.yaml")] = "openai/m"
        _shards(bench)
        calls = server.calls
        assert main([*bench, "--run", "runs/whole"]) == 0
        made = server.calls - calls
        capsys.readouterr()
        assert main(MERGE) == 0
        assert server.calls == calls + made
    shown = capsys.readouterr()
    assert "unscored 1 of 11" in shown.out
    assert _report("runs/merged") == _report("runs/whole")
    same = {number for number in (1, 2, 3) if "t0" in _ids(number) or "t1" in _ids(number)}
    again = "2 of the calls were made by more than one shard"
    assert (again in shown.err) == (len(same) == 2)


def _ids(number: int) -> set[str]:
    return {row["id"] for row in json.loads(Path(RUNS[number - 1], "report.json").read_text())["rows"]}


def _refused(command: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    before = sorted(Path("runs").iterdir())
    assert main(command) == 2
    assert said in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert sorted(Path("runs").iterdir()) == before


def test_what_does_not_make_up_one_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    _shards()
    _refused([*MERGE[:3], *MERGE[4:]], "shards are missing: 2/3", capsys)
    _refused([*MERGE[:4], "runs/b", *MERGE[4:]], "a run is named twice", capsys)
    assert main([*BENCH, "--shard", "2/3", "--run", "runs/d"]) == 0
    _refused([*MERGE[:5], "runs/d", *MERGE[5:]], "runs/b and runs/d overlap: both are shard 2/3", capsys)
    assert main([*BENCH, "--shard", "2/2", "--run", "runs/e"]) == 0
    _refused(["runs", "merge", "runs/a", "runs/e", *MERGE[5:]], "shard 1/3 and runs/e shard 2/2", capsys)
    assert main([*BENCH, "--shard", "2/3", "--seed", "7", "--run", "runs/f"]) == 0
    differently = ["runs", "merge", "runs/a", "runs/f", "runs/c", *MERGE[5:]]
    _refused(differently, "differ in: settings.seed: 0 and 7 seed: 0 and 7", capsys)
    assert main([*BENCH, "--run", "runs/g"]) == 0
    _refused(["runs", "merge", "runs/a", "runs/g", *MERGE[5:]], "runs/g is no shard", capsys)
    _refused([*MERGE[:5], "-o", "runs/g", *MERGE[7:]], "runs/g exists", capsys)
    Path("colours/tasks.jsonl").write_text('{"id": "t0", "text": "sky", "answer": "blue", "kind": "even"}\n')
    _refused(MERGE, "the data, code or scorer of benchmark './colours' are not those of runs/a", capsys)


def test_an_unfinished_shard_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    _shards(of=2)
    assert main([*BENCH, "--shard", "3/3", "--run", "runs/c", "--max-calls", "2"]) == 6
    assert main([*BENCH, "--shard", "1/3", "--run", "runs/one"]) == 0
    assert main([*BENCH, "--shard", "2/3", "--run", "runs/two"]) == 0
    merge = ["runs", "merge", "runs/one", "runs/two", "runs/c", *MERGE[5:]]
    _refused(merge, "runs/c, shard 3/3, is not complete: budget", capsys)
    assert main([*BENCH, "--shard", "3/3", "--run", "runs/c"]) == 0
    assert main(merge) == 0


def test_a_baseline_whose_samples_depend_on_the_shard_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--shard", "1/2", "--baseline", "io", "--baseline", "cot-sc:equal"]) == 2
    assert "another number of samples in each shard" in capsys.readouterr().err
