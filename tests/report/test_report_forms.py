"""Reports say what the ledger holds, in every form, and nothing that a model wrote becomes markup."""

import base64
import gzip
import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from report_helpers import HOSTILE, improve_run

from autoflow.cli.main import main
from autoflow.report import text
from autoflow.report.evidence import Evidence
from autoflow.report.page import page


class _Scripts(html.parser.HTMLParser):
    """The scripts of a page by id, and the names of all its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.elements: list[str] = []
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self._open = (dict(attrs).get("id") or "page") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.found[self._open] = self.found.get(self._open, "") + data


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return improve_run(tmp_path / "runs" / "one", 60)


def _page(run: Path) -> tuple[_Scripts, dict[str, Any]]:
    with Evidence(run) as evidence:
        scripts = _Scripts()
        scripts.feed("".join(page(evidence)))
    return scripts, json.loads(scripts.found["data"])


def test_the_page_holds_every_result_and_its_trace(run: Path) -> None:
    scripts, data = _page(run)
    assert len(data["rows"]) == 2 * 2 * 60
    blocks = [name for name in scripts.found if name.startswith("block-")]
    traces: list[Any] = []
    for number in range(len(blocks)):
        traces += json.loads(gzip.decompress(base64.b64decode(scripts.found[f"block-{number}"])))
    assert len(traces) == len(data["rows"])
    for row, trace in zip(data["rows"], traces, strict=True):
        assert trace["answer"].startswith(f"answer {data['tasks'][row[2]][0][1:]} ")
        assert all(call["messages"][1][1].startswith("Task ") for step in trace["steps"] for call in step["calls"])


def test_means_are_over_scored_tasks_and_unscored_ones_are_counted(run: Path) -> None:
    _, data = _page(run)
    train = data["candidates"][0]["splits"]["train"]
    scored = [number for number in range(60) if number % 10 != 9]
    assert train["mean"] == pytest.approx(sum(number % 3 == 0 for number in scored) / len(scored))
    assert (train["n"], train["unscored"], train["calls"]) == (54, 6, 180)


def test_the_graph_counts_the_paths_taken(run: Path) -> None:
    _, data = _page(run)
    graph = data["candidates"][0]["graph"]
    ways = {(way["source"], way["target"]): way for way in graph["ways"]}
    assert ways["check", "done"]["count"] == 120
    assert ways["check", "draft"]["count"] == 0
    assert ways["check", "draft"]["returning"]
    assert [spot["layer"] for spot in graph["spots"]] == [0, 1, 2]


def test_a_draft_that_was_none_is_shown_with_its_errors(run: Path) -> None:
    _, data = _page(run)
    draft = data["candidates"][2]
    assert (draft["valid"], draft["errors"], draft["graph"], draft["text"]) == (
        False,
        ["line 1: no YAML"],
        None,
        HOSTILE,
    )
    assert 'step "draft" removed' in data["candidates"][1]["changes"]


def test_nothing_that_a_model_wrote_is_markup(run: Path) -> None:
    scripts, _ = _page(run)
    assert "img" not in scripts.elements
    # Two of data and of the page itself, and the blocks.
    assert scripts.elements.count("script") == 2 + len([name for name in scripts.found if name.startswith("block-")])


def test_the_page_asks_for_nothing_from_anywhere(run: Path) -> None:
    with Evidence(run) as evidence:
        whole = "".join(page(evidence))
    assert "default-src 'none'" in whole
    own = re.sub(r'<script type="application.*?</script>', "", whole, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|https?://(?!www\.w3\.org)", own) == []


def test_junit_is_xml_and_counts_failures_and_errors(run: Path) -> None:
    with Evidence(run) as evidence:
        root = ElementTree.fromstring("".join(text.junit(evidence)))
    suite = root.find("testsuite")
    assert suite is not None
    assert suite.attrib["name"] == "hand-written on train"
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == ("60", "36", "6")
    assert len(suite.findall("testcase/failure")) == 36


def test_markdown_escapes_what_models_wrote_and_states_intervals(run: Path) -> None:
    with Evidence(run) as evidence:
        whole = "".join(text.markdown(evidence))
    assert "<script>" not in whole
    assert re.search(r"\| hand-written \| train \| 0\.\d{3} \| 0\.\d{3} to 0\.\d{3} \| 54 \| 6 \|", whole)
    assert "Invalid drafts: 1 of 2" in whole


def test_json_lists_every_result(run: Path) -> None:
    with Evidence(run) as evidence:
        value = json.loads("".join(text.document(evidence)))
    assert len(value["results"]) == 240
    assert sum(result["score"] is None for result in value["results"]) == 24


def test_equal_runs_give_equal_pages(run: Path) -> None:
    with Evidence(run) as one, Evidence(run) as two:
        assert "".join(page(one)) == "".join(page(two))


def test_the_command_writes_into_the_run_and_finds_it_by_name(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parents[1])
    assert main(["report", "one"]) == 0
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["report", "one", "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("# one\n")
    assert main(["report", "two"]) == 2
    assert "there are: one" in capsys.readouterr().err


def test_pictures_of_the_run_are_shown_and_its_own_drawing_is_not(run: Path) -> None:
    (run / "made").mkdir()
    for name in ("report.png", "made/report.png", "made/denoised.jpg"):
        (run / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    _, data = _page(run)
    assert [(item["name"], item["data"][:15]) for item in data["pictures"]] == [
        ("made/denoised.jpg", "data:image/jpeg"),
        ("made/report.png", "data:image/png;"),
    ]
