"""What a generator is trained to answer: a kind of task and a set of operators, with the tasks that score answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Message
from autoflow.core.operator import Card
from autoflow.core.task import Task
from autoflow.generator.draft import DraftRequest, Form, Limits, Scope, answer_of, conversation, grammar_of
from autoflow.generator.for_task import LIMITS, cards_for, request_for
from autoflow.operators.library import library


@dataclass(frozen=True, slots=True)
class Shape:
    """How much the prompt for a whole benchmark shows, and a draft for it may write. A generator is best asked as it
    was trained. The prompt for a single task is always `autoflow.generator.for_task.request_for`."""

    examples: int = 2
    """Train tasks shown: the first ones and the last."""

    describe_cards: bool = True
    library: bool = False
    """Whether the library's operators are shown beside the benchmark's own; where it has none, they always are."""

    answer: bool = False
    """Whether the form of the answer is shown, where the benchmark fixes it."""

    max_steps: int = LIMITS.max_steps
    max_instruction_chars: int = LIMITS.max_instruction_chars


@dataclass(frozen=True, slots=True)
class Assignment:
    """One prompt of the training set."""

    id: str
    """Unique within the run."""

    benchmark: str
    """Name of the benchmark that scores its workflows."""

    request: DraftRequest
    form: Form
    tasks: tuple[Task, ...]
    """The instances that a workflow written for it may be scored on."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt: what `autoflow.generator.draft` asks a generator in this form, to the letter."""
        return conversation(self.request, self.form)

    @property
    def grammar(self) -> str | None:
        """What a runtime with grammars holds the answer to; `None` where it does not."""
        return grammar_of(self.request, self.form)


def assignments(
    benchmark: Benchmark, tasks: Sequence[Task], *, scope: Scope, form: Form, shape: Shape
) -> list[Assignment]:
    """The prompts of a benchmark: one for all `tasks`, or one for each of them, in order.

    Only train tasks are shown as examples, whichever tasks the workflows are scored on.
    """
    if scope == "benchmark":
        return [Assignment(benchmark.name, benchmark.name, _request(benchmark, shape), form, tuple(tasks))]
    return [
        Assignment(f"{benchmark.name}/{task.id}", benchmark.name, request_for(benchmark, task), form, (task,))
        for task in tasks
    ]


def _request(benchmark: Benchmark, shape: Shape) -> DraftRequest:
    shown = [*benchmark.train[: max(0, shape.examples - 1)], *benchmark.train[-1:]] if shape.examples else []
    return DraftRequest(
        benchmark.description,
        _cards(benchmark) if shape.library else cards_for(benchmark),
        describe_cards=shape.describe_cards,
        examples=tuple(dict.fromkeys(task.text for task in shown)),
        answer=answer_of(benchmark.baseline) if shape.answer else None,
        limits=Limits(shape.max_steps, shape.max_instruction_chars),
    )


def _cards(benchmark: Benchmark) -> tuple[Card, ...]:
    return tuple(operator.card for operator in {**library(), **benchmark.operators}.values())
