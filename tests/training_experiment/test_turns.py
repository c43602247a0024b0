"""Episodes of one task become trajectories with W4S's rewards; what beats nothing is left out."""

import json
from collections.abc import Sequence
from pathlib import Path

import turns

from autoflow.benchmarks import loader
from autoflow.core.model import Feature, Reply, Request
from autoflow.interpreter.run import Interpreter
from autoflow.objective.objective import Objective
from autoflow.operators.library import library
from autoflow.runs.ledger import Ledger
from autoflow.training.assignments import Shape, assignments
from autoflow.training.judge import Ground, Judge
from autoflow.training.rewards.best_so_far import BestSoFar
from autoflow.training.trajectories import Turn

OPENAGI = loader.load("openagi")
TASK = next(task for task in OPENAGI.train if len(task.reference["derived_plan"]) > 1)  # type: ignore[arg-type]
RIGHT = list(TASK.reference["derived_plan"])  # type: ignore[call-overload]


class Writer:
    """Draws by sample number."""

    name = "test/writer"
    features: frozenset[Feature] = frozenset({"schema", "grammar"})

    def __init__(self, plans: Sequence[Sequence[str] | None]) -> None:
        self.texts = [
            "nothing" if plan is None else json.dumps({"steps": [["", name] for name in plan], "answer": ""})
            for plan in plans
        ]
        self.temperatures: list[float] = []

    async def complete(self, request: Request) -> Reply:
        self.temperatures.append(request.sampling.temperature)
        return Reply(self.texts[request.sample // 100], self.name, finish="stop")

    async def aclose(self) -> None:
        """Nothing is held."""


async def _episode(tmp_path: Path, plans: Sequence[Sequence[str] | None]) -> tuple[Writer, list[Turn]]:
    writer = Writer(plans)
    (assignment,) = assignments(OPENAGI, [TASK], scope="task", form="outline", shape=Shape())
    tmp_path.mkdir(exist_ok=True)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        runner = Interpreter(writer, {**library(), **OPENAGI.operators})
        objective = Objective("openagi", OPENAGI.scorer, runner, ledger)
        judge = Judge({"openagi": Ground(OPENAGI, objective)}, ledger, BestSoFar(), instances=1, seed=0)
        return writer, await turns.episode(writer, assignment, judge, seed=0)


async def test_drafts_above_the_start_earn_1_and_the_rest_less(tmp_path: Path) -> None:
    wrong = RIGHT[:1]
    writer, found = await _episode(tmp_path, [wrong, *[wrong] * 4, RIGHT, *[RIGHT] * 4, None])
    # Once the best is reached nothing is above it; of all tasks an invalid draft has the lowest score.
    assert [turn.reward for turn in found[:5]] == [found[0].reward] * 4 + [1.0]
    assert [turn.reward for turn in found[5:]] == [0.0] * 4 + [-0.1]
    assert found[0].reward <= 0
    assert [json.loads(turn.action)["steps"][0][1] for turn in found[:9]] == [RIGHT[0]] * 9
    (assignment,) = assignments(OPENAGI, [TASK], scope="task", form="outline", shape=Shape())
    assert {turn.prefix for turn in found} == {assignment.messages}
    assert (writer.temperatures[0], set(writer.temperatures[1:])) == (0.0, {1.0})


async def test_a_task_on_which_nothing_is_better_teaches_nothing(tmp_path: Path) -> None:
    writer, found = await _episode(tmp_path / "a", [RIGHT])
    assert found == []
    assert len(writer.temperatures) == 1
    assert (await _episode(tmp_path / "b", [RIGHT[:1]] * 11))[1] == []
