"""An OpenAI-compatible chat server on loopback in a process of its own: fixed latency, a mix of faults, little CPU.

    with serve(latency_s=0.1, faults=MIX) as server:
        ... server.url ...
        print(server.stats())

It reads just enough of HTTP/1.1 to serve many connections from one core, so that a client beside it is measured and not
the server. A prompt says `#17#` and the answer is `17`: a reply that reached another task would be seen. Which calls go
wrong is drawn from the seed, by the order in which they arrive.
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FAULTS = ("429", "500", "reset", "malformed", "truncated", "hang")
"""What can go wrong with a call: two states, a dropped connection, half a JSON, half a body, no answer at all."""

MIX = {"429": 0.10, "500": 0.05, "reset": 0.02, "malformed": 0.01, "truncated": 0.01, "hang": 0.01}
"""All of them at once, a call in five."""

_NUMBER = re.compile(rb"#(\d+)#")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after another."""

    def __init__(self, site: "_Site") -> None:
        self._site = site
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._answer(head, rest[:length])

    def _answer(self, head: bytes, body: bytes) -> None:
        site, transport = self._site, self._transport
        assert transport is not None
        if head.startswith(b"GET "):
            transport.write(_http(json.dumps(site.counts).encode()))
            return
        site.counts["calls"] += 1
        fault = site.draw()
        if fault is None:
            found = _NUMBER.search(body)
            reply = _http(_completion(found[1] if found else b"none"))
            site.loop.call_later(site.latency_s, self._send, reply)
            return
        site.counts[fault] += 1
        if fault == "reset":
            transport.abort()
        elif fault == "429":
            transport.write(
                _http(b'{"error": {"message": "slow down"}}', "429 Too Many Requests", "Retry-After: 0\r\n")
            )
        elif fault == "500":
            transport.write(_http(b'{"error": {"message": "boom"}}', "500 Internal Server Error"))
        elif fault == "malformed":
            transport.write(_http(b'{"choices": [{"mess'))
        elif fault == "truncated":
            transport.write(_http(_completion(b"0"))[:-40])
            transport.close()

    def _send(self, reply: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._site.counts["answered"] += 1
            self._transport.write(reply)


class _Site:
    def __init__(self, latency_s: float, faults: Mapping[str, float], seed: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.latency_s = latency_s
        self.counts: Counter[str] = Counter(calls=0, answered=0)
        self._faults = tuple(faults.items())
        self._rng = random.Random(seed)

    def draw(self) -> str | None:
        if not self._faults:
            return None
        point = self._rng.random()
        for name, share in self._faults:
            point -= share
            if point < 0:
                return name
        return None


def _http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _completion(text: bytes) -> bytes:
    return (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"loopback","choices":[{"index":0,'
        b'"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","content":"' + text + b'"}}],'
        b'"usage":{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101,'
        b'"prompt_tokens_details":{"cached_tokens":0}}}'
    )


class Server:
    """A running server. `port` is 0 once it is stopped."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.port = port

    @property
    def url(self) -> str:
        """What a client takes as base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, int]:
        """How many calls came, how many were answered, and how many went wrong in which way."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=10) as answer:
            found: dict[str, int] = json.loads(answer.read())
        return found

    def stop(self) -> None:
        """End it as a crash would: what is under way is cut off."""
        self._process.kill()
        self._process.wait()


@contextmanager
def serve(
    *, latency_s: float, faults: Mapping[str, float] | None = None, seed: int = 0, port: int = 0
) -> Iterator[Server]:
    """Run a server; `port` 0 takes a free one. `faults` maps names of `FAULTS` to shares of all calls."""
    given = json.dumps(faults or {})
    command = [sys.executable, str(Path(__file__)), str(latency_s), given, str(seed), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {process.wait()}")
        yield Server(process, int(line))
    finally:
        process.kill()
        process.wait()


async def _run(latency_s: float, faults: Mapping[str, float], seed: int, port: int) -> None:
    site = _Site(latency_s, faults, seed)
    server = await site.loop.create_server(lambda: _Connection(site), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("latency_s", type=float)
    parser.add_argument("faults", type=json.loads, help=f"shares by name, as JSON; names are {', '.join(FAULTS)}")
    parser.add_argument("seed", type=int)
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    asyncio.run(_run(given.latency_s, given.faults, given.seed, given.port))
