"""A workflow behind HTTP: plain JSON (`POST /run`) and OpenAI-compatible chat (`POST /v1/chat/completions`).

What a client learns of a failure is its kind; prompts, paths and replies of the model stay on this side.
"""

import asyncio
import hmac
import ipaddress
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from autoflow.core.budget import Spend
from autoflow.core.json import Json, digest
from autoflow.core.task import Task
from autoflow.core.trace import Failure, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.interpreter.run import Interpreter

MODEL_PREFIX = "autoflow/"


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """Where a workflow is served, and within which limits."""

    host: str = "127.0.0.1"
    port: int = 8800
    """0 takes any free one."""

    token: str | None = None
    """What a client must send as `Authorization: Bearer`; required where `host` is not this machine alone."""

    timeout_s: float = 300.0
    """Limit of one request, waiting included."""

    max_body_bytes: int = 1 << 20
    concurrency: int = 64
    """Runs at the same time."""

    queue: int = 256
    """Requests that may wait besides; one more is turned away with 503."""

    grace_s: float = 30.0
    """How long runs in flight may go on once the server is told to stop."""

    def __post_init__(self) -> None:
        if not _is_loopback(self.host) and not self.token:
            raise UsageError(
                f"{self.host} can be reached from other machines, so a token is required",
                hint="set AUTOFLOW_SERVE_TOKEN, or serve on 127.0.0.1",
            )


class _Refused(Exception):  # noqa: N818  an answer, not a fault
    """The request is answered with this error."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = web.json_response(
            {"error": {"message": message, "type": kind, "code": kind, "param": None}}, status=status, headers=headers
        )


Log = Callable[[str], None]


class Service:
    """One workflow, one interpreter, any number of requests."""

    def __init__(
        self,
        workflow: Workflow,
        interpreter: Interpreter,
        config: ServeConfig,
        log: Log,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`log` gets a line a request: its status and what it took, never what was asked."""
        self._workflow = workflow
        self._interpreter = interpreter
        self._config = config
        self._log = log
        self._clock = clock
        self._running = asyncio.Semaphore(config.concurrency)
        self._present = 0
        self._number = 0

    def app(self) -> web.Application:
        """The routes, behind the checks."""
        app = web.Application(client_max_size=self._config.max_body_bytes, middlewares=[self._guarded])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/run", self._run)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    @property
    def model(self) -> str:
        """What clients call the workflow."""
        return MODEL_PREFIX + self._workflow.name

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        began = time.perf_counter()
        response: web.StreamResponse
        try:
            self._admit(request)
            response = await handler(request)
        except _Refused as refused:
            response = refused.response
        except web.HTTPRequestEntityTooLarge:
            limit = self._config.max_body_bytes
            response = _Refused(413, "body_too_large", f"a request has at most {limit} bytes").response
        except web.HTTPException as error:
            response = _Refused(error.status, "no_such_route", f"{request.method} is not served here").response
        except (ConnectionResetError, asyncio.CancelledError):
            self._log(f"{request.method} {request.rel_url.raw_path} gone {time.perf_counter() - began:.2f} s")
            raise
        except Exception as error:  # noqa: BLE001  boundary: what broke is for the log, not for the client
            self._log(f"error: {type(error).__name__}: {error}")
            response = _Refused(500, "internal_error", "the server failed; its log says why").response
        self._log(f"{request.method} {request.rel_url.raw_path} {response.status} {time.perf_counter() - began:.2f} s")
        return response

    def _admit(self, request: web.Request) -> None:
        token = self._config.token
        if token is not None:
            sent = request.headers.get("Authorization", "")
            if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), f"Bearer {token}".encode()):
                raise _Refused(401, "unauthorized", "send the server's token", {"WWW-Authenticate": "Bearer"})
        elif not _is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            # A page in a browser on this machine can reach loopback under a name of its own.
            raise _Refused(403, "forbidden", "this server answers to its loopback address alone")

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "workflow": self._workflow.name, "in_flight": self._present})

    async def _models(self, _: web.Request) -> web.Response:
        entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "autoflow"}
        return web.json_response({"object": "list", "data": [entry]})

    async def _run(self, request: web.Request) -> web.Response:
        body = await _body(request)
        _known(body, {"task", "context", "trace"})
        text, context, wanted = body.get("task"), body.get("context", {}), body.get("trace", False)
        if not isinstance(text, str) or not text.strip():
            raise _Refused(400, "invalid_request", "`task` must be a text")
        if not isinstance(context, dict):
            raise _Refused(400, "invalid_request", "`context` must be an object")
        if not isinstance(wanted, bool):
            raise _Refused(400, "invalid_request", "`trace` must be true or false")
        trace = await self._carried_out(text, context)
        answer: dict[str, Any] = {
            "answer": trace.answer,
            "failure": None if trace.failure is None else _told(trace.failure),
            "seconds": trace.seconds,
            "usage": _usage(trace),
        }
        if wanted:
            answer["trace"] = [
                {
                    "step": step.step,
                    "visit": step.visit,
                    "result": step.result,
                    "label": step.label,
                    "target": step.target,
                }
                for step in trace.steps
            ]
        return web.json_response(answer, status=_status(trace.failure), dumps=_dumps)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        text = _conversation(body.get("messages"))
        stream = body.get("stream", False)
        if not isinstance(stream, bool):
            raise _Refused(400, "invalid_request", "`stream` must be true or false")
        trace = await self._carried_out(text, {})
        if trace.failure is not None:
            raise _Refused(_status(trace.failure), trace.failure.reason, _told(trace.failure)["message"])
        answer = trace.answer if isinstance(trace.answer, str) else _dumps(trace.answer)
        self._number += 1
        common = {"id": f"chatcmpl-{self._number}", "created": int(self._clock()), "model": self.model}
        if stream:
            return await _streamed(request, common, answer)
        usage = _usage(trace)
        return web.json_response(
            {
                **common,
                "object": "chat.completion",
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}],
                "usage": {
                    "prompt_tokens": usage["input_tokens"],
                    "completion_tokens": usage["output_tokens"],
                    "total_tokens": usage["input_tokens"] + usage["output_tokens"],
                },
            },
            dumps=_dumps,
        )

    async def _carried_out(self, text: str, context: Mapping[str, Json]) -> Trace:
        if self._present >= self._config.concurrency + self._config.queue:
            raise _Refused(503, "overloaded", "too many requests wait already", {"Retry-After": "1"})
        self._present += 1
        try:
            async with asyncio.timeout(self._config.timeout_s), self._running:
                task = Task(digest([text, context])[:16], text, context)
                return await self._interpreter.run(self._workflow, task)
        except TimeoutError:
            limit = f"{self._config.timeout_s:g}"
            raise _Refused(504, "timeout", f"the workflow did not answer within {limit} seconds") from None
        finally:
            self._present -= 1


