"""Spans reach a real OTLP receiver on loopback: nested as the run was, without content unless it is asked for."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from openai_server import Fault, serve

from autoflow import telemetry
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import MissingDependencyError
from autoflow.interpreter.run import Interpreter
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `otel`")

SECRET = "what-the-task-says"
WORKFLOW = Workflow(
    "two", (Step("think", "process", "Think.", next="say"), Step("say", "terminal", "Say it.", operator="generate"))
)


@contextmanager
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP/HTTP receiver: its address, and the spans that came."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            sent = ExportTraceServiceRequest.FromString(body)
            spans.extend(span for r in sent.resource_spans for scope in r.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _attributes(span: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in span.attributes:
        kind = item.value.WhichOneof("value")
        found[item.key] = getattr(item.value, kind)
    return found


def _by_name(spans: list[Any]) -> dict[str, Any]:
    return {span.name: span for span in spans}


def _run(model: Any, monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[Any]:
    with receiver() as (address, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with telemetry.exporting():
            trace = asyncio.run(Interpreter(model, library()).run(WORKFLOW, Task("t1", SECRET)))
            assert trace.steps
    return spans


def test_spans_are_nested_as_the_run_was(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = _run(Scripted([Rule(("a thought", "an answer"))], name="scripted/x"), monkeypatch)
    assert sorted(span.name for span in spans) == ["chat x", "chat x", "invoke_workflow two", "step say", "step think"]
    by_id = {span.span_id: span for span in spans}
    parents = {(span.name, by_id[span.parent_span_id].name if span.parent_span_id else None) for span in spans}
    assert parents == {
        ("invoke_workflow two", None),
        ("step think", "invoke_workflow two"),
        ("step say", "invoke_workflow two"),
        ("chat x", "step think"),
        ("chat x", "step say"),
    }
    chat = _attributes(next(span for span in spans if span.name == "chat x"))
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.provider.name"] == "scripted"
    assert chat["gen_ai.usage.input_tokens"] > 0
    assert _attributes(_by_name(spans)["invoke_workflow two"])["gen_ai.workflow.name"] == "two"


def test_content_stays_here_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scripted([Rule(("a thought", "an answer"))])
    quiet = _run(model, monkeypatch)
    assert not any(word in str(span) for span in quiet for word in (SECRET, "a thought", "an answer"))
    told = _run(Scripted([Rule(("a thought", "an answer"))]), monkeypatch, **{telemetry.CONTENT: "true"})
    chats = [_attributes(span) for span in told if span.name.startswith("chat")]
    assert all(SECRET in chat["gen_ai.input.messages"] for chat in chats)
    assert {json.loads(chat["gen_ai.output.messages"])[0]["parts"][0]["content"] for chat in chats} == {
        "a thought",
        "an answer",
    }


def test_a_failure_is_marked_by_its_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = _run(Scripted([Rule(("fine",), when="nothing that is asked")]), monkeypatch)
    marked = {span.name.split(" ")[0]: _attributes(span).get("error.type") for span in spans}
    assert marked == {"invoke_workflow": "provider", "step": "provider", "chat": "ProviderError"}
    assert all(span.status.code == 2 for span in spans)


async def test_without_an_address_nothing_is_recorded() -> None:
    assert not telemetry.wanted({})
    assert not telemetry.wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"})
    with telemetry.workflow_span(WORKFLOW, Task("t", "x")) as span:
        assert span is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingDependencyError, match="not installed"):
        telemetry.start("0")


def test_the_command_line_exports_where_the_environment_says(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(
        "autoflow: 1\nname: flow\nsteps:\n  - {name: say, type: terminal, instruction: Say it.}\n"
    )
    with receiver() as (address, spans), serve(replies=["done"], faults=[Fault("status", 500)]) as server:
        done = subprocess.run(
            [sys.executable, "-m", "autoflow", "run", "flow.yaml", "x", "--interpreter", "openai/m"],
            cwd=tmp_path,
            env={
                **os.environ,
                "OPENAI_API_KEY": "k",
                "OPENAI_BASE_URL": server.url,
                "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.strip() == "done", done.stderr
    assert sorted(span.name for span in spans) == ["chat m", "invoke_workflow flow", "step say"]
