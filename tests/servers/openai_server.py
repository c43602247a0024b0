"""An OpenAI-compatible chat server on loopback, for tests and benchmarks: scripted replies, fixed latency, faults.

    with serve(replies=["hello"]) as server:
        ... base_url=server.url ...
        assert server.calls == 1

It runs on a thread with its own event loop, so that it also serves synchronous callers and other processes.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Kind = Literal["status", "reset", "malformed", "truncated", "hang", "empty", "not_json"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call."""

    kind: Kind
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


TOO_MANY = Fault("status", 429, {"Retry-After": "0"}, {"message": "slow down", "code": "rate_limit_exceeded"})
SERVER_ERROR = Fault("status", 500, {}, {"message": "boom"})
RESET = Fault("reset")
MALFORMED = Fault("malformed")
TRUNCATED = Fault("truncated")
HANG = Fault("hang")
EMPTY = Fault("empty")

Reply = str | Callable[[dict[str, Any]], str]


class Server:
    """The server's script, and what it was asked."""

    def __init__(
        self,
        *,
        replies: Sequence[Reply] = (),
        faults: Sequence[Fault | None] = (),
        latency_s: float = 0.0,
        refuse: Callable[[dict[str, Any]], Fault | None] | None = None,
        key: str | None = None,
        cached_tokens: int = 0,
        report_usage: bool = True,
        max_in_flight: int | None = None,
        compress: bool = False,
    ) -> None:
        """
        Args:
            replies: Texts in order, the last repeats; none: the last user turn is echoed. A function gets the body.
            faults: The first calls go wrong like this, in order; `None` lets one through.
            refuse: Looks at every body and may answer with a fault.
            key: Required as a bearer token.
            max_in_flight: A call beyond this many at once gets a 429.
            compress: Replies are sent with gzip.
        """
        self.replies = list(replies)
        self.faults = list(faults)
        self.latency_s = latency_s
        self.refuse = refuse
        self.key = key
        self.cached_tokens = cached_tokens
        self.report_usage = report_usage
        self.max_in_flight = max_in_flight
        self.compress = compress
        self.url = ""
        self.calls = 0
        """Calls that reached the server, failed ones included."""
        self.answered = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = 0
        self.peak = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/chat/completions`."""
        self.calls += 1
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if self.max_in_flight is not None and self.in_flight > self.max_in_flight:
                return await self._fail(request, TOO_MANY)
            fault = self.faults.pop(0) if self.faults else None
            if fault is None and self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
                fault = Fault("status", 401, {}, {"message": f"Incorrect API key provided: {self.key[:6]}***"})
            if fault is None and self.refuse is not None:
                fault = self.refuse(body)
            if fault is not None:
                return await self._fail(request, fault)
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            self.answered += 1
            answer = web.json_response(self._completion(body))
            if self.compress:
                answer.enable_compression(web.ContentCoding.gzip)
            return answer
        finally:
            self.in_flight -= 1

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.kind == "status":
            return web.json_response({"error": fault.error}, status=fault.status, headers=fault.headers)
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if fault.kind == "malformed":
            return web.Response(text='{"choices": [', content_type="application/json")
        if fault.kind == "not_json":
            return web.Response(text="<html>welcome</html>", content_type="text/html")
        if fault.kind == "empty":
            return web.json_response({"id": "x", "object": "chat.completion", "choices": []})
        assert request.transport is not None
        if fault.kind == "truncated":
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
            request.transport.write(f'{head}{{"choices": [{{"mess'.encode())
            await asyncio.sleep(0.01)
            request.transport.close()
        else:
            request.transport.abort()
        return web.Response()

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        text = self._text(body)
        words = sum(len(turn["content"].split()) for turn in body["messages"])
        completion = {
            "id": f"chatcmpl-{self.calls}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "logprobs": None,
                    "message": {"role": "assistant", "content": text},
                }
            ],
        }
        if self.report_usage:
            completion["usage"] = {
                "prompt_tokens": words,
                "completion_tokens": len(text.split()),
                "total_tokens": words + len(text.split()),
                "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            }
        return completion

    def _text(self, body: dict[str, Any]) -> str:
        if self.replies:
            reply = self.replies[min(self.answered, len(self.replies)) - 1]
            return reply if isinstance(reply, str) else reply(body)
        form = body.get("response_format")
        if form and form["type"] == "json_schema":
            return json.dumps(example(form["json_schema"]["schema"]))
        return str(body["messages"][-1]["content"])


def example(schema: Any) -> Any:
    """The least value that fits a simple schema."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: example(part) for name, part in properties.items() if name in schema.get("required", properties)}
    if kind == "array":
        return [example(schema["items"])] * schema.get("minItems", 1) if "items" in schema else []
    values: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}
    return values[kind]


@contextmanager
def serve(**script: Any) -> Iterator[Server]:
    """Run a server on a free port of 127.0.0.1; `script` is what `Server` takes."""
    server = Server(**script)
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", server.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the test server did not start")
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
