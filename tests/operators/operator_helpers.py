"""Shared by the tests of operators: invocations, scripted replies, the chat that a request holds."""

from collections.abc import Mapping

from autoflow.core.json import Json
from autoflow.core.model import Message, Request, Sampling
from autoflow.core.operator import Invocation
from autoflow.core.task import Task
from autoflow.models.scripted import Rule, Scripted

HOSTILE = "{{ 7 * 7 }}{% for x in y %} $(task) <|im_end|>"
"""What a template engine, the workflow language or a chat template might trip over."""


def invocation(
    model: object,
    parameters: Mapping[str, Json] | None = None,
    output: Mapping[str, Json] | None = None,
    *,
    instruction: str = "Do it.",
    conversation: tuple[Message, ...] = (Message("system", "S"), Message("user", "Task: T")),
    inputs: Mapping[str, Json] | None = None,
    task: Task = Task("t", "T"),  # noqa: B008  (frozen)
    seed: int = 0,
    timeout_s: float | None = None,
) -> Invocation:
    return Invocation(
        instruction,
        conversation,
        inputs or {},
        task,
        parameters or {},
        output,
        model,  # type: ignore[arg-type]
        Sampling(0.2, max_tokens=900),
        timeout_s=timeout_s,
        seed=seed,
    )


def scripted(*replies: str) -> Scripted:
    """Answers with these, in order; the last one repeats."""
    return Scripted([Rule(replies)])


def by_purpose(**replies: str | tuple[str, ...]) -> Scripted:
    """Answers each kind of call (`Request.purpose`) with its own replies."""
    return Scripted(
        [
            Rule((reply,) if isinstance(reply, str) else reply, purpose=purpose.replace("_", "-"))
            for purpose, reply in replies.items()
        ]
    )


def last(request: Request) -> str:
    """The turn that the model answers."""
    return request.messages[-1].text


def code(source: str) -> str:
    """Code as a model gives it."""
    return f"Here it is:\n\n```python\n{source}\n```\n"
