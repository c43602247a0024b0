"""A budget that cannot hold a baseline and three proposals is refused before the first call, and says so."""

from dataclasses import replace
from pathlib import Path

import pytest
from improve_helpers import CONFIG, Bench, benchmark, level, writer

from autoflow import plugins
from autoflow.core.budget import Budget
from autoflow.core.workflow import Step, Workflow
from autoflow.improve import HAND_WRITTEN, improve
from autoflow.improve.least import least
from autoflow.operators.library import library

TEN = replace(CONFIG, rounds=10)


async def test_too_small_a_budget_is_refused_without_a_call_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    run = Bench(writer(level(3), level(4), level(5)))
    report = await run.improve(tmp_path, replace(TEN, budget=Budget(calls=42)))
    assert (report.state, report.exit_code, run.asked) == ("budget", 6, [])
    assert report.stopped == (
        "a budget of 42 calls cannot hold the hand-written workflow and 3 proposals by in-context:"
        " they take 43 calls at the least, so nothing was begun:"
        " give a larger budget, or fewer tasks (--train-limit, --validation-limit)"
    )
    assert "not complete (budget)" in report.to_text()
    enough = await run.improve(tmp_path, replace(TEN, budget=Budget(calls=43)))
    assert enough.state == "budget"
    assert len(run.asked) == 43
    # What is on record was paid for under a budget that could hold it: it resumes under any.
    again = await run.improve(tmp_path, replace(TEN, budget=Budget(calls=20)))
    assert again.rows[0].id == HAND_WRITTEN


@pytest.mark.parametrize(
    ("budget", "said"),
    [(Budget(tokens=200), "a budget of 200 tokens cannot hold"), (Budget(usd=0.01), "a budget of $0.0100 cannot hold")],
)
async def test_tokens_and_dollars_are_told_from_the_texts_and_the_price(
    tmp_path: Path, budget: Budget, said: str
) -> None:
    run = Bench(writer(level(3)))
    given = replace(run.collaborators(), price=lambda model, read, written: (read + written) * 1e-5)
    report = await improve(replace(TEN, budget=budget), given, folder=tmp_path)
    assert run.asked == []
    assert report.stopped.startswith(said)


def calls(name: str = "in-context", count: int = 5, **changed: object) -> float:
    options = {"rounds": 10, **dict(changed.pop("options", {}))}  # type: ignore[call-overload]
    strategy = plugins.load("strategies", name)(**options)
    made = benchmark(changed.pop("baseline", level(2)), count)  # type: ignore[arg-type]
    return least(replace(CONFIG, **changed), made, strategy, library(), None).calls  # type: ignore[arg-type]


def test_what_is_needed_follows_the_splits_the_epochs_and_what_may_be_spared() -> None:
    assert calls() == 10 + 3 * (1 + 10)
    assert calls(epochs=2) == 20 + 3 * (1 + 20)
    assert calls(baseline=None) == 3 * (1 + 10)
    # These are scored on validation alone.
    assert calls("aflow") == 5 + 3 * (1 + 5)
    # A gate can spare all of validation, a race all after the first sixteen tasks.
    assert calls(gate="parent") == 10 + 3 * (1 + 5)
    assert calls("aflow", count=40) == 40 + 3 * (1 + 16)
    assert calls("aflow", count=40, race=False) == 40 + 3 * (1 + 40)
    # A search that is to make fewer proposals needs room for no more.
    assert calls(options={"rounds": 1}) == 10 + 1 * (1 + 10)
    long = Workflow("long", (Step("think", "process", "Think.", next="answer"), *level(2).steps))
    assert calls(baseline=long) == 20 + 3 * (1 + 10)
