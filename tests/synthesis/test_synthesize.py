"""Synthesis from exercises to a data set: what is kept, what is refused, and that held out means unseen."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from autoflow.benchmarks import held_out, loader
from autoflow.core.model import Model
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import UsageError
from autoflow.generator.draft import DraftRequest, conversation, draft
from autoflow.interpreter.settings import Settings
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library
from autoflow.synthesis import dataset
from autoflow.synthesis.accept import NoModel, judge
from autoflow.synthesis.exercise import Exercise, of_benchmark
from autoflow.synthesis.rows import Row, distinct, from_json, leaks, mentions
from autoflow.synthesis.run import SynthesisConfig, run
from autoflow.synthesis.synthesize import DomainPlan, Kept, Terms, draw_domains, of_domains, synthesize
from autoflow.synthesis.teachers import ModelTeacher, Score, SearchTeacher, of_plan, plan_by_score

PLAN = DomainPlan(seed=5, train=6, validation=2, test=2, tasks=3, held_out_tasks=1)


def _exercises(plan: DomainPlan = PLAN) -> list[Exercise]:
    return list(of_domains(draw_domains(plan), plan))


async def _kept(plan: DomainPlan = PLAN, terms: Terms = Terms()) -> Kept:  # noqa: B008  (frozen)
    return await synthesize(_exercises(plan), SearchTeacher(), terms)


def _no_model(spec: str) -> Model:
    raise AssertionError(f"{spec} is not to be opened")


async def test_a_search_teacher_fills_every_split_with_rows_that_score_one() -> None:
    kept = await _kept()
    assert {row.split for row in kept.rows} == {"train", "validation_tasks", "validation", "test"}
    assert {row.score for row in kept.rows} == {1.0}
    assert len(kept.rows) == len(_exercises())
    assert kept.refused == {}


async def test_a_row_is_what_a_small_generator_is_asked_and_its_completion_is_a_draft() -> None:
    exercises = {exercise.id: exercise for exercise in _exercises()}
    for row in (await _kept()).rows:
        exercise = exercises[row.tasks[0]]
        assert row.prompt == conversation(exercise.request, "outline")
        model = Scripted([Rule((row.completion,))], features=frozenset({"schema", "grammar"}))
        found = await draft(model, exercise.request, repairs=0)
        assert found.workflow is not None
        assert found.workflow.fingerprint() == row.fingerprint
        assert model.requests[0].messages == row.prompt


async def test_equal_seeds_give_equal_rows_whatever_the_concurrency() -> None:
    assert (await _kept(terms=Terms(concurrency=1))).rows == (await _kept(terms=Terms(concurrency=7))).rows
    assert (await _kept(replace(PLAN, seed=6))).rows != (await _kept()).rows


async def test_held_out_tasks_and_operators_are_unseen() -> None:
    rows = list((await _kept()).rows)
    assert leaks(rows) == []
    seen = next(row for row in rows if row.split == "train")
    unseen = next(row for row in rows if row.split == "validation")
    moved = replace(unseen, split="train", id="moved")
    assert any("operator" in line for line in leaks([*rows, moved]))
    repeated = replace(seen, split="validation_tasks", texts=(seen.texts[0].upper(),))
    assert any("task" in line for line in leaks([*rows, repeated]))


async def test_a_leak_stops_the_synthesis() -> None:
    first = next(exercise for exercise in _exercises() if exercise.split == "train")
    with pytest.raises(UsageError, match="in two splits"):
        await synthesize([first, replace(first, id="again", split="test")], _Changing(), Terms(keep=0.0))


class _Changing:
    """Writes another workflow each time, so that nothing is the repetition of anything."""

    name = "changing"

    def __init__(self) -> None:
        self.count = 0

    async def write(self, exercise: Exercise, score: Score) -> Sequence[Workflow]:
        self.count += 1
        assert exercise.plan is not None
        return [of_plan(exercise.plan, [str(self.count)] * len(exercise.plan))]


async def test_rows_of_one_canonical_form_are_one_row() -> None:
    row = next(row for row in (await _kept()).rows if row.split == "train")
    other = replace(row, id="other", texts=(f"  {row.texts[0].upper()} ",))
    assert distinct([row, other]) == [row]
    assert distinct([row, replace(row, texts=("Something else.",))]) != [row]
    # The train split keeps what is in two, so that what is held out shrinks.
    assert distinct([replace(row, split="test"), row]) == [row]


async def test_rows_that_name_an_operator_to_avoid_are_refused() -> None:
    name = _exercises()[0].request.cards[0].name
    kept = await _kept(terms=Terms(avoid=(name.upper(),)))
    assert kept.refused["names an operator to avoid"] > 0
    assert not [row for row in kept.rows if mentions(row, [name])]


async def test_what_does_not_lint_run_or_score_is_refused_with_its_reason() -> None:
    exercise = next(exercise for exercise in _exercises() if exercise.plan and len(exercise.plan) > 1)
    assert exercise.plan is not None
    verdict = await judge(exercise, of_plan(exercise.plan), NoModel(), Settings())
    assert verdict.score == 1.0
    shorter = await judge(exercise, of_plan(exercise.plan[1:]), NoModel(), Settings())
    assert shorter.score is not None
    assert shorter.score < 1.0
    assert (await judge(exercise, of_plan(["no such tool"]), NoModel(), Settings())).reason == "lint"
    asks = Workflow("w", (Step("answer", "terminal", "Say it."),))
    assert (await judge(replace(exercise, request=DraftRequest("t", ())), asks, NoModel(), Settings())).reason == "lint"


async def test_without_an_interpreter_a_workflow_that_asks_a_model_is_a_fault_not_a_zero() -> None:
    exercise = next(of_benchmark("openagi", "task", limit=1))
    asks = Workflow("w", (Step("answer", "terminal", "Say it."),))
    running = replace(
        exercise, request=replace(exercise.request, cards=(*exercise.request.cards, library()["generate"].card))
    )
    verdict = await judge(running, asks, NoModel(), Settings())
    assert (verdict.score, verdict.reason) == (None, "fault")


async def test_a_model_teacher_s_drafts_are_kept_where_they_score() -> None:
    exercise = next(exercise for exercise in _exercises() if exercise.plan and len(exercise.plan) > 1)
    assert exercise.plan is not None
    right = json.dumps({"steps": [["", tool] for tool in exercise.plan], "answer": ""})
    wrong = json.dumps({"steps": [["", exercise.plan[0]]], "answer": ""})
    model = Scripted([Rule((wrong, right, right))], features=frozenset({"schema", "grammar"}), name="scripted/teacher")
    kept = await synthesize([exercise], ModelTeacher(model, samples=3), Terms())
    assert [(row.source, row.score) for row in kept.rows] == [("scripted/teacher", 1.0)]
    assert kept.refused["repeated"] == 1
    assert sum(kept.refused.values()) == 2


async def test_a_plan_is_found_by_its_score_alone() -> None:
    right = ("c", "a", "b")

    async def score(workflow: Workflow) -> float | None:
        plan = [step.operator for step in workflow.steps[:-1]]
        if "b" not in plan:
            return 0.0
        held = sum(name in plan for name in right) / 3
        return max(0.0, held - 0.05 * (plan != [name for name in right if name in plan]))

    assert await plan_by_score(["a", "b", "c", "d"], score, max_steps=4) == right
    assert await plan_by_score(["a", "b", "d"], score, max_steps=4) is None


@pytest.mark.slow
async def test_the_search_by_score_solves_every_openagi_train_task() -> None:
    kept = await synthesize(list(of_benchmark("openagi", "task")), SearchTeacher(), Terms())
    assert len(kept.rows) == 13
    known = {task.text: task.reference["derived_plan"] for task in loader.load("openagi").train}
    for row in kept.rows:
        assert [tool for _, tool in json.loads(row.completion)["steps"]] == known[row.texts[0]]


async def test_the_data_set_is_written_read_back_and_described(tmp_path: Path) -> None:
    config = SynthesisConfig(domains=PLAN, avoid=("openagi",), command="autoflow synthesize ...")
    made = await run(config, tmp_path / "data", open_model=_no_model, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    back = [
        row for split in ("train", "validation_tasks", "validation", "test") for row in dataset.read(made.folder, split)
    ]
    assert tuple(back) == made.kept.rows
    readme = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "path: validation.jsonl" in readme
    assert "autoflow synthesize ..." in readme
    with pytest.raises(UsageError, match="not empty"):
        await run(config, tmp_path / "data", open_model=_no_model)


async def test_the_written_rows_hold_nothing_of_openagi(tmp_path: Path) -> None:
    config = SynthesisConfig(domains=PLAN, avoid=("openagi",))
    made = await run(config, tmp_path / "data", open_model=_no_model)
    text = "".join(file.read_text(encoding="utf-8") for file in made.folder.rglob("*") if file.is_file()).casefold()
    operators = [name.casefold() for name in loader.load("openagi").operators]
    sentences = [task.text.casefold() for task in held_out.load_split("openagi", "all")]
    assert not [item for item in (*operators, *sentences) if f'"{item}"' in text or f"- {item} (" in text]


async def test_benchmark_rows_come_from_train_tasks_alone() -> None:
    for scope in ("task", "benchmark"):
        texts = {task.text for exercise in of_benchmark("openagi", scope) for task in exercise.tasks}  # type: ignore[arg-type]
        for split in ("validation", "test"):
            assert not texts & {task.text for task in held_out.load_split("openagi", split)}


async def test_each_domain_is_a_benchmark_of_its_own(tmp_path: Path) -> None:
    made = await run(SynthesisConfig(domains=PLAN), tmp_path / "data", open_model=_no_model)
    row = next(row for row in made.kept.rows if row.split == "train")
    found = loader.load(str(made.folder / "environments" / row.domain))
    assert row.texts[0] in [task.text for task in found.train]
    assert tuple(found.operators) == row.operators
    assert len(found.validation) == 1
    unseen = next(row for row in made.kept.rows if row.split == "test")
    assert loader.load(str(made.folder / "environments" / unseen.domain)).train == ()
    assert held_out.load_split(str(made.folder / "environments" / unseen.domain), "test")


async def test_a_stopped_paid_synthesis_goes_on_unpaid(tmp_path: Path) -> None:
    plan = replace(PLAN, train=1, validation=0, test=0)
    first = next(iter(_exercises(plan)))
    assert first.plan is not None
    replies = json.dumps({"steps": [["", tool] for tool in first.plan], "answer": ""})
    opened: list[Scripted] = []

    def open_model(spec: str) -> Model:
        opened.append(Scripted([Rule((replies,))], features=frozenset({"schema", "grammar"}), name=spec))
        return opened[-1]

    config = SynthesisConfig(domains=plan, teacher="scripted/t", repairs=0)
    runs = tmp_path / "runs"
    made = await run(config, tmp_path / "a", open_model=open_model, runs=runs)
    again = await run(config, tmp_path / "b", open_model=open_model, runs=runs)
    assert len(opened[0].requests) == 4
    assert opened[1].requests == []
    assert made.kept == again.kept
    assert any(row.texts == (first.tasks[0].text,) for row in made.kept.rows)


def test_a_row_survives_json() -> None:
    row = Row("i", "train", conversation(DraftRequest("t", ()), "outline"), "{}", "outline", "d", "s", ("a",), ("t",),
              ("text",), 1.0, "search", "f")  # fmt: skip
    assert from_json(json.loads(json.dumps(row.to_json()))) == row


def test_hugging_face_reads_the_folder_by_its_card(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    import asyncio

    made = asyncio.run(run(SynthesisConfig(domains=PLAN), tmp_path / "data", open_model=_no_model))
    found = datasets.load_dataset(str(made.folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {
        split: sum(row.split == split for row in made.kept.rows) for split in found
    }
    assert found["train"][0]["completion"][0]["role"] == "assistant"
