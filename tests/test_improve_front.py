"""Cost in the choice: the front, what each objective takes from it, and what the report says of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from improve_helpers import CONFIG, Bench, level, writer

from autoflow.cli.main import main
from autoflow.core.strategy import Cost, Dropped, Evaluation, Proposal, TaskResult, Trial
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import UsageError
from autoflow.improve import HAND_WRITTEN, ImproveConfig
from autoflow.improve.front import Objective, ordered, points, prices


def trial(id_: str, values: Sequence[float | None], calls: float, usd: float | None = None) -> Trial:
    cost = Cost(calls, 10 * calls, usd, calls / 2)
    results = tuple(TaskResult(str(number), value, "", None, cost) for number, value in enumerate(values))
    proposal = Proposal(level(1, id_), "", "")
    return Trial(id_, 0 if id_ == HAND_WRITTEN else 1, proposal, validation=Evaluation("validation", results))


HALF = [1.0, 0.0] * 10
MOST = [1.0] * 18 + [0.0] * 2
ALL = [1.0] * 20
TRIALS = (
    trial(HAND_WRITTEN, HALF, 2),
    trial("dear", ALL, 9),
    trial("cheap", MOST, 3),
    trial("lazy", [1.0] * 11 + [0.0] * 9, 1),
    trial("beaten", HALF, 4),
)


def names(objective: Objective, trials: Sequence[Trial] = TRIALS) -> list[str]:
    costs = {item.id: item.validation.cost.calls for item in trials if item.validation and item.validation.cost}
    return ordered(objective, trials, lambda item: (0.0, 0, int(costs[item.id])), 0)


def test_score_takes_the_best_and_score_cost_the_cheapest_that_validation_cannot_tell_from_it() -> None:
    assert names("score") == ["dear", "cheap", "lazy"]
    # Two flips of twenty tell nothing, nine do.
    assert names("score-cost") == ["cheap", "dear", "lazy"]
    assert names("score-cost", TRIALS[:1]) == []


def test_pareto_takes_the_front_the_best_first() -> None:
    assert [point.id for point in points(TRIALS)] == ["dear", "cheap", "lazy"]
    assert names("pareto") == ["dear", "cheap", "lazy"]
    # The hand-written workflow may be a point of the front; it is no candidate.
    poor = (trial(HAND_WRITTEN, HALF, 0.5), *TRIALS[1:])
    assert [point.id for point in points(poor)] == ["dear", "cheap", "lazy", HAND_WRITTEN]
    assert names("pareto", poor) == ["dear", "cheap", "lazy"]


def test_what_was_not_scored_to_the_end_is_no_point() -> None:
    raced = trial("raced", ALL, 1)
    assert raced.validation is not None
    lost = replace(raced, validation=replace(raced.validation, dropped=Dropped(16, "dear", 0.01)))
    holes = trial("holes", [None, *ALL[1:]], 1)
    invalid = Trial("invalid", 1, Proposal(None, "", ""))
    assert [point.id for point in points((*TRIALS, lost, holes, invalid))] == ["dear", "cheap", "lazy"]


def test_costs_are_compared_in_dollars_then_tokens_then_calls() -> None:
    assert prices([Cost(2, 30, 0.5), Cost(3, 20, 0.0)]) == (0.5, 0.0)
    assert prices([Cost(2, 30, 0.0), Cost(3, 20, 0.0)]) == (30, 20)
    # One unit for all: a price that is not known is not taken for its tokens.
    assert prices([Cost(2, 30, 0.5), Cost(3, 20)]) == (30, 20)
    assert prices([Cost(2, 30), Cost(3)]) == (2, 3)
    assert prices([]) == ()
    line = points((trial("a", ALL, 3, 0.002),))[0].line()
    assert line == "a: 1.000 at 3 calls, 30 tokens, $0.002000, 1.50 s a task"


LONG = Workflow("long", (Step("think", "process", "Think at level 12.", next="answer"), *level(12).steps))


@pytest.mark.parametrize(("objective", "best"), [("score", "r1c1"), ("score-cost", "r2c1")])
async def test_the_report_prints_the_front_and_the_objective_chooses(
    tmp_path: Path, objective: Objective, best: str
) -> None:
    run = Bench(writer(LONG, level(11)), count=12)
    report = await run.improve(tmp_path, replace(CONFIG, objective=objective))
    assert report.best == best
    assert [point.id for point in report.front] == ["r1c1", "r2c1"]
    assert "r1c1: 1.000 at 2 calls, 24 tokens, $0.002000, 1.00 s a task" in report.to_text()
    assert report.to_json()["front"][1] == {"id": "r2c1", "score": 11 / 12, "calls": 1.0, "tokens": 12.0, "usd": 0.001}


async def test_pareto_runs_the_front_on_test_as_far_as_the_shortlist_goes(tmp_path: Path) -> None:
    run = Bench(writer(LONG, level(11)), count=12)
    report = await run.improve(tmp_path, replace(CONFIG, objective="pareto", shortlist=5))
    assert [row.id for row in report.test] == [HAND_WRITTEN, "r1c1", "r2c1"]


def test_unknown_objectives_list_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="objective is score, score-cost, pareto"):
        ImproveConfig("x", "a/b", "a/b", objective="fame")  # type: ignore[arg-type]
    assert main(["improve", "openagi", "--objective", "fame"]) == 2
    assert "there are: score, score-cost, pareto" in capsys.readouterr().err
