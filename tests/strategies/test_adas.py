"""ADAS: seeds, archive, two reflexions, debugging."""

import json
from pathlib import Path

import pytest
from strategy_helpers import Room, Writer, chain, flow, situation, trial

from autoflow import plugins
from autoflow.core.model import Request
from autoflow.core.strategy import Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.language.dump import dump
from autoflow.operators.library import library
from autoflow.strategies.adas import SEEDS, Adas, fitness
from autoflow.strategies.seeds import seeds

GOLDEN = Path(__file__).parent / "golden"


def reply(workflow: Workflow, thought: str = "Something new.") -> str:
    return f"{thought}\n\n```yaml\n{dump(workflow)}```"


def writes(*replies: str) -> Writer:
    model = Writer(lambda request: replies[min(len(model.requests), len(replies)) - 1])
    return model


def found(number: int, score: float, **notes: object) -> Trial:
    return trial(f"r{number}c1", number, chain(f"Way {number}.", "Answer.", name=f"way-{number}"), score, notes=notes)


ARCHIVE = (
    trial("hand-written", 0, flow("Guess."), 0.2),
    found(1, 0.4, seed=True),
    found(2, 0.9, thought="Two ways."),
    trial("r3c1", 3, None, errors=("no",)),
    found(4, 0.6, thought="Four ways."),
)


def shown(writer: Writer, request: int = 0) -> list[dict[str, object]]:
    text = writer.requests[request].messages[1].text
    start = text.index("[{")
    entries: list[dict[str, object]] = json.JSONDecoder().raw_decode(text[start:])[0]
    return entries


def test_all_seven_seeds_are_workflows_that_the_library_can_run() -> None:
    cards = [operator.card for operator in library().values()]
    assert [flow.name for flow in seeds(SEEDS, cards, {"type": "number"})] == [
        f"seed-{name.replace('_', '-')}" for name in SEEDS
    ]
    assert all(flow.steps[-1].output == {"type": "number"} for flow in seeds(SEEDS, cards, {"type": "number"}))


async def test_round_one_is_the_seeds_that_the_operators_allow() -> None:
    model = writes("")
    proposals = await Adas().propose(situation(model))
    # Of the operators in these tests only generate and ensemble carry seeds out.
    assert [proposal.workflow.name for proposal in proposals if proposal.workflow] == ["seed-cot", "seed-cot-sc"]
    assert model.requests == []


async def test_the_whole_archive_is_shown_as_json_with_fitness() -> None:
    model = writes(reply(chain("New.", "Answer.")))
    (proposal,) = await Adas().propose(situation(model, ARCHIVE, 5))
    entries = shown(model)
    assert [entry["name"] for entry in entries] == ["riddle", "way-1", "way-2", "way-4"]
    assert entries[2]["thought"] == "Two ways."
    assert str(entries[2]["fitness"]).startswith("95% interval: (")
    assert str(entries[2]["fitness"]).endswith("mean: 90.0%")
    assert (proposal.parent, proposal.notes["thought"]) == (None, "Something new.")
    assert model.requests[0].sampling.temperature == 0.8
    text = model.requests[0].messages[1].text
    assert text == (GOLDEN / "adas.txt").read_text(encoding="utf-8").strip()


async def test_two_reflexions_follow_and_the_last_version_counts() -> None:
    model = writes(
        reply(chain("One.", "Answer.")), "no workflow at all", reply(chain("Three.", "Answer."), "Now it works.")
    )
    (proposal,) = await Adas().propose(situation(model, ARCHIVE, 5))
    assert proposal.workflow == chain("Three.", "Answer.")
    assert [len(request.messages) for request in model.requests] == [2, 4, 6]
    turns = model.requests[2].messages
    assert "Is it new" in turns[3].text
    assert "Would every step get what it needs" in turns[5].text
    assert turns[4].text == "```yaml\nno workflow at all\n```"
    assert turns[:4] == model.requests[1].messages
    assert proposal.notes["thought"] == "Now it works."


