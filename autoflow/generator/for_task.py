"""A request for the workflow of one task: MetaFlow's zero-shot use of a generator (arXiv:2606.30704)."""

from collections.abc import Sequence

from autoflow.core.benchmark import Benchmark
from autoflow.core.operator import Card
from autoflow.core.task import Task
from autoflow.generator.draft import DraftRequest, Limits, answer_of
from autoflow.operators.library import library

LIMITS = Limits(max_steps=10, max_instruction_chars=100)
"""At most nine steps before the answer. What is learned from and what is asked for are bounded alike."""


def cards_for(benchmark: Benchmark) -> tuple[Card, ...]:
    """The benchmark's own operators, or the library's where it has none."""
    own = benchmark.operators or library()
    return tuple(operator.card for operator in own.values())


def request_for(benchmark: Benchmark, task: Task) -> DraftRequest:
    """What a generator is told of a task: its text and the operators, never its reference.

    The form of the answer is stated where the library's operators give it; tools of a benchmark make it as it is. What
    the task brings is typed where its context says so under `inputs`.
    """
    answer = None if benchmark.operators else answer_of(benchmark.baseline)
    cards = cards_for(benchmark)
    return DraftRequest(task.text, cards, answer=answer, inputs=_inputs(task, cards), scope="task", limits=LIMITS)


def _inputs(task: Task, cards: Sequence[Card]) -> tuple[str, ...] | None:
    stated = task.context.get("inputs")
    known = {kind for card in cards if card.kind == "tool" for kind in (*card.inputs, card.output)}
    if not isinstance(stated, list) or not all(isinstance(kind, str) and kind in known for kind in stated):
        return None
    return tuple(str(kind) for kind in stated)
