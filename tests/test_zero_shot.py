"""A workflow written for each task: what is asked, run, scored and reported."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autoflow.bench import BenchConfig, BenchReport, bench
from autoflow.benchmarks import held_out, loader
from autoflow.cli.main import main
from autoflow.core.model import Model
from autoflow.errors import ProviderError
from autoflow.estimate import of_bench
from autoflow.generator.draft import conversation
from autoflow.generator.for_task import request_for
from autoflow.lineup import Entry, line_up
from autoflow.models.scripted import Rule, Scripted
from autoflow.zero_shot import PLACEHOLDER, Writing

SMALL = frozenset({"schema", "grammar"})
OPENAGI = loader.load("openagi")
TEST = held_out.load_split("openagi", "test")


def _outline(plan: list[str]) -> str:
    return json.dumps({"steps": [["", name] for name in plan], "answer": ""})


def _right() -> list[Rule]:
    plans = [task.reference["derived_plan"] for task in TEST]
    return [Rule((_outline(plan),), when=f"Task: {task.text}") for task, plan in zip(TEST, plans, strict=True)]  # type: ignore[arg-type]


async def _measured(
    tmp_path: Path,
    generator: Model,
    *,
    epochs: int = 1,
    repairs: int = 0,
    opened: Callable[[str], Model] | None = None,
) -> BenchReport:
    config = BenchConfig(
        "openagi", "scripted/silent", epochs=epochs, writing=Writing("scripted/writer", repairs=repairs)
    )
    silent = Scripted([])
    report = await bench(
        config, PLACEHOLDER, OPENAGI, silent, runs=tmp_path, open_model=opened or (lambda spec: generator)
    )
    assert silent.requests == []  # a plan of tools asks no interpreter's model
    return report


async def test_each_task_is_run_by_the_workflow_written_for_it(tmp_path: Path) -> None:
    writer = Scripted(_right(), name="scripted/writer", features=SMALL)
    report = await _measured(tmp_path, writer)
    assert [row.score for row in report.rows] == [1.0] * 13
    assert all(row.details["exact_match"] for row in report.rows)
    assert {request.messages for request in writer.requests} == {
        conversation(request_for(OPENAGI, task), "outline") for task in TEST
    }
    assert report.written is not None
    assert (report.written.drafts, report.written.invalid, report.written.best) == (13, 0, None)
    assert "0 of 13 drafts invalid" in report.to_text()
    assert report.to_json()["written"]["invalid_rate"] == 0.0
    assert len(list((report.folder / "workflows").glob("*.yaml"))) > 10


async def test_no_reference_reaches_the_generator(tmp_path: Path) -> None:
    writer = Scripted(_right(), name="scripted/writer", features=SMALL)
    await _measured(tmp_path, writer)
    seen = "\n".join(turn.text for request in writer.requests for turn in request.messages)
    assert "derived_plan" not in seen
    assert not any(json.dumps(task.reference["derived_plan"]) in seen for task in TEST)


async def test_an_invalid_draft_scores_zero_and_is_counted(tmp_path: Path) -> None:
    writer = Scripted([Rule(("nothing",))], name="scripted/writer", features=SMALL)
    report = await _measured(tmp_path, writer)
    assert report.interval is not None
    assert report.interval.mean == 0.0
    assert report.reasons == {"draft": 13}
    assert report.written is not None
    assert report.written.invalid == 13
    assert report.unscored == 0


async def test_types_that_do_not_fit_make_a_draft_invalid_unless_it_is_repaired(tmp_path: Path) -> None:
    wrong = _outline(["Image Captioning", "Image Denoising"])
    repaired = [Rule((_outline(["Image Denoising"]),), when="cannot be used"), Rule((wrong,))]
    first = await _measured(tmp_path / "a", Scripted(repaired, name="scripted/writer", features=SMALL))
    second = await _measured(tmp_path / "b", Scripted(repaired, name="scripted/writer", features=SMALL), repairs=1)
    assert first.written is not None
    assert second.written is not None
    no_image = sum("image" not in str(task.context["inputs"]) for task in TEST)
    assert (first.written.invalid, second.written.invalid) == (13, no_image)


async def test_several_drafts_are_averaged_and_their_best_is_a_bound(tmp_path: Path) -> None:
    rules = [
        Rule((_outline(task.reference["derived_plan"]), "nothing"), when=f"Task: {task.text}")  # type: ignore[arg-type]
        for task in TEST
    ]
    rules.append(Rule(("still nothing",), purpose="draft-repair"))
    report = await _measured(tmp_path, Scripted(rules, name="scripted/writer", features=SMALL), epochs=2)
    assert report.interval is not None
    assert report.interval.mean == 0.5
    assert report.written is not None
    assert report.written.best is not None
    assert report.written.best.mean == 1.0
    assert "a bound: 1.000" in report.to_text()


async def test_a_generator_that_is_gone_leaves_tasks_unscored(tmp_path: Path) -> None:
    class Gone(Scripted):
        async def complete(self, request: object) -> object:  # type: ignore[override]
            raise ProviderError("no network", transient=False)

    report = await _measured(tmp_path, Gone([], name="scripted/writer", features=SMALL))
    assert report.exit_code == 5
    assert report.interval is None
    assert {row.score for row in report.rows} == {None}


async def test_the_same_command_resumes_without_a_call(tmp_path: Path) -> None:
    first = await _measured(tmp_path, Scripted(_right(), name="scripted/writer", features=SMALL))
    silent = Scripted([], name="scripted/writer", features=SMALL)
    again = await _measured(tmp_path, silent)
    assert silent.requests == []
    assert again.to_json() == first.to_json()
    assert again.spend.calls == 13


async def test_written_workflows_are_compared_with_one_for_all(tmp_path: Path) -> None:
    hand = OPENAGI.baseline
    assert hand is not None
    model = Scripted([Rule(("[]",))], name="scripted/model", features=SMALL)
    writer = Scripted(_right(), name="scripted/writer", features=SMALL)
    entries = [Entry("hand", hand), Entry("written", PLACEHOLDER, writing=Writing("scripted/writer"))]
    config = BenchConfig("openagi", "scripted/model")
    assert of_bench(config, entries, OPENAGI, TEST, lambda *_: 0.0, runs=tmp_path).runs == 26
    found = await line_up(config, entries, OPENAGI, model, runs=tmp_path, open_model=lambda spec: writer)
    against = found.rows[1].against
    assert against is not None
    assert against.difference == 1.0
    assert of_bench(config, entries[1:], OPENAGI, TEST, lambda *_: 0.0, runs=tmp_path).recorded == 13


async def test_a_run_of_written_workflows_is_shown_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await _measured(tmp_path, Scripted(_right(), name="scripted/writer", features=SMALL))
    page = tmp_path / "page.html"
    assert await asyncio.to_thread(main, ["report", str(report.folder), "--output", str(page)]) == 0
    assert "written for each task" in page.read_text(encoding="utf-8")
    task = TEST[0].id
    assert await asyncio.to_thread(main, ["show", str(report.folder), "--task", task]) == 0
    assert str(TEST[0].reference["derived_plan"][0]) in capsys.readouterr().out  # type: ignore[index]
