"""OpenTelemetry spans of what runs, by the conventions for generative AI: workflow, step, tool, model call.

Off, and free but for a look at one variable, until `start` is called. Names and attributes are those of the semantic
conventions for generative AI as of 2026, which are not stable: they are pinned here and nowhere else. What prompts,
replies and results say is left out unless `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from autoflow.core.json import Json
from autoflow.core.model import Reply, Request
from autoflow.core.operator import Card
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import MissingDependencyError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_tracer: "Tracer | None" = None
_content = False
_OFF = nullcontext(None)


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a place to send spans to."""
    return environment.get("OTEL_SDK_DISABLED", "").lower() != "true" and any(map(environment.get, ENDPOINTS))


def start(version: str) -> Callable[[], None]:
    """Send spans over OTLP/HTTP to where the environment says. Returns what sends the rest and stops.

    Raises:
        MissingDependencyError: If the extra `otel` is not installed.
    """
    global _tracer, _content  # noqa: PLW0603  one process has one exporter
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingDependencyError(
            f"spans are to be sent ({' or '.join(ENDPOINTS)} is set), and the packages for it are not installed",
            hint="run: pip install 'autoflow[otel]'; or set OTEL_SDK_DISABLED=true",
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", "autoflow")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("autoflow", version)
    _content = os.environ.get(CONTENT, "").lower() == "true"

    def stop() -> None:
        global _tracer  # noqa: PLW0603
        _tracer = None
        provider.shutdown()

    return stop


@contextmanager
def exporting() -> Iterator[None]:
    """Send the spans of this block, if the environment says where to."""
    if not wanted(os.environ):
        yield
        return
    from autoflow import __version__

    stop = start(__version__)
    try:
        yield
    finally:
        stop()


def workflow_span(workflow: Workflow, task: Task) -> "AbstractContextManager[Span | None]":
    """Around one run of a workflow on a task."""
    return _OFF if _tracer is None else _workflow_span(workflow, task)


@contextmanager
def _workflow_span(workflow: Workflow, task: Task) -> "Iterator[Span | None]":
    with _span(
        f"invoke_workflow {workflow.name}",
        {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": workflow.name,
            "autoflow.workflow.fingerprint": workflow.fingerprint(),
            "autoflow.task.id": task.id,
        },
    ) as span:
        if span is not None and _content:
            span.set_attribute("autoflow.task.text", task.text)
        yield span


def step_span(step: Step, visit: int, card: Card | None) -> "AbstractContextManager[Span | None]":
    """Around one visit of a step; a tool's is an execution of that tool."""
    return _OFF if _tracer is None else _step_span(step, visit, card)


@contextmanager
def _step_span(step: Step, visit: int, card: Card | None) -> "Iterator[Span | None]":
    attributes: dict[str, str | int] = {
        "autoflow.step.name": step.name,
        "autoflow.step.type": step.type,
        "autoflow.step.visit": visit,
        "autoflow.operator": step.operator,
    }
    name = f"step {step.name}"
    if card is not None and card.kind == "tool":
        name = f"execute_tool {card.name}"
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": card.name}
    with _span(name, attributes) as span:
        yield span


def chat_span(model: str, request: Request) -> "AbstractContextManager[Span | None]":
    """Around one model call; `replied` adds what came of it."""
    return _OFF if _tracer is None else _chat_span(model, request)


@contextmanager
def _chat_span(model: str, request: Request) -> "Iterator[Span | None]":
    provider, _, name = model.partition("/")
    sampling = request.sampling
    attributes: dict[str, str | int | float | None] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": name,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.seed": sampling.seed,
        "autoflow.call.purpose": request.purpose,
    }
    with _span(f"chat {name}", attributes, client=True) as span:
        if span is not None and _content:
            turns = [
                {"role": turn.role, "parts": [{"type": "text", "content": turn.text}]} for turn in request.messages
            ]
            span.set_attribute("gen_ai.input.messages", json.dumps(turns))
        yield span


def replied(span: "Span | None", reply: Reply) -> None:
    """Add what a model answered to its span."""
    if span is None:
        return
    usage = reply.usage
    for key, value in (
        ("gen_ai.response.model", reply.model.partition("/")[2]),
        ("gen_ai.response.finish_reasons", (reply.finish,)),
        ("gen_ai.usage.input_tokens", usage.input_tokens),
        ("gen_ai.usage.output_tokens", usage.output_tokens),
        ("autoflow.call.cost_usd", usage.cost_usd),
        ("autoflow.call.cached", reply.cached),
    ):
        if value is not None:
            span.set_attribute(key, value)
    if _content:
        turn = {"role": "assistant", "parts": [{"type": "text", "content": reply.text}], "finish_reason": reply.finish}
        span.set_attribute("gen_ai.output.messages", json.dumps([turn]))


def resulted(span: "Span | None", result: Json) -> None:
    """Add what a step or a workflow came to, where content is wanted."""
    if span is not None and _content:
        text = result if isinstance(result, str) else json.dumps(result)
        span.set_attribute("autoflow.result", text)


def failed(span: "Span | None", kind: str) -> None:
    """Mark a span as failed, by the kind of failure: its message can quote prompts."""
    if span is None:
        return
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def _span(
    name: str, attributes: Mapping[str, str | int | float | None], *, client: bool = False
) -> "Iterator[Span | None]":
    assert _tracer is not None  # noqa: S101  as whoever calls this has seen
    from opentelemetry.trace import SpanKind

    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    known = {key: value for key, value in attributes.items() if value is not None}
    with _tracer.start_as_current_span(
        name, kind=kind, attributes=known, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            failed(span, type(error).__name__)
            raise
