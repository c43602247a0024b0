"""Racing: who is dropped when and why, what it costs, and that the winner is the one of a full evaluation."""

import asyncio
import importlib.util
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow.core.strategy import Dropped, Evaluation, TaskResult
from autoflow.core.task import Task
from autoflow.objective.objective import Interrupted
from autoflow.objective.racing import Race, beaten, looks

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "strategies" / "racing.py"


def _tasks(count: int) -> list[Task]:
    return [Task(str(number), "") for number in range(count)]


class Scores:
    """Scores by name and task number; remembers which (name, task) were asked, and how many tasks at each look."""

    def __init__(self, table: Mapping[str, Sequence[float | None]]) -> None:
        self.table = table
        self.asked: set[tuple[str, str]] = set()
        self.looks: list[tuple[str, int]] = []

    async def __call__(self, name: str, tasks: Sequence[Task]) -> Evaluation:
        self.looks.append((name, len(tasks)))
        self.asked |= {(name, task.id) for task in tasks}
        return Evaluation("validation", tuple(TaskResult(task.id, self.table[name][int(task.id)]) for task in tasks))


async def _raced(
    table: Mapping[str, Sequence[float | None]], *, finished: Sequence[str] = (), seed: int = 0, drop: bool = True
) -> tuple[Race, Scores]:
    scores = Scores(table)
    tasks = _tasks(len(next(iter(table.values()))))
    done = {name: await scores(name, tasks) for name in finished}
    scores.asked.clear()
    scores.looks.clear()
    race = Race([name for name in table if name not in done], tasks, "validation", seed=seed, finished=done, drop=drop)
    await race.run(scores)
    return race, scores


def test_looks_double_and_never_reach_the_last_task() -> None:
    assert looks(264) == (16, 32, 64, 128, 256)
    assert looks(33) == (16, 32)
    assert looks(32) == (16,)
    assert looks(17) == (16,)
    assert looks(16) == looks(3) == ()


async def test_a_candidate_that_always_fails_is_dropped_at_the_first_look() -> None:
    race, scores = await _raced({"good": [1.0] * 100, "bad": [0.0] * 100})
    assert race.evaluations["bad"].dropped == Dropped(16, "good", 0.5**16)
    assert len(race.evaluations["bad"].results) == 16
    assert race.evaluations["good"].dropped is None
    assert len(race.evaluations["good"].results) == 100
    assert len(scores.asked) == 116


def test_the_limit_is_shared_by_the_looks() -> None:
    # Six losses and no gain: p = 1/64. One look lets that pass for 0.05, five looks do not.
    own, best = [0.0] * 6 + [1.0] * 10, [1.0] * 16
    assert beaten({"own": own, "best": best}, {}, 17, seed=0).keys() == {"own"}
    assert beaten({"own": own, "best": best}, {}, 500, seed=0) == {}
    assert beaten({"own": [0.0, *own[:-1]], "best": best}, {}, 500, seed=0)["own"].p_value == 1 / 128