async def test_only_the_last_version_is_put_right_and_checked() -> None:
    room = Room({"bad": "s1"})
    bad, good = chain("A.", "B.", name="bad"), chain("A.", "B.", name="good")
    model = writes("none", "none", reply(bad), dump(good))
    (proposal,) = await Adas().propose(situation(model, ARCHIVE, 5, room=room))
    assert (proposal.workflow, proposal.repairs, len(model.requests)) == (good, 1, 4)
    assert "the workflow failed: it broke" in model.last


@pytest.mark.parametrize(("archive", "expected"), [("best", {"way-2", "way-4"}), ("all", 4), ("sample", 2)])
async def test_the_archive_can_be_capped_and_sampled(archive: str, expected: object) -> None:
    model = writes(reply(chain("New.", "Answer.")))
    await Adas(archive=archive, cap=2).propose(situation(model, ARCHIVE, 5))
    names = {entry["name"] for entry in shown(model)}
    assert names == expected or len(names) == expected
    if archive == "sample":
        # The three turns speak of the same archive, and another seed draws another one.
        assert {entry["name"] for entry in shown(model, 2)} == names
        drawn = set()
        for seed in "abcdef":
            other = writes(reply(chain("New.", "Answer.")))
            await Adas(archive=archive, cap=2).propose(situation(other, ARCHIVE, 5, seed=seed))
            drawn.add(tuple(str(entry["name"]) for entry in shown(other)))
        assert len(drawn) > 1


async def test_a_workflow_that_fails_is_debugged_three_times_and_then_given_up() -> None:
    strategy = Adas()
    trials = [*ARCHIVE, found(5, 0.0)]
    for number in range(6, 9):
        model = writes(reply(chain(f"Way {number}.", "Answer.", name=f"way-{number}"), "It was mute."))
        (proposal,) = await strategy.propose(situation(model, trials, number))
        assert proposal.parent == trials[-1].id
        assert proposal.notes["debugs"] == "r5c1"
        assert "The last workflow does not work: its mean score is 0.000, mostly for wrong" in model.last
        assert len(model.requests) == 1
        assert shown(model)[-1]["name"] == f"way-{number - 1}"
        trials.append(found(number, 0.0, **proposal.notes))
    assert [(item.trial.id, item.debugs) for item in strategy.generations(trials)][-1] == ("r8c1", 3)
    (anew,) = await strategy.propose(situation(writes(reply(chain("New.", "Answer."))), trials, 9))
    assert anew.parent is None


async def test_a_failing_seed_is_not_debugged() -> None:
    trials = [trial("hand-written", 0, flow("Guess."), 0.0), found(1, 0.0, seed=True)]
    (proposal,) = await Adas().propose(situation(writes(reply(chain("New.", "Answer."))), trials, 2))
    assert proposal.parent is None


async def test_it_ends_after_its_rounds_and_equal_seeds_give_equal_proposals() -> None:
    model = writes(reply(chain("New.", "Answer.")))
    assert list(await Adas(rounds=4).propose(situation(model, ARCHIVE, 5))) == []

    def answer(request: Request) -> str:
        return reply(chain(f"Think {request.sampling.seed}.", "Answer."))

    first, second, third = [
        await Adas(candidates=2).propose(situation(Writer(answer), ARCHIVE, 5, seed=seed)) for seed in "aab"
    ]
    assert first == second
    assert first != third
    assert len({proposal.text for proposal in first}) == 2


async def test_no_gold_and_no_task_of_another_split_is_shown() -> None:
    model = writes(reply(chain("New.", "Answer.")))
    await Adas().propose(situation(model, ARCHIVE, 5))
    assert "GOLD" not in model.everything
    assert "of validation" not in model.everything


def test_fitness_is_the_mean_with_its_interval() -> None:
    assert fitness(None) == "not scored"
    assert fitness(found(1, 0.5).validation).endswith("mean: 50.0%")


def test_it_is_found_by_its_name_and_refuses_options_that_do_not_fit() -> None:
    assert plugins.load("strategies", "adas") is Adas
    for option, value in {"archive": "none", "cap": 0, "candidates": 101, "debug": -1}.items():
        with pytest.raises(UsageError, match=option):
            Adas(**{option: value})  # type: ignore[arg-type]
