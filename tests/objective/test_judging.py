"""A scorer that asks a model: opened, budgeted and recorded like every other."""

import json
from pathlib import Path

from autoflow.bench import BenchConfig, bench
from autoflow.benchmarks import loader
from autoflow.core.budget import Budget
from autoflow.core.model import Model
from autoflow.core.workflow import Step, Workflow
from autoflow.models.scripted import Rule, Scripted
from autoflow.objective.judging import ready

WORKFLOW = Workflow("w", (Step("end", "terminal", "Answer."),))


def _tasks(folder: Path) -> Path:
    (folder / "tasks.jsonl").write_text(
        "\n".join(json.dumps({"id": str(number), "q": f"Question {number}?", "a": "blue"}) for number in range(3))
    )
    file = folder / "mine.yaml"
    file.write_text(
        "name: mine\ndescription: Questions.\n"
        "data: {file: tasks.jsonl, fields: {text: q, id: id, reference: {answer: a}}}\n"
        "splits: {test: all}\nscorer: {llm-judge: {rubric: Says blue., model: scripted/judge, reference: answer}}\n"
    )
    return file


async def _bench(file: Path, folder: Path, judge: Model, budget: Budget) -> tuple[list[float | None], int]:
    config = BenchConfig(benchmark=str(file), interpreter="scripted/inline", split="test", budget=budget)
    model = Scripted([Rule(("It is blue.",))])
    report = await bench(config, WORKFLOW, loader.load(str(file)), model, folder=folder, open_model=lambda spec: judge)
    return [row.score for row in report.rows], report.spend.calls


async def test_judge_scores_through_the_ledger_and_a_second_run_asks_nobody(tmp_path: Path) -> None:
    judge = Scripted([Rule(('{"reason": "as asked", "grade": "partly right"}',))], name="scripted/judge")
    file = _tasks(tmp_path)
    assert await _bench(file, tmp_path / "run", judge, Budget()) == ([0.5, 0.5, 0.5], 6)
    assert len(judge.requests) == 3
    assert "blue" in judge.requests[0].messages[-1].text
    assert await _bench(file, tmp_path / "run", judge, Budget()) == ([0.5, 0.5, 0.5], 6)
    assert len(judge.requests) == 3


async def test_judging_counts_towards_the_budget(tmp_path: Path) -> None:
    judge = Scripted([Rule(('{"reason": "as asked", "grade": "right"}',))], name="scripted/judge")
    scores, calls = await _bench(_tasks(tmp_path), tmp_path / "run", judge, Budget(calls=4))
    assert calls <= 4
    assert None in scores


def test_a_scorer_without_a_model_is_left_alone(tmp_path: Path) -> None:
    scorer = loader.load("openagi").scorer
    assert ready(scorer, lambda spec: Scripted([Rule(("x",))])) is scorer
