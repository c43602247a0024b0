"""The same task in other words: what the generator makes of each, how alike that is, and what it scores."""

from dataclasses import replace
from pathlib import Path

import pytest
from improve_helpers import CONFIG, Bench, Model, level, text_of

from autoflow.cli.main import main
from autoflow.core.model import Request
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import UsageError
from autoflow.improve import ImproveConfig
from autoflow.improve.paraphrases import ParaphrasePrompt, likeness
from autoflow.language.dump import dump
from autoflow.prompts import render

REWORDED = replace(CONFIG, paraphrases=4)
WORDS = ["Reply to questions with a number.", "Answer numbered questions.", "Say what each number asks.", "Numbers."]
THINKS = Workflow("thinks", (Step("think", "process", "Think at level 12.", next="answer"), *level(12).steps))


def writer() -> Model:
    """Tells the task in other words; writes by the words that it reads."""

    def answer(request: Request) -> str:
        if request.purpose == "paraphrase":
            return WORDS[request.sample]
        text = text_of(request)
        if WORDS[0] in text:
            return dump(THINKS)
        if WORDS[2] in text:
            return "no workflow"
        return dump(level(4 if WORDS[3] in text else 3))

    return Model("test/writer", answer)


async def test_each_wording_is_reported_with_its_workflow_and_score(tmp_path: Path) -> None:
    run = Bench(writer(), count=4)
    report = await run.improve(tmp_path, REWORDED)
    first, thinks, same, invalid, more = report.wordings
    assert [item.evaluation and item.evaluation.mean for item in report.wordings] == [0.75, 1.0, None, None, 1.0]
    assert first.description == "Answer numbered questions."
    assert thinks.likeness is not None
    assert (thinks.likeness.steps, thinks.likeness.wiring) == (pytest.approx(2 / 3), 0.0)
    # The second rewrite says what was there before, so nothing is drafted for it.
    assert (same.workflow, same.errors) == (None, ("the generator found no other words",))
    assert invalid.workflow is None
    assert invalid.errors
    assert more.likeness is not None
    assert (more.likeness.steps, more.likeness.wiring) == (1.0, 1.0)
    text = report.to_text()
    assert "the task's description in 4 other words, a workflow drafted for each:\n  as written: 0.750\n" in text
    assert "2 of 4 led to a workflow, 0 to the same one" in text
    assert "score 1.000 (sd 0.000), from 1.000 to 1.000; as written 0.750" in text
    assert report.to_json()["wordings"][2]["valid"] is False


async def test_wordings_choose_nothing_see_no_test_task_and_are_not_paid_twice(tmp_path: Path) -> None:
    plain, run = Bench(writer(), count=4), Bench(writer(), count=4)
    without = await plain.improve(tmp_path / "without", CONFIG)
    report = await run.improve(tmp_path / "with", REWORDED)
    assert (report.best, report.rows) == (without.best, without.rows)
    assert not any("CANARY" in text_of(request) or "of test?" in text_of(request) for request in run.generator.asked)
    first = next(index for index, request in enumerate(run.interpreter.asked) if "of test?" in text_of(request))
    assert all("of test?" in text_of(request) for request in run.interpreter.asked[first:])
    again = Bench(writer(), count=4)
    assert (await again.improve(tmp_path / "with", REWORDED)).to_json() == report.to_json()
    assert again.asked == []


async def test_a_stop_among_the_wordings_is_resumed(tmp_path: Path) -> None:
    whole = await Bench(writer(), count=4).improve(tmp_path / "whole", REWORDED)
    run = Bench(writer(), count=4)

    def stop() -> None:
        if run.generator.asked[-1].purpose == "paraphrase":
            run.stop.set()

    run.generator.after = stop
    cut = await run.improve(tmp_path / "cut", REWORDED)
    assert (cut.state, cut.wordings, cut.test) == ("interrupted", (), ())
    resumed = Bench(writer(), count=4)
    assert (await resumed.improve(tmp_path / "cut", REWORDED)).to_json() == whole.to_json()


def test_likeness_is_one_for_equal_workflows_and_symmetric() -> None:
    assert likeness(THINKS, THINKS) == likeness(level(1), level(1))
    assert likeness(THINKS, level(12)) == likeness(level(12), THINKS)
    one, other = likeness(level(1), level(1)), likeness(level(1), level(2))
    assert (one.steps, one.wiring, one.words) == (1.0, 1.0, 1.0)
    assert (other.steps, other.wiring, other.words) == (1.0, 1.0, 0.75)


def test_golden_prompt() -> None:
    assert render(ParaphrasePrompt("Add {{ up }}.")) == (
        "Say this in other words. Keep every fact, number, name and condition, and add none."
        " Answer with the new text alone.\n\nAdd {{ up }}."
    )


def test_a_negative_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="paraphrases must be at least 0"):
        ImproveConfig("x", "a/b", "a/b", paraphrases=-1)
    assert main(["improve", "openagi", "--paraphrases", "-1"]) == 2
    assert "--paraphrases" in capsys.readouterr().err
