"""The report in a real browser: it opens, filters, shows a trace, keeps out what models wrote, and is accessible."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_helpers import HOSTILE, improve_run

from autoflow.report import write
from autoflow.report.evidence import Evidence

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra `browser`")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    with Evidence(improve_run(folder / "run", 500)) as evidence:
        write.whole(file, write.parts(evidence, "html"))
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["wide", "narrow"])
def page(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda asked: problems.append(asked.url) if not asked.url.startswith("file:") else None)
    opened.goto(report.as_uri())
    opened.wait_for_selector("html[data-ready=yes]")
    yield opened
    opened.close()
    assert problems == []


def test_axe_finds_no_serious_violation(page: Any) -> None:
    for look in ("", "open(3)"):
        if look:
            page.evaluate(look)
            page.wait_for_selector("#trace-body details")
        found = axe.Axe().run(page).response["violations"]
        assert [item["id"] for item in found if item["impact"] in ("serious", "critical")] == []


def test_the_page_is_no_wider_than_the_screen(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_filters_narrow_the_table_and_a_click_opens_the_trace(page: Any) -> None:
    page.select_option("#by-workflow", "r1c1")
    page.select_option("#by-score", "none")
    assert page.inner_text("#found").startswith("100 of 2,000 traces")
    page.fill("#find", "t499")
    assert page.inner_text("#found").startswith("2 of 2,000 traces")
    page.click("#rows button >> nth=0")
    page.wait_for_selector("#trace-body details")
    assert page.inner_text("#h-trace") == "Task t499, workflow r1c1, train"
    page.keyboard.press("Escape")
    assert not page.is_visible("#trace")


def test_the_table_can_be_sorted_and_scrolled_to_its_end(page: Any) -> None:
    page.click("#scroller th button >> text=score")
    assert page.get_attribute("#scroller th >> nth=4", "aria-sort") == "ascending"
    page.evaluate("const s = document.getElementById('scroller'); s.scrollTop = s.scrollHeight")
    page.wait_for_selector("#rows tr:last-child td:nth-child(5):text-is('–')")


def test_what_a_model_wrote_stays_text(page: Any) -> None:
    page.evaluate("select('r1c2')")
    page.click("#candidate summary")
    assert page.inner_text("#candidate details pre") == HOSTILE
    assert page.title() != "taken"
    assert page.query_selector("img") is None


_DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_pictures_are_enlarged_and_the_settings_fit(browser: Any, tmp_path: Path, width: int, height: int) -> None:
    run = improve_run(tmp_path / "run", 2)
    (run / "images").mkdir()
    (run / "images" / "one.png").write_bytes(base64.b64decode(_DOT))
    with Evidence(run) as evidence:
        write.whole(tmp_path / "report.html", write.parts(evidence, "html"))
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.goto((tmp_path / "report.html").as_uri())
    opened.click(".gallery button")
    assert opened.inner_text("#h-trace") == "images/one.png"
    assert opened.is_visible("#trace-body img")
    found = axe.Axe().run(opened).response["violations"]
    assert [item["id"] for item in found if item["impact"] in ("serious", "critical")] == []
    opened.keyboard.press("Escape")
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    wide = opened.locator("#settings .wide")
    assert wide.evaluate("node => node.scrollWidth <= node.clientWidth")
    opened.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("matrix")
    # In a process of its own: the browser's driver keeps an event loop running in this one.
    program = f"import sys; sys.path[:0] = {sys.path!r}; from matrix_helpers import fill; from pathlib import Path; "
    subprocess.run([sys.executable, "-c", f"{program}fill(Path.cwd())"], cwd=place, check=True)
    folder = place / "runs" / "table"
    with write.opened(folder) as matrix:
        write.whole(place / "table.html", write.parts(matrix, "html"))
    return place / "table.html"


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_page_of_a_matrix_fits_and_is_accessible(browser: Any, table: Path, width: int, height: int) -> None:
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.goto(table.as_uri())
    found = axe.Axe().run(opened).response["violations"]
    assert [item["id"] for item in found if item["impact"] in ("serious", "critical")] == []
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.evaluate("getComputedStyle(document.querySelector('td.score')).backgroundColor") != "rgba(0, 0, 0, 0)"
    opened.close()
