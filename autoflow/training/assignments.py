"""What a generator is trained to answer: a kind of task and a set of operators, with the tasks that score answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Message
from autoflow.core.operator import Card
from autoflow.core.task import Task
from autoflow.generator.draft import DraftRequest, Form, Limits, answer_of, conversation
from autoflow.operators.library import library

Scope = Literal["benchmark", "task"]
"""What one workflow is written for."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Shape:
    """How much the prompt shows and a draft may write. A generator is best asked as it was trained."""

    examples: int = 2
    """Train tasks shown in the scope `benchmark`."""

    describe_cards: bool = True
    library: bool = True
    """Whether the library's operators are shown beside the benchmark's own."""

    answer: bool = True
    """Whether the form of the answer is shown, where the benchmark fixes it."""

    max_steps: int = 6
    max_instruction_chars: int = 100


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


def assignments(
    benchmark: Benchmark, tasks: Sequence[Task], *, scope: Scope, form: Form, shape: Shape
) -> list[Assignment]:
    """The prompts of a benchmark: one for all `tasks`, or one for each of them, in order.

    Only train tasks are shown as examples, whichever tasks the workflows are scored on.
    """
    cards = _cards(benchmark, library_too=shape.library)
    answer = answer_of(benchmark.baseline) if shape.answer else None
    limits = Limits(shape.max_steps, shape.max_instruction_chars)
    if scope == "benchmark":
        shown = [*benchmark.train[: max(0, shape.examples - 1)], *benchmark.train[-1:]] if shape.examples else []
        request = DraftRequest(
            benchmark.description,
            cards,
            describe_cards=shape.describe_cards,
            examples=tuple(dict.fromkeys(task.text for task in shown)),
            answer=answer,
            limits=limits,
        )
        return [Assignment(benchmark.name, benchmark.name, request, form, tuple(tasks))]
    return [
        Assignment(
            f"{benchmark.name}/{task.id}",
            benchmark.name,
            DraftRequest(
                benchmark.description,
                cards,
                describe_cards=shape.describe_cards,
                examples=(task.text,),
                answer=answer,
                limits=limits,
            ),
            form,
            (task,),
        )
        for task in tasks
    ]


def _cards(benchmark: Benchmark, *, library_too: bool) -> tuple[Card, ...]:
    own = {name: operator.card for name, operator in benchmark.operators.items()}
    known = {name: operator.card for name, operator in library().items()} if library_too or not own else {}
    return tuple({**known, **own}.values())
