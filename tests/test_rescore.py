"""Rescoring: the report is that of a run under the other scorer, no workflow is run, and the run stays as it is."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autoflow.bench import BenchConfig, BenchReport, bench
from autoflow.benchmarks import loader
from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import DataError, ProviderError, RunError, UnknownNameError, UsageError
from autoflow.improve import Collaborators, ImproveConfig, improve
from autoflow.language.dump import dump
from autoflow.rescore import RescoreConfig, rescore
from autoflow.runs.ledger import Ledger

DEFINITION = """\
name: colours
description: Name the colour of a thing.
data:
  jsonl: tasks.jsonl
  fields: {text: text, reference: {answer: answer}}
splits:
  train: [0, 1]
  validation: [2, 3]
  test: [4, 5, 6, 7, 8, 9]
scorer: exact
baseline: hand.yaml
"""

WORKFLOW = Workflow("hand", (Step("answer", "terminal", "Name the colour."),))

OWN = """\
from autoflow.core.score import Score

def first(task, answer):
    return Score(float(answer[0] == task.reference["answer"][0]), "", {"first": answer[0]})

def broken(task, answer):
    from autoflow.errors import SandboxError
    raise SandboxError("no sandbox here")
"""


class Model:
    """Says "blue" at length for even numbers, nothing for the fifth, and cannot be reached for the seventh."""

    features: frozenset[Feature] = frozenset()

    def __init__(self, name: str = "test/solver") -> None:
        self.name = name
        self.asked = 0
        self.gone = "thing 7"

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        text = "\n".join(message.text for message in request.messages)
        if self.gone and self.gone in text:
            raise ProviderError("no route", transient=True)
        if request.purpose == "judge":
            said = (
                '{"reason": "As told.", "grade": "right"}'
                if "It is blue" in text
                else '{"reason": "", "grade": "wrong"}'
            )
        elif "thing 5" in text:
            said = ""
        else:
            said = "It is blue." if any(f"thing {number}" in text for number in (0, 2, 4, 6, 8)) else "blue"
        return Reply(said, self.name, Usage(10, 2, cost_usd=0.001), seconds=0.5, finish="stop")

    async def aclose(self) -> None:
        """Nothing is held."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "colours"
    folder.mkdir()
    (folder / "benchmark.yaml").write_text(DEFINITION)
    (folder / "hand.yaml").write_text(dump(WORKFLOW))
    (folder / "own.py").write_text(OWN)
    lines = [json.dumps({"text": f"thing {number}", "answer": "blue"}) for number in range(10)]
    (folder / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    return folder


async def measured(place: Path, folder: Path, scorer: str | None = None, **more: Any) -> BenchReport:
    config = BenchConfig(str(place), "test/solver", scorer=scorer, command="autoflow bench", **more)
    return await bench(config, WORKFLOW, loader.load(str(place), scorer=scorer), Model(), folder=folder)


def asked(place: Path, run: Path, scorer: str | None = None, **more: Any) -> RescoreConfig:
    return RescoreConfig(run, scorer=scorer, benchmark=str(place), command="autoflow rescore", **more)


def essence(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without what a rescored run must say differently: who asked, what was paid, and that it was rescored."""
    config = {key: value for key, value in report["config"].items() if key != "rescored"}
    return {
        **{key: value for key, value in report.items() if key not in ("command", "spend", "notes")},
        "config": config,
    }


@pytest.mark.parametrize("scorer", ["contains", "own:first", None])
@pytest.mark.parametrize("epochs", [1, 2])
async def test_the_report_is_that_of_a_run_under_the_other_scorer(
    tmp_path: Path, place: Path, scorer: str | None, epochs: int
) -> None:
    first = await measured(place, tmp_path / "first", epochs=epochs)
    report = await rescore(asked(place, tmp_path / "first", scorer), folder=tmp_path / "again")
    fresh = await measured(place, tmp_path / "fresh", scorer, epochs=epochs)
    assert essence(report.to_json()) == essence(fresh.to_json())
    assert json.loads((tmp_path / "again" / "report.json").read_text()) == json.loads(json.dumps(report.to_json()))
    assert report.spend.calls == 0
    assert sum(row.spend.calls for row in report.rows) == sum(row.spend.calls for row in first.rows) > 0
    reasons = {row.id: (row.score, row.reason) for row in report.rows}
    assert reasons["5"] == (0.0, "empty_answer")
    assert reasons["7"] == (None, "provider")
    assert report.answered == ("test/solver",)


async def test_another_scorer_gives_another_number_and_the_report_says_what_it_is(tmp_path: Path, place: Path) -> None:
    first = await measured(place, tmp_path / "first")
    report = await rescore(asked(place, tmp_path / "first", "contains"), folder=tmp_path / "again")
    assert first.interval is not None
    assert report.interval is not None
    assert (first.interval.mean, report.interval.mean) == (1 / 5, 4 / 5)
    text = report.to_text()
    assert "Rescored: the recorded traces of first were judged anew, and no workflow was run." in text
    assert "The exact match of that run was 0.200 [" in text
    assert report.config["rescored"] == "first"
    assert report.exit_code == 0


async def test_no_model_is_opened_and_the_judged_run_stays_as_it_is(tmp_path: Path, place: Path) -> None:
    await measured(place, tmp_path / "first")

    def state() -> dict[str, str]:
        return {
            str(path.relative_to(tmp_path)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((tmp_path / "first").rglob("*"))
            # A reader of the database leaves SQLite's own working files, empty of content.
            if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        }

    def refuse(spec: str) -> Model:
        raise AssertionError(f"{spec} was opened")

    before = state()
    await rescore(asked(place, tmp_path / "first", "contains"), folder=tmp_path / "again", open_model=refuse)
    assert state() == before


async def test_the_same_call_judges_nothing_again(tmp_path: Path, place: Path) -> None:
    await measured(place, tmp_path / "first")
    config = asked(place, tmp_path / "first", "own:first")
    first = await rescore(config, runs=tmp_path / "runs")
    (place / "own.py").write_text(OWN)
    again = await rescore(config, runs=tmp_path / "runs")
    assert first.folder == again.folder
    assert first.folder.name.startswith("rescore-")
    assert again.to_json() == first.to_json()


async def test_a_task_whose_scorer_could_not_run_is_judged_by_one_that_can(tmp_path: Path, place: Path) -> None:
    first = await measured(place, tmp_path / "first", "own:broken")
    assert {row.score for row in first.rows if row.id != "5"} == {None}
    report = await rescore(asked(place, tmp_path / "first", "contains"), folder=tmp_path / "again")
    assert [row.id for row in report.rows if row.score is None] == ["7"]
    # And the other way round: the fault of the scorer is a fault, and is tried again.
    back = await rescore(asked(place, tmp_path / "again", "own:broken"), folder=tmp_path / "back")
    assert {row.reason for row in back.rows} == {"sandbox", "empty_answer", "provider"}


JUDGE: Mapping[str, Json] = {"rubric": "It says that it is blue.", "model": "test/judge"}


async def test_a_judge_that_is_a_model_asks_it_and_pays_from_this_runs_budget(tmp_path: Path, place: Path) -> None:
    await measured(place, tmp_path / "first")
    judge = Model("test/judge")
    judge.gone = ""
    config = asked(place, tmp_path / "first", "llm-judge", scorer_options=JUDGE)
    poor = await rescore(
        RescoreConfig(**{**config_values(config), "budget": Budget(calls=2)}),
        folder=tmp_path / "again",
        open_model=lambda spec: judge,
    )
    assert (poor.state, poor.exit_code, judge.asked) == ("budget", 6, 2)
    report = await rescore(config, folder=tmp_path / "again", open_model=lambda spec: judge)
    # Of six tasks one has no answer to judge and one no trace with an answer.
    assert (report.state, judge.asked, report.spend.calls) == ("complete", 4, 4)
    assert report.spend.usd == pytest.approx(0.004)
    assert report.interval is not None
    assert report.interval.mean == pytest.approx(3 / 5)
    assert "The judge is a model, test/judge" in report.to_text()
    assert report.answered == ("test/judge", "test/solver")
    with Ledger.reading(tmp_path / "first" / "ledger.sqlite") as ledger:
        assert ledger.models() == ["test/solver"]


def config_values(config: RescoreConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in RescoreConfig.__dataclass_fields__}


async def test_a_stopped_run_is_judged_as_far_as_it_got(tmp_path: Path, place: Path) -> None:
    first = await measured(place, tmp_path / "first", budget=Budget(calls=3), concurrency=1)
    assert first.state == "budget"
    report = await rescore(asked(place, tmp_path / "first", "contains"), folder=tmp_path / "again")
    assert report.state == "complete"
    assert {row.id for row in report.rows} == {row.id for row in first.rows if row.reason != "not_run"}
    assert "of 6 tasks have no trace and are left out" in report.to_text()


async def test_other_tasks_are_refused_and_a_changed_reference_is_told(tmp_path: Path, place: Path) -> None:
    await measured(place, tmp_path / "first")
    data = place / "tasks.jsonl"
    data.write_text(data.read_text().replace('"answer": "blue"', '"answer": "It is blue."'))
    report = await rescore(asked(place, tmp_path / "first"), folder=tmp_path / "again")
    assert report.interval is not None
    assert report.interval.mean == pytest.approx(3 / 5)
    assert "its fingerprint has changed" in report.to_text()
    data.write_text(data.read_text().replace("thing 6", "thing six"))
    with pytest.raises(DataError, match="task 6 of colours is not the one that first answered"):
        await rescore(asked(place, tmp_path / "first"), folder=tmp_path / "other")


async def test_the_trials_of_an_improving_run_are_judged_by_id_and_split(tmp_path: Path, place: Path) -> None:
    flow = Workflow("better", (Step("answer", "terminal", "Say the colour alone."),))

    class Once:
        name = "once"
        splits = ("train", "validation")

        async def propose(self, situation: Any) -> Any:
            from autoflow.core.strategy import Proposal

            return [Proposal(flow, dump(flow), "as given")] if situation.round == 1 else []

    given = Collaborators(strategy=Once(), generator=Model("test/writer"), interpreter=Model())
    run = tmp_path / "improved"
    await improve(ImproveConfig(str(place), "test/writer", "test/solver"), given, folder=run)
    report = await rescore(asked(place, run, "contains", trial="r1c1", split="train"), folder=tmp_path / "again")
    assert [(row.id, row.score) for row in report.rows] == [("0", 1.0), ("1", 1.0)]
    assert report.config["rescored"] == "improved/r1c1"
    assert report.config["split"] == "train"
    held_out = await rescore(asked(place, run / "test" / "hand-written", "contains"), folder=tmp_path / "test")
    assert len(held_out.rows) == 6
    with pytest.raises(UnknownNameError, match="hand-written, r1c1"):
        await rescore(asked(place, run, "contains", trial="r9c9"), folder=tmp_path / "no")
    with pytest.raises(UnknownNameError, match="test runs are below"):
        await rescore(asked(place, run, "contains", trial="r1c1", split="test"), folder=tmp_path / "no")


async def test_what_cannot_be_judged_is_refused(tmp_path: Path, place: Path) -> None:
    with pytest.raises(RunError):
        await rescore(asked(place, tmp_path, "contains"))
    await measured(place, tmp_path / "first")
    with pytest.raises(UsageError, match="has no trials"):
        await rescore(asked(place, tmp_path / "first", "contains", trial="r1c1"), folder=tmp_path / "no")
    with pytest.raises(UnknownNameError, match="scorer"):
        await rescore(asked(place, tmp_path / "first", "magic"), folder=tmp_path / "no")