def test_who_cannot_catch_up_is_dropped_without_a_test() -> None:
    # 20 tasks, 16 seen: 4 of 16 and all four to come make 8, the best so far has 9 for certain. p is 0.18.
    own = [1.0] * 4 + [0.0] * 12
    best = [0.0] * 3 + [1.0] * 9 + [0.0] * 4
    assert beaten({"own": own, "best": best}, {}, 20, seed=0) == {"own": Dropped(16, "best", None)}
    # With five to come it can still draw level.
    assert beaten({"own": own, "best": best}, {}, 21, seed=0) == {}
    # One whose last scores are known is harder to catch.
    whole = [*best, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert beaten({"own": own}, {"whole": whole}, 21, seed=0) == {"own": Dropped(16, "whole", None)}


def test_a_task_without_a_score_may_still_turn_out_either_way() -> None:
    best = [0.0] * 3 + [1.0] * 9 + [0.0] * 4
    own = [1.0] * 4 + [0.0] * 11 + [None]
    assert beaten({"own": own, "best": best}, {}, 20, seed=0) == {}
    nothing: list[float | None] = [None] * 16
    assert beaten({"own": nothing, "best": best}, {}, 20, seed=0) == {}
    assert beaten({"own": nothing, "other": nothing}, {}, 20, seed=0) == {}


def test_graded_scores_are_tested_by_permutation() -> None:
    best = [0.6 + number / 100 for number in range(16)]
    own = [value - 0.1 - number / 1000 for number, value in enumerate(best)]
    found = beaten({"own": own, "best": best}, {}, 100, seed=0)
    assert found["own"].p_value == pytest.approx(0.5**16)


async def test_an_incumbent_is_not_run_again_and_can_stop_everyone() -> None:
    race, scores = await _raced({"incumbent": [1.0] * 50, "a": [0.0] * 50, "b": [0.0] * 50}, finished=["incumbent"])
    assert set(race.evaluations) == {"a", "b"}
    assert all(found.dropped == Dropped(16, "incumbent", 0.5**16) for found in race.evaluations.values())
    assert len(scores.asked) == 32


async def test_nobody_to_race_against_is_scored_at_once() -> None:
    race, scores = await _raced({"only": [1.0, 0.0] * 50})
    assert scores.looks == [("only", 100)]
    assert race.evaluations["only"].dropped is None


async def test_without_dropping_everyone_runs_to_the_end() -> None:
    race, scores = await _raced({"good": [1.0] * 100, "bad": [0.0] * 100}, drop=False)
    assert scores.looks == [("good", 100), ("bad", 100)]
    assert all(found.dropped is None for found in race.evaluations.values())


async def test_all_meet_the_same_tasks_in_one_seeded_order_and_results_come_in_task_order() -> None:
    table = {"a": [1.0, 0.0] * 50, "b": [1.0, 0.0] * 50, "bad": [0.0] * 100}
    race, _ = await _raced(table)
    first = [result.task for result in race.evaluations["bad"].results]
    assert first == sorted(first, key=int)
    assert first != [str(number) for number in range(16)]
    assert [result.task for result in race.evaluations["a"].results] == [str(number) for number in range(100)]
    later, _ = await _raced({"other": [1.0] * 100, "late": [0.0] * 100})
    assert {result.task for result in later.evaluations["late"].results} < set(first)
    reseeded, _ = await _raced(table, seed=1)
    assert [result.task for result in reseeded.evaluations["bad"].results] != first


async def test_a_stopped_race_keeps_what_it_knows_and_a_fresh_one_ends_as_if_never_stopped() -> None:
    rng = random.Random(3)
    table = {str(name): [float(rng.random() < 0.2 + name / 8) for _ in range(100)] for name in range(6)}
    whole, scores = await _raced(table)
    for cut in range(1, len(scores.looks)):
        left = cut
        again = Scores(table)

        async def score(name: str, tasks: Sequence[Task], again: Scores = again) -> Evaluation:
            nonlocal left
            left -= 1
            if left < 0:
                raise Interrupted(Evaluation("validation", (TaskResult("0", None, "not_run"),)))
            return await again(name, tasks)

        race = Race(list(table), _tasks(100), "validation", seed=0)
        with pytest.raises(Interrupted):
            await race.run(score)
        name, _ = scores.looks[cut]
        assert race.evaluations[name].unscored == 1
        left = 10_000
        resumed = Race(list(table), _tasks(100), "validation", seed=0)
        await resumed.run(score)
        assert resumed.evaluations == whole.evaluations


@given(
    st.integers(17, 80).flatmap(
        lambda count: st.lists(
            st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0])), min_size=count, max_size=count),
            min_size=1,
            max_size=5,
        )
    ),
    st.booleans(),
)
def test_someone_is_always_scored_in_full_and_certain_losers_never_win(
    rows: list[list[float | None]], incumbent: bool
) -> None:
    table = {str(index): row for index, row in enumerate(rows)}
    race, _ = asyncio.run(_raced(table, finished=["0"] if incumbent else []))
    whole = [name for name, found in race.evaluations.items() if found.dropped is None]
    assert whole or incumbent
    for name, found in race.evaluations.items():
        assert len(found.results) == (len(rows[0]) if found.dropped is None else found.dropped.after)
        if found.dropped is not None and found.dropped.p_value is None:
            best = sum(1.0 if value is None else value for value in table[name])
            assert best < sum(value or 0.0 for value in table[found.dropped.by])


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("racing_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("scores", "tasks"),
    [
        ("even .40 to .80", 264),
        ("normal .60, sd .10", 500),
        pytest.param("even .40 to .80", 500, marks=pytest.mark.slow),
        pytest.param("even .50 to .80", 500, marks=pytest.mark.slow),
        pytest.param("even .40 to .80", 1055, marks=pytest.mark.slow),
        pytest.param("even .80 to .95", 1055, marks=pytest.mark.slow),
        pytest.param("one .70, rest .55", 500, marks=pytest.mark.slow),
    ],
)
async def test_the_winner_is_that_of_a_full_evaluation_at_a_fraction_of_the_calls(
    script: ModuleType, scores: str, tasks: int
) -> None:
    found = await script.simulate(script.Setting(scores, 0.8, tasks), draws=200, seed=0)
    assert found.same >= 0.95
    assert found.calls <= 0.40
    assert found.meets


async def test_racing_saves_little_where_there_is_little_to_find_and_still_chooses_as_well(script: ModuleType) -> None:
    found = await script.simulate(script.Setting("all .70", 0.8, 128), draws=100, seed=0)
    assert not found.meets
    assert found.calls > 0.8
    assert found.same >= 0.9
