"""A run as a picture: what is drawn follows from the ledger, equal runs give equal files, no library is an error."""

import sqlite3
import sys
from pathlib import Path

import pytest
from matrix_helpers import fill
from report_helpers import improve_run

from autoflow.cli.main import main
from autoflow.report import plots
from autoflow.report.evidence import Evidence


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return improve_run(tmp_path / "runs" / "one$^", 20)


def test_points_are_the_means_with_their_intervals_and_costs(run: Path) -> None:
    with Evidence(run) as evidence:
        found, unit = plots.points(evidence)
    assert unit == "tokens"
    assert [(point.id, point.round, point.split) for point in found] == [
        ("hand-written", 0, "train"),
        ("hand-written", 0, "validation"),
        ("r1c1", 1, "train"),
        ("r1c1", 1, "validation"),
    ]
    first = found[0]
    scored = [number for number in range(20) if number % 10 != 9]
    assert first.interval.mean == pytest.approx(sum(number % 3 == 0 for number in scored) / len(scored))
    assert first.interval.low < first.interval.mean < first.interval.high
    assert [point.cost for point in found] == [660, 660, 220, 220]
    assert all(point.whole for point in found)


def test_without_matplotlib_the_error_names_the_extra(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["report", str(run), "--format", "png"]) == 2
    shown = capsys.readouterr().err
    assert "error[missing-dependency]" in shown
    assert "pip install 'autoflow[plots]'" in shown
    assert not (run / "report.png").exists()


def test_picture_of_a_run_is_the_same_file_each_time(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    assert main(["report", str(run), "--format", "png"]) == 0
    assert (run / "report.png").read_bytes().startswith(b"\x89PNG")
    for name in ("a.svg", "b.svg"):
        assert main(["report", str(run), "--format", "svg", "-o", str(tmp_path / name)]) == 0
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for part in ("one$^ (complete)", "r1c1", "hand-written", "made score", "tokens a task, validation", "best so far"):
        assert part in text


def test_picture_of_a_scorers_own_split_has_its_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    monkeypatch.chdir(tmp_path)
    run = next(fill(tmp_path).glob("bench-*"))
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("split: test", "split: local"))
    with sqlite3.connect(run / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE results SET split = 'local'")
    assert main(["report", str(run), "--format", "svg", "-o", "local.svg"]) == 0
    assert "local, 95 % interval" in Path("local.svg").read_text()


def test_picture_of_a_matrix_has_every_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    assert main(["report", "table", "--format", "svg", "-o", "table.svg"]) == 0
    text = Path("table.svg").read_text()
    assert "scripted/b.yaml" in text
    assert text.count("0.500 [") == 2
