"""Practice over a benchmark's operators asks for nothing that one of its tasks asks for, held out or not."""

from pathlib import Path

import pytest

from autoflow.benchmarks import folder, loader
from autoflow.errors import DataError, UsageError
from autoflow.interpreter.settings import Settings
from autoflow.synthesis import practice
from autoflow.synthesis.accept import NoModel, judge
from autoflow.synthesis.teachers import of_plan


def test_practice_is_none_of_openagis_tasks_and_wordings_are_those_of_its_train_split() -> None:
    opened = folder.open_folder("openagi", {})
    tasks = list(opened.rows.tasks)
    assert len(tasks) == 185
    plan_of = {task.id: tuple(task.reference["derived_plan"]) for task in tasks}  # type: ignore[index, call-overload]
    train = {plan_of[name] for name in opened.ids("train")}
    practised = list(practice.exercises("openagi", 400, seed=1))
    assert len(practised) == 400
    assert not {item.plan for item in practised} & set(plan_of.values())
    worded = list(practice.exercises("openagi", 120, seed=3, train=True))
    assert len(worded) == 120
    assert {item.plan for item in worded} == train
    # No held-out task has a train task's plan, so that none is worded by accident.
    assert not train & {plan for name, plan in plan_of.items() if name not in opened.ids("train")}
    held_out = {task.text.casefold() for task in tasks if task.id not in opened.ids("train")}
    assert not [item for item in (*practised, *worded) if item.tasks[0].text.casefold() in held_out]
    assert {item.split for item in (*practised, *worded)} == {"train"}


def test_practice_shows_the_benchmarks_operators_as_its_tasks_do() -> None:
    (drawn,) = practice.exercises("openagi", 1, seed=0)
    assert drawn.request.cards == tuple(operator.card for operator in loader.load("openagi").operators.values())


async def test_what_is_to_be_learned_scores_one() -> None:
    drawn = [item for train in (False, True) for item in practice.exercises("openagi", 40, seed=2, train=train)]
    for exercise in drawn:
        workflow = of_plan(exercise.plan or (), exercise.reasons)
        assert (await judge(exercise, workflow, NoModel(), Settings())).score == 1.0


def test_practice_is_drawn_anew_by_the_seed_and_ends_where_goals_do() -> None:
    texts = [[item.tasks[0].text for item in practice.exercises("openagi", 20, seed)] for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    goals = [str(item.tasks[0].reference) for item in practice.exercises("openagi", 100_000, 0)]
    assert 400 < len(goals) == len(set(goals))


def test_a_benchmark_without_practice_says_so(tmp_path: Path) -> None:
    data = "{jsonl: tasks.jsonl, fields: {text: text}}"
    text = f"name: mine\ndescription: d\ndata: {data}\nsplits: {{all: all}}\nscorer: exact\n"
    (tmp_path / "benchmark.yaml").write_text(text)
    (tmp_path / "tasks.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(UsageError, match=r"has no practice\.yaml"):
        list(practice.exercises(str(tmp_path), 1, seed=0))


def test_practice_that_does_not_fit_the_operators_is_refused_by_line(tmp_path: Path) -> None:
    benchmark = loader.load("openagi")
    file = tmp_path / "practice.yaml"
    for make, message in (
        ("{Colorisation: paint}", "no operator that makes"),
        ("{Image Captioning: a, Image Classification: b}", "does not take what Image Captioning gives"),
        ("{Visual Question Answering: a}", "takes 2 inputs"),
    ):
        file.write_text(f"effects: {{}}\nforms: {{}}\ntasks:\n  - given: {{image: image}}\n    make: {make}\n")
        with pytest.raises(DataError, match=rf"practice.yaml:[45]:\d+: .*{message}"):
            practice._read(file, benchmark)
