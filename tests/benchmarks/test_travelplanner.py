"""TravelPlanner as a benchmark: its data, its tools, plans as JSON, and the six rates."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from travelplanner_world import part, question, release, trip

from autoflow.benchmarks import held_out, loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import DataError
from autoflow.interpreter.run import Interpreter
from autoflow.language.lint import lint
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def benchmark(data: Path) -> Benchmark:
    return loader.load("travelplanner", options={"data": str(data)})


def _answered(answer: Json) -> Trace:
    return Trace(workflow="w", task="0", steps=(), answer=answer)


def test_published_train_questions_are_learned_on_and_validation_ones_held_out(
    data: Path, benchmark: Benchmark
) -> None:
    assert (len(benchmark.train), len(benchmark.validation)) == (30, 15)
    assert held_out.splits("travelplanner", options={"data": str(data)})["test"] == 180
    assert benchmark.train[0].text == "Plan a trip from Aville to Bton."


def test_what_is_missing_is_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOFLOW_DATA", raising=False)
    with pytest.raises(DataError, match="neither the option data nor AUTOFLOW_DATA") as caught:
        loader.load("travelplanner")
    assert "osunlp/TravelPlanner" in str(caught.value.hint)
    shutil.copytree(data, tmp_path / "travelplanner")
    monkeypatch.setenv("AUTOFLOW_DATA", str(tmp_path))
    assert len(loader.load("travelplanner").train) == 30
    (tmp_path / "travelplanner/database/attractions/attractions.csv").unlink()
    with pytest.raises(DataError, match=r"travelplanner: lacks database/attractions/attractions.csv"):
        loader.load("travelplanner")


def test_a_missing_column_and_a_malformed_constraint_are_named(data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    rooms = copy / part("places").ACCOMMODATIONS
    rooms.write_text(rooms.read_text().replace("minimum nights", "nights"))
    with pytest.raises(DataError, match="has no column minimum nights"):
        _ = part("database").Database(copy).rooms
    meals = copy / part("places").RESTAURANTS
    meals.write_text(meals.read_text().replace("Bistro A,10", "Bistro A,ten"))
    with pytest.raises(DataError, match="Average Cost: 'ten' is no number"):
        part("hard").cost(question(), trip(), part("database").Database(copy))
    train = copy / "train.csv"
    train.write_text(train.read_text().replace("{'house rule': None", "{'house rule': exit()", 1))
    with pytest.raises(DataError, match=r"train.csv, row 0: malformed node"):
        loader.load("travelplanner", options={"data": str(copy)})


def test_baselines_are_sound(benchmark: Benchmark) -> None:
    cards = {name: operator.card for name, operator in {**library(), **benchmark.operators}.items()}
    assert benchmark.baseline is not None
    for workflow in (benchmark.baseline, *benchmark.baselines.values()):
        assert lint(workflow, cards) == []
        assert workflow.steps[-1].output == part("plan").SCHEMA


async def test_the_two_stages_look_up_and_plan(benchmark: Benchmark) -> None:
    def queries(**query: str) -> str:
        return json.dumps({"queries": [query]})

    model = Scripted(
        [
            Rule((queries(state="Bstate"),), when="cities of a state"),
            Rule((queries(origin="Aville", destination="Bton", date="2022-03-01"),), when="on a date"),
            Rule((queries(origin="Aville", destination="Bton", mode="taxi"),), when="by taxi"),
            Rule((queries(city="Bton(Bstate)"),), when="Say what to look up"),
            Rule((json.dumps(trip()),)),
        ]
    )
    workflow = benchmark.baseline
    assert workflow is not None
    trace = await Interpreter(model, {**library(), **benchmark.operators}).run(workflow, benchmark.train[0])
    results = {step.step: str(step.result) for step in trace.steps}
    assert "Bton, Cford" in results["cities"]
    assert "F1 | 100 | 08:00" in results["flights"]
    assert "3 hours | 1,300 km | 1300" in results["distances"]
    assert "Inn | 50" in results["rooms"]
    assert "Bistro A" in results["restaurants"]
    assert "Tower" in results["attractions"]
    assert (await benchmark.scorer.score(benchmark.train[0], trace)).value == 1.0


async def _judge(benchmark: Benchmark, answer: Json) -> Score:
    return await benchmark.scorer.score(benchmark.train[0], _answered(answer))


async def test_a_plan_is_json_and_nothing_else(benchmark: Benchmark) -> None:
    assert (await _judge(benchmark, trip())).value == 1.0
    assert (await _judge(benchmark, json.dumps(trip()))).value == 1.0
    for answer in (str(trip()), "__import__('os')", [], None, [{"days": 1}], [{**trip()[0], "lunch": None}]):
        score = await _judge(benchmark, answer)
        assert (score.value, score.reason, score.details["delivered"]) == (0.0, "no_plan", False)


async def test_hard_constraints_are_judged_within_the_gates_alone(benchmark: Benchmark) -> None:
    incomplete = await _judge(benchmark, trip(day2_lunch="-"))
    assert (incomplete.value, incomplete.reason, incomplete.details["hard"]) == (0.0, "Complete Information", {})
    repeated = await _judge(benchmark, trip(day2_lunch="Bistro A, Bton"))
    assert (repeated.reason, repeated.details["hard"]) == ("Diverse Restaurants", {"Budget": None})
    assert repeated.details["commonsense_share"] == 7 / 8


async def test_the_six_rates_over_judged_tasks(benchmark: Benchmark) -> None:
    scorer: Any = benchmark.scorer
    answers: list[Json] = [trip(), trip(day2_lunch="Bistro A, Bton"), trip(day2_lunch="-"), "nothing"]
    judged = [(benchmark.train[0], await _judge(benchmark, answer)) for answer in answers]
    # A run that failed was never judged: it has delivered nothing. An unscored one counts nowhere.
    judged += [(benchmark.train[0], Score(0.0, "failed")), (benchmark.train[0], Score(None))]
    assert scorer.facts(judged) == {
        "delivery rate": 3 / 5,
        "commonsense micro": (8 + 7 + 7) / 40,
        "commonsense macro": 1 / 5,
        "hard micro": 2 / 5,
        "hard macro": 2 / 5,
        "final pass rate": 1 / 5,
    }
    assert scorer.facts([]) == {}


def test_rates_by_hand() -> None:
    counted = part("rates").Counted
    found = part("rates").rates([counted(True, 8, 3, 5), counted(True, 8, 1, 1), counted(True, 4, 0, 2)])
    assert found == {
        "delivery rate": 1.0,
        "commonsense micro": 20 / 24,
        "commonsense macro": 2 / 3,
        "hard micro": 4 / 8,
        "hard macro": 1 / 3,
        "final pass rate": 1 / 3,
    }


async def test_queries_that_the_step_states_need_no_model(benchmark: Benchmark) -> None:
    asked = {"queries": [{"city": "Bton"}, {"city": "Nowhere"}]}
    steps = (Step("look", "terminal", "Look.", operator="Accommodations", parameters=asked),)
    operators = {**library(), **benchmark.operators}
    assert lint(Workflow("w", steps), {name: operator.card for name, operator in operators.items()}) == []
    trace = await Interpreter(Scripted([]), operators).run(Workflow("w", steps), benchmark.train[0])
    assert "Long House | 40" in str(trace.answer)
    assert "Nowhere:\nThere is no accommodation" in str(trace.answer)
    assert trace.calls == ()
