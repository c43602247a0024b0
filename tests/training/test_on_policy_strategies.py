"""`improve --strategy reinforce` and `grpo`: a round is an update, and the recorded rounds bring back the weights."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import make_model

from autoflow import plugins
from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Model
from autoflow.core.strategy import Evaluation, Proposal, Situation, TaskResult, Trial
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import UsageError
from autoflow.models.scripted import Rule, Scripted

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]

BENCHMARK: Any = Benchmark("made-up", "a", (Task("0", "a"),), (Task("1", "b"),), scorer=None)  # type: ignore[arg-type]
SOME = Workflow("some", (Step("answer", "terminal", "Answer."),))
OPTIONS = {"rounds": 4, "candidates": 8, "learning_rate": 3e-2, "rank": 4, "max_tokens": 3}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = make_model(tmp_path_factory.mktemp("tiny"), spread=0.3)
    return Scripted([Rule(("never asked",))], name=f"transformers/{folder}")


def situation(generator: Model, trials: Sequence[Trial], number: int) -> Situation:
    nothing_tried: Any = None
    rng = random.Random(f"0/round {number}")
    return Situation(BENCHMARK, (), tuple(trials), generator, rng, number, nothing_tried)


def judged(proposals: Sequence[Proposal], number: int, value: Callable[[str], float | None]) -> list[Trial]:
    """As the driver would record them, had all been workflows."""
    return [
        Trial(
            f"r{number}c{index}",
            number,
            replace(proposal, workflow=SOME),
            train=Evaluation("train", (TaskResult("0", value(proposal.text)),)),
        )
        for index, proposal in enumerate(proposals, 1)
    ]


def letters_a(text: str) -> float:
    return text.count("a") / 3


async def rounds(strategy: Any, generator: Model, trials: list[Trial], first: int, last: int) -> list[list[str]]:
    texts = []
    for number in range(first, last + 1):
        proposals = await strategy.propose(situation(generator, trials, number))
        texts.append([proposal.text for proposal in proposals])
        trials += judged(proposals, number, letters_a)
    return texts


@pytest.mark.parametrize("method", ["reinforce", "grpo"])
async def test_a_resumed_run_draws_what_the_uninterrupted_one_drew(
    method: str, generator: Model, tmp_path: Path
) -> None:
    plugin = plugins.load("strategies", method)
    whole: list[Trial] = []
    texts = await rounds(plugin(**OPTIONS, save=str(tmp_path / "whole")), generator, whole, 1, 4)
    kept = whole[:16]
    resumed = plugin(**OPTIONS, save=str(tmp_path / "resumed"))
    assert await rounds(resumed, generator, kept, 3, 4) == texts[2:]
    assert texts[0] != texts[3]
    # After the last update there is nothing more to draw, and the adapter is saved: the same one.
    for trials, strategy in ((whole, plugin(**OPTIONS, save=str(tmp_path / "whole"))), (kept, resumed)):
        assert await strategy.propose(situation(generator, trials, 5)) == ()
    adapters = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "resumed")]
    assert adapters[0] == adapters[1]


async def test_the_generator_learns_from_the_scores(generator: Model) -> None:
    strategy = plugins.load("strategies", "reinforce")(**{**OPTIONS, "rounds": 15, "max_tokens": 1, "rank": 8})
    trials: list[Trial] = []
    texts = await rounds(strategy, generator, trials, 1, 15)
    counts = ["".join(drawn).count("a") for drawn in texts]
    assert sum(counts[:5]) < 10
    assert sum(counts[-5:]) > 20


async def test_what_is_no_workflow_is_proposed_as_such_and_earns_the_penalty(generator: Model) -> None:
    strategy = plugins.load("strategies", "grpo")(**OPTIONS)
    proposals = await strategy.propose(situation(generator, [], 1))
    assert len(proposals) == 8
    assert all(proposal.workflow is None and proposal.errors for proposal in proposals)
    trials = [Trial(f"r1c{index}", 1, proposal) for index, proposal in enumerate(proposals)]
    assert strategy._step(trials, 1).rewards == (-0.1,) * 8
    faulty = judged(proposals, 1, lambda _: None)
    assert strategy._step(faulty, 1).rewards == (None,) * 8


async def test_a_generator_without_weights_is_refused() -> None:
    closed = Scripted([Rule(("x",))], name="openai/gpt-5-mini")
    with pytest.raises(UsageError, match="openai/gpt-5-mini does not give them"):
        await plugins.load("strategies", "reinforce")(**OPTIONS).propose(situation(closed, [], 1))


async def test_a_model_that_is_not_there_is_told_where_samples_are_awaited(tmp_path: Path) -> None:
    absent = Scripted([Rule(("x",))], name=f"transformers/{tmp_path / 'nowhere'}")
    with pytest.raises(UsageError, match="there is no folder"):
        await plugins.load("strategies", "reinforce")(**OPTIONS).propose(situation(absent, [], 1))
