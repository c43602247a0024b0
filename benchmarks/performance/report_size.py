"""How large the HTML report of a run is, how fast it opens in headless Chromium, and how fast its filters answer.

    python benchmarks/performance/report_size.py --traces 10000

Needs the extra `browser` and Chromium. The run is made up: two workflows, one of three steps, prompts of about 700
characters. Opening is from the first request to the drawn page; filtering is from the change to the painted table.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "report"))

from report_helpers import improve_run

from autoflow.report import write
from autoflow.report.evidence import Evidence

FILTER = """([id, value]) => {
  const field = document.getElementById(id);
  const began = performance.now();
  field.value = value;
  field.dispatchEvent(new Event('input', {bubbles: true}));
  document.getElementById('scroller').getBoundingClientRect();
  return performance.now() - began;
}"""

STEPS = (
    ("find", "answer 77"),
    ("by-workflow", "r1c1"),
    ("by-score", "zero"),
    ("find", ""),
    ("by-score", ""),
    ("by-workflow", ""),
)


def main() -> None:
    """Print the figures as a table, or with --json as a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("Chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        with Evidence(improve_run(Path(folder) / "run", given.traces // 4)) as evidence:
            write.whole(file, write.parts(evidence, "html"))
        opened, filtered = _measured(file, chromium, given.repeats)
        figures = {
            "traces": given.traces // 4 * 4,
            "megabytes": file.stat().st_size / 1e6,
            "open_s": statistics.median(opened),
            "open_worst_s": max(opened),
            "filter_ms": statistics.median(filtered),
            "filter_worst_ms": max(filtered),
        }
    if given.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<16} {value:,.2f}")


def _measured(file: Path, chromium: str, repeats: int) -> tuple[list[float], list[float]]:
    from playwright.sync_api import sync_playwright

    opened, filtered = [], []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(repeats):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-ready=yes]")
            opened.append(page.evaluate("performance.now()") / 1000)
            filtered += [page.evaluate(FILTER, step) for step in STEPS]
            page.close()
        browser.close()
    return opened, filtered


if __name__ == "__main__":
    main()
