"""A matrix has a report in every form; an improving run's report has its tasks' texts."""

import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matrix_helpers import HOSTILE, fill

from autoflow.cli.main import main
from autoflow.report import write
from autoflow.report.evidence import Evidence
from autoflow.report.view import _page
from autoflow.runs.folder import list_runs


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = fill(tmp_path)
    capsys.readouterr()
    return folder


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def test_page_shows_the_table_and_every_task_and_nothing_becomes_markup(matrix: Path) -> None:
    assert main(["report", "table"]) == 0
    page = _Cells()
    page.feed((matrix / "report.html").read_text())
    assert not {"script", "b", "img"} & set(page.tags)
    texts = [text.strip() for text in page.texts]
    row = texts.index("in-context by scripted/generator.yaml")
    assert texts[row + 1].startswith("0.500 [")
    assert texts[row + 2].startswith("0.500 [")
    assert sum(text == HOSTILE for text in texts) >= 3
    # Every test task with its text, those that the cells tell apart first.
    tasks = [text for text in texts if text.startswith("What colour is")]
    assert len(tasks) == 4
    # Four cells; the hand-written workflow gets none right, the generator's one of two.
    found = texts[texts.index(tasks[0]) : texts.index(tasks[0]) + 5]
    assert sorted(found[1:]) == ["0.000", "0.000", "0.000", "1.000"]


def test_other_forms_hold_the_same_numbers(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "table", "--format", "md"]) == 0
    text = capsys.readouterr().out
    assert "\\<b\\>bold" in text
    assert "| in-context by scripted/generator.yaml | 0.500 \\[" in text
    assert main(["report", "table", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "matrix"
    assert sum(item["score"] for item in document["results"]) == 4
    assert len(document["results"]) == 4 * 4
    assert main(["report", "table", "--format", "junit"]) == 0
    suites = ElementTree.fromstring(capsys.readouterr().out)
    assert [suite.get("failures") for suite in suites] == ["4", "2", "4", "2"]


def test_matrix_without_a_report_says_when_there_will_be_one(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (matrix / "report.json").unlink()
    assert main(["report", "table"]) == 2
    assert "the matrix has no report yet" in capsys.readouterr().err


def test_viewer_links_a_matrix(matrix: Path) -> None:
    assert '<a href="/runs/table">' in _page(matrix.parent, list_runs(matrix.parent))


def improved(matrix: Path) -> Path:
    return next(matrix.glob("improve-*"))


def test_improving_run_shows_the_texts_of_its_tasks(matrix: Path) -> None:
    with Evidence(improved(matrix)) as evidence:
        assert {task: text[0][:16] for task, text in evidence.texts().items()} == {
            str(number): f"What colour is {number}" for number in range(4)
        }
        assert evidence.gap is None
        assert "What colour is 2?" in "".join(write.parts(evidence, "md"))


def test_improving_run_shows_what_it_is_compared_with(matrix: Path) -> None:
    models = ["--generator", "scripted/generator.yaml", "--interpreter", "scripted/a.yaml"]
    assert main(["improve", "./colours", *models, "--rounds", "1", "--run", "runs/full", "--quiet"]) == 0
    with Evidence(Path("runs/full")) as evidence:
        whole, text = "".join(write.parts(evidence, "html")), "".join(write.parts(evidence, "md"))
    data = json.loads(whole.split('id="data">')[1].split("</script>")[0])
    methods = {row["id"]: row for row in data["references"]}
    assert [name.split(":")[0] for name in methods] == ["io", "cot", "cot-sc"]
    assert methods["io"]["n"] == 4
    assert all("(p = " in row["against"] for row in methods.values())
    assert data["against_hand_written"][data["best"]].startswith("no difference that 4 tasks can show: +0.50")
    assert "| cot | 0.000 (0.000 to 0.490) | 4 |" in text


def test_texts_of_other_tasks_than_the_runs_are_not_shown(matrix: Path) -> None:
    tasks = Path("colours/tasks.jsonl")
    tasks.write_text(tasks.read_text().replace("What colour", "What smell"))
    with Evidence(improved(matrix)) as evidence:
        text = "".join(write.parts(evidence, "md"))
    assert "What smell" not in text
    assert "Note: the texts of train and validation tasks are not shown: " in text
