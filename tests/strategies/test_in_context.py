"""The in-context strategy: what the generator is shown, and what comes back."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from strategy_helpers import Exact, Writer

from autoflow import plugins
from autoflow.core.benchmark import Benchmark
from autoflow.core.json import Json
from autoflow.core.model import Model, Request
from autoflow.core.operator import Card
from autoflow.core.strategy import Evaluation, Proposal, Situation, TaskResult, Trial
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ProviderError, UsageError
from autoflow.language.dump import dump
from autoflow.strategies.in_context import InContext, best_trial

GOLDEN = Path(__file__).parent / "golden"
CARDS = (Card("generate", "Ask the language model."), Card("look-up", "Find a page.", kind="tool"))


def flow(instruction: str, output: Json = None) -> Workflow:
    assert output is None or isinstance(output, dict)
    return Workflow("riddle", (Step("answer", "terminal", instruction, output=output),))


def tasks(split: str, count: int) -> tuple[Task, ...]:
    return tuple(
        Task(f"{split}-{number}", f"Riddle {number} of {split}?", reference={"answer": f"GOLD-{split}-{number}"})
        for number in range(count)
    )


def benchmark(baseline: Workflow | None = None) -> Benchmark:
    return Benchmark("riddles", "Answer riddles.", tasks("train", 5), tasks("validation", 5), Exact(), {}, baseline)


def evaluation(*values: float | None, answer: Json = "a shoe") -> Evaluation:
    return Evaluation(
        "train",
        tuple(
            TaskResult(f"train-{number}", value, "" if value == 1 else "wrong", answer)
            for number, value in enumerate(values)
        ),
    )


def trial(
    id_: str, round_: int, workflow: Workflow | None, *values: float | None, errors: tuple[str, ...] = ()
) -> Trial:
    proposal = Proposal(workflow, "text", "reason", errors=errors, repairs=3 if errors else 0)
    scored = evaluation(*values) if workflow is not None else None
    hidden = Evaluation("validation", tuple(TaskResult(f"validation-{n}", 0.0, "HIDDEN") for n in range(5)))
    return Trial(id_, round_, proposal, scored, hidden if workflow is not None else None)


MANUAL = flow("Guess.")
TRIALS = (
    trial("hand-written", 0, MANUAL, 1, 0, 0.5, None, 1),
    trial("r1c1", 1, flow("Think, then answer."), 1, 1, 1, 0, 1),
    trial("r2c1", 2, None, errors=("line 3: unknown step", "more")),
    trial("r3c1", 3, flow("Guess."), 1, 0, 0.5, None, 1),
    trial("r4c1", 4, flow("Answer at random."), 0, 0, 0, 0, 0),
)


def situation(generator: Model, trials: Sequence[Trial] = TRIALS, round_: int = 5, seed: str = "s") -> Situation:
    manual = next((item.proposal.workflow for item in trials if item.round == 0), None)
    # Nothing is tried out in context: no laboratory is there to be used.
    return Situation(benchmark(manual), CARDS, trials, generator, random.Random(seed), round_, None)  # type: ignore[arg-type]


def writes() -> Writer:
    return Writer(lambda request: dump(flow("New.")))


def shown(writer: Writer) -> str:
    return writer.requests[0].messages[1].text


def test_it_is_found_by_its_name() -> None:
    assert plugins.load("strategies", "in-context") is InContext


async def test_evidence_is_hand_written_best_and_the_last_three() -> None:
    writer = writes()
    await InContext(failing=1).propose(situation(writer))
    text = shown(writer)
    assert "The hand-written workflow scored 0.625 on 4 tasks:" in text
    assert "Workflow r1c1 scored 0.800 on 5 tasks, the best so far:" in text
    assert "Workflow r2c1 could not be used: line 3: unknown step" in text
    assert "Workflow r3c1 was the same as hand-written; write something new." in text
    assert "Workflow r4c1 scored 0.000 on 5 tasks:" in text
    assert text == (GOLDEN / "in-context.txt").read_text(encoding="utf-8").strip()


async def test_failing_tasks_are_the_worst_of_train_with_answer_and_reason() -> None:
    writer = writes()
    await InContext(failing=3).propose(situation(writer, TRIALS[:1]))
    text = shown(writer)
    evidence = text[text.index("Tasks that went wrong") :]
    assert evidence.index("Riddle 1 of train?") < evidence.index("Riddle 2 of train?")
    assert "score: 0.00 (wrong)" in evidence
    assert "answer: a shoe" in evidence
    # Riddle 3 has no score: that is no failure.
    assert "Riddle 3 of train?" not in evidence


async def test_no_gold_and_no_validation_task_is_shown() -> None:
    writer = writes()
    await InContext(failing=5, history=9).propose(situation(writer))
    everything = "\n".join(message.text for request in writer.requests for message in request.messages)
    for secret in ("GOLD", "validation", "HIDDEN"):
        assert secret not in everything


async def test_the_first_round_without_a_hand_written_workflow_asks_for_one() -> None:
    writer = writes()
    (proposal,) = await InContext().propose(situation(writer, (), 1))
    assert (proposal.workflow, proposal.parent, proposal.reason) == (flow("New."), None, "first draft")
    assert "Write a workflow for this kind of task." in shown(writer)


async def test_a_proposal_names_its_parent() -> None:
    (proposal,) = await InContext().propose(situation(writes()))
    assert proposal.parent == "r1c1"
    assert proposal.reason == "refines r1c1, scored 0.800 on 5 tasks"


async def test_after_its_rounds_it_proposes_nothing() -> None:
    writer = writes()
    assert list(await InContext(rounds=4).propose(situation(writer))) == []
    assert writer.requests == []


async def test_an_invalid_draft_is_a_proposal_with_its_errors() -> None:
    (proposal,) = await InContext(repairs=1).propose(situation(Writer(lambda request: "no workflow")))
    assert proposal.workflow is None
    assert proposal.errors
    assert (proposal.text, proposal.repairs) == ("no workflow", 1)


async def test_candidates_are_independent_draws_and_the_same_when_asked_again() -> None:
    def answer(request: Request) -> str:
        return dump(flow(f"Draw {request.sampling.seed}."))

    one, two = Writer(answer), Writer(answer)
    first = await InContext(candidates=3).propose(situation(one))
    assert first == await InContext(candidates=3).propose(situation(two))
    assert len({request.sample for request in one.requests}) == 3
    assert len({proposal.text for proposal in first}) == 3
    later = Writer(answer)
    await InContext(candidates=3).propose(situation(later, round_=6))
    assert not {request.sample for request in later.requests} & {request.sample for request in one.requests}


async def test_a_fault_of_the_provider_passes_on_after_the_other_drafts_have_ended() -> None:
    def answer(request: Request) -> str:
        if request is writer.requests[0]:
            raise ProviderError("gone", transient=True)
        return dump(flow("New."))

    writer = Writer(answer)
    with pytest.raises(ProviderError, match="gone"):
        await InContext(candidates=3).propose(situation(writer))
    assert len(writer.requests) == 3


async def test_the_prompt_is_kept_within_its_bound_by_leaving_out_the_oldest() -> None:
    texts = {}
    for bound in (24_000, 2_600, 2_250, 100):
        writer = writes()
        await InContext(prompt_chars=bound).propose(situation(writer))
        texts[bound] = "\n".join(message.text for message in writer.requests[0].messages)
        assert len(texts[bound]) <= bound or bound == 100
    assert "Tasks that went wrong" in texts[24_000]
    # Failing tasks go first, then the attempts, then what operators do, then the hand-written workflow.
    assert "Tasks that went wrong" not in texts[2_600]
    assert "r4c1" in texts[2_600]
    assert "r4c1" not in texts[2_250]
    assert "Find a page" not in texts[2_250]
    assert "r1c1" in texts[2_250]
    assert "r1c1" not in texts[100]


async def test_a_prompt_that_the_model_refuses_as_too_long_is_shortened_until_it_fits() -> None:
    def answer(request: Request) -> str:
        if sum(len(message.text) for message in request.messages) > 2_600:
            raise ProviderError("exceeds the available context", transient=False, status=400)
        return dump(flow("New."))

    writer = Writer(answer)
    (proposal,) = await InContext().propose(situation(writer))
    assert proposal.workflow == flow("New.")
    assert len(writer.requests) > 1

    def refuse(request: Request) -> str:
        raise ProviderError("bad request", transient=False, status=400)

    with pytest.raises(ProviderError, match="bad request"):
        await InContext().propose(situation(Writer(refuse)))


async def test_a_model_in_this_process_is_asked_for_less() -> None:
    small, large = (
        Writer(lambda request: "{}", features) for features in (frozenset({"schema", "grammar"}), frozenset())
    )
    await InContext(repairs=0).propose(situation(small))  # type: ignore[arg-type]
    await InContext(repairs=0).propose(situation(large))  # type: ignore[arg-type]
    assert (small.requests[0].sampling.max_tokens, large.requests[0].sampling.max_tokens) == (600, 2000)
    assert "At most 5 steps" in small.requests[0].messages[0].text
    stated = Writer(lambda request: "{}", frozenset({"schema", "grammar"}))
    await InContext(repairs=0, max_tokens=99, max_steps=3).propose(situation(stated))
    assert stated.requests[0].sampling.max_tokens == 99
    assert "At most 2 steps" in stated.requests[0].messages[0].text


async def test_json_writers_are_shown_workflows_in_json() -> None:
    writer = Writer(lambda request: "{}", frozenset({"schema"}))
    await InContext(repairs=0).propose(situation(writer))
    assert '"instruction": "Think, then answer."' in shown(writer)
    assert writer.requests[0].schema is not None


async def test_the_answer_form_of_the_hand_written_workflow_is_kept() -> None:
    form: dict[str, Json] = {"type": "string"}
    writer = writes()
    (proposal,) = await InContext().propose(
        situation(writer, (trial("hand-written", 0, flow("Guess.", form), 1, 0, 0, 0, 0),))
    )
    assert proposal.workflow == flow("New.", form)
    assert shown(writer).count('"type": "string"') == 1


async def test_tools_can_be_kept_out_of_steps() -> None:
    writer = writes()
    await InContext(tool_steps=False).propose(situation(writer))
    assert "look-up" not in shown(writer)


async def test_examples_are_train_tasks_first_and_last() -> None:
    writer = writes()
    await InContext(examples=2, failing=0).propose(situation(writer))
    assert "- Riddle 0 of train?\n- Riddle 4 of train?\n" in shown(writer)
    none = writes()
    await InContext(examples=0, failing=0, history=0).propose(situation(none))
    assert "Riddle" not in shown(none)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rounds", 0),
        ("candidates", 1001),
        ("candidates", 1.5),
        ("temperature", "hot"),
        ("tool_steps", 1),
        ("repairs", -1),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=option):
        InContext(**{option: value})  # type: ignore[arg-type]


def test_the_best_trial_is_the_earliest_of_the_highest() -> None:
    assert best_trial(TRIALS) is TRIALS[1]
    assert best_trial(()) is None
    assert best_trial((TRIALS[2],)) is None
    assert best_trial((trial("a", 1, MANUAL, 1, 1), trial("b", 1, flow("x"), 1, 1))).id == "a"  # type: ignore[union-attr]