@asynccontextmanager
async def serving(service: Service, config: ServeConfig) -> AsyncIterator[str]:
    """Serve until the block ends, then let what is in flight finish. Gives the server's address.

    Raises:
        UsageError: If the address cannot be listened on.
    """
    runner = web.AppRunner(
        service.app(),
        access_log=None,
        shutdown_timeout=config.grace_s,
        # A client that has gone away pays for no further step.
        handler_cancellation=True,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"cannot listen on {config.host}:{config.port}: {error.strerror}", hint="choose another: --port 0"
            ) from error
        port = runner.addresses[0][1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _body(request: web.Request) -> dict[str, Any]:
    # A page in a browser cannot send this type to another origin without asking first.
    if request.content_type != "application/json":
        raise _Refused(415, "unsupported_type", "send JSON, with Content-Type: application/json")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise _Refused(400, "invalid_json", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise _Refused(400, "invalid_request", "the body must be a JSON object")
    return body


def _known(body: Mapping[str, Any], keys: set[str]) -> None:
    unknown = sorted(set(body) - keys)
    if unknown:
        raise _Refused(400, "invalid_request", f"unknown key; there are: {', '.join(sorted(keys))}")


def _conversation(messages: object) -> str:
    """The task that a conversation states: its one user turn, or all turns with who said them."""
    if not isinstance(messages, list) or not messages:
        raise _Refused(400, "invalid_request", "`messages` must be a list with at least one message")
    turns = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _Refused(400, "invalid_request", "a message is an object with `role` and `content`")
        turns.append((message["role"], _text(message.get("content"))))
    if len(turns) == 1:
        return turns[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in turns)


def _text(content: object) -> str:
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if len(parts) == len(content) and all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts)
    elif isinstance(content, str):
        return content
    raise _Refused(400, "invalid_request", "`content` must be text")


async def _streamed(request: web.Request, common: Mapping[str, Any], answer: str) -> web.StreamResponse:
    """The answer as a stream of one piece: a workflow's answer is known when its last step has ended."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        ({"content": answer}, None),
        ({}, "stop"),
    ]
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {**common, "object": "chat.completion.chunk", "choices": [choice]}
        await response.write(f"data: {_dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _told(failure: Failure) -> dict[str, str]:
    """What a client may know: messages of models and operators can quote prompts and paths."""
    where = "" if failure.step is None else f" at step {failure.step!r}"
    cause = "the model could not be asked" if failure.kind == "fault" else "the workflow came to no answer"
    return {"reason": failure.reason, "message": f"{cause}{where} ({failure.reason})"}


def _status(failure: Failure | None) -> int:
    if failure is None:
        return 200
    if failure.reason == "timeout":
        return 504
    return 502 if failure.kind == "fault" else 422


def _usage(trace: Trace) -> dict[str, Any]:
    spend = Spend()
    for call in trace.calls:
        if call.error is None:
            spend = spend.plus(call.usage, cached=call.cached)
    return asdict(spend)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
