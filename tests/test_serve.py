"""A served workflow answers, refuses with the right status, and tells no secret of this side."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai_server import Fault, serve

from autoflow.core.model import Reply, Request
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import UsageError
from autoflow.interpreter.run import Interpreter
from autoflow.models.factory import ModelOptions, open_model
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library
from autoflow.serve import ServeConfig, Service, serving

WORKFLOW = Workflow(
    "two steps",
    (Step("think", "process", "Think of SECRET-IN-PROMPT.", next="say"), Step("say", "terminal", "Say it.")),
)
MODEL = Scripted([Rule(("thought", "the answer"))])
LOCAL = ServeConfig(port=0)


class Slow:
    """A model that answers when it is told to."""

    name = "slow/model"
    features: frozenset[Any] = frozenset()

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = 0

    async def complete(self, request: Request) -> Reply:
        self.begun += 1
        await self.go.wait()
        return Reply("late", self.name)

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def _served(
    model: Any = None, config: ServeConfig = LOCAL, log: Callable[[str], None] = lambda _: None
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    interpreter = Interpreter(model or Scripted([Rule(("thought", "the answer"))]), library())
    async with (
        serving(Service(WORKFLOW, interpreter, config, log, clock=lambda: 7.0), config) as address,
        aiohttp.ClientSession() as session,
    ):
        yield address, session


async def test_plain_json_gives_answer_usage_and_trace() -> None:
    async with _served() as (address, session):
        response = await session.post(f"{address}/run", json={"task": "What?", "trace": True})
        body = await response.json()
    assert response.status == 200
    assert (body["answer"], body["failure"], body["usage"]["calls"]) == ("the answer", None, 2)
    assert [step["step"] for step in body["trace"]] == ["think", "say"]


async def test_any_openai_client_can_chat_with_it() -> None:
    async with _served() as (address, _), openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x") as client:
        assert [model.id async for model in client.models.list()] == ["autoflow/two steps"]
        whole = await client.chat.completions.create(
            model="any", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]
        )
        assert whole.choices[0].message.content == "the answer"
        assert whole.usage is not None
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


async def test_a_stream_ends_with_the_answer() -> None:
    async with _served() as (address, _), openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x") as client:
        pieces = await client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "What?"}], stream=True
        )
        said = [piece.choices[0] async for piece in pieces]
    assert "".join(choice.delta.content or "" for choice in said) == "the answer"
    assert said[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/run", b"{", 400),
        ("/run", b"[" * 100_000, 400),
        ("/run", b"[]", 400),
        ("/run", b'{"task": ""}', 400),
        ("/run", b'{"task": 1}', 400),
        ("/run", b'{"task": "x", "context": []}', 400),
        ("/run", b'{"task": "x", "tusk": 1}', 400),
        ("/run", b'{"task": "x", "trace": 1}', 400),
        ("/run", b'"' + b"x" * 300_000 + b'"', 413),
        ("/v1/chat/completions", b"{}", 400),
        ("/v1/chat/completions", b'{"messages": [1]}', 400),
        ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": {"a": 1}}]}', 400),
        ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "x"}], "stream": "yes"}', 400),
        ("/elsewhere", b"{}", 404),
        ("/health", b"{}", 405),
    ],
)
async def test_what_does_not_fit_is_refused_without_a_call(path: str, body: bytes, status: int) -> None:
    model = Slow()
    async with _served(model, ServeConfig(port=0, max_body_bytes=200_000)) as (address, session):
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{address}{path}", data=body, headers=headers) as response:
            error = (await response.json())["error"]
    assert response.status == status
    assert set(error) == {"message", "type", "code", "param"}
    assert model.begun == 0


async def test_a_form_and_a_foreign_host_are_refused() -> None:
    async with _served() as (address, session):
        async with session.post(f"{address}/run", data={"task": "x"}) as response:
            assert response.status == 415
        async with session.post(f"{address}/run", json={"task": "x"}, headers={"Host": "evil.example"}) as response:
            assert response.status == 403


async def test_a_token_is_required_where_one_is_set() -> None:
    config = ServeConfig(port=0, token="s3cret")
    async with _served(config=config) as (address, session):
        for sent, status in ((None, 401), ("Bearer wrong", 401), ("s3cret", 401), ("Bearer s3cret", 200)):
            headers = {} if sent is None else {"Authorization": sent}
            async with session.post(f"{address}/run", json={"task": "x"}, headers=headers) as response:
                assert response.status == status
                assert "s3cret" not in await response.text()


def test_an_open_address_without_a_token_is_refused() -> None:
    for host in ("0.0.0.0", "192.168.1.2", "::", "example.org"):
        with pytest.raises(UsageError, match="token is required"):
            ServeConfig(host=host)
    assert ServeConfig(host="::1").host == "::1"


async def test_a_slow_run_times_out_and_a_crowd_is_turned_away() -> None:
    model = Slow()
    config = ServeConfig(port=0, timeout_s=0.3, concurrency=1, queue=1)
    async with _served(model, config) as (address, session):

        async def ask() -> int:
            async with session.post(f"{address}/run", json={"task": "x"}) as response:
                await response.read()
                return response.status

        assert sorted(await asyncio.gather(*(ask() for _ in range(4)))) == [503, 503, 504, 504]


async def test_faults_tell_neither_prompt_nor_path() -> None:
    lines: list[str] = []
    with serve(refuse=lambda _: Fault("status", 400, {}, {"message": "SECRET-IN-PROMPT in /etc/hidden"})) as server:
        model = open_model("openai/x", ModelOptions(base_url=server.url, max_retries=0))
        async with _served(model, log=lines.append) as (address, session):
            for path, body in (
                ("/run", {"task": "SECRET-IN-TASK"}),
                ("/v1/chat/completions", {"messages": [{"role": "user", "content": "SECRET-IN-TASK"}]}),
            ):
                async with session.post(f"{address}{path}", json=body) as response:
                    text = await response.text()
                assert response.status == 502
                assert "provider" in text
                assert not any(word in text for word in ("SECRET", "/etc", str(Path.cwd()), server.url))
        await model.aclose()
    assert not any("SECRET" in line for line in lines)


async def test_an_answer_that_fails_its_workflow_is_422() -> None:
    broken = Scripted([Rule(("", ""))])
    async with _served(broken) as (address, session):
        response = await session.post(f"{address}/run", json={"task": "x"})
        body = await response.json()
    assert response.status == 422
    assert body["answer"] is None
    assert body["failure"]["reason"]


async def test_two_hundred_requests_at_once_are_all_answered() -> None:
    with serve(latency_s=0.05) as server:
        model = open_model("openai/x", ModelOptions(base_url=server.url))
        async with (
            _served(model) as (address, _),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):

            async def ask(number: int) -> tuple[int, str]:
                async with session.post(f"{address}/run", json={"task": f"number {number}"}) as response:
                    return response.status, (await response.json())["answer"]

            answers = await asyncio.gather(*(ask(number) for number in range(200)))
        await model.aclose()
    assert {status for status, _ in answers} == {200}
    assert all(answers)
    assert server.answered == 400


async def test_a_client_that_goes_away_pays_for_no_further_step() -> None:
    model = Slow()
    async with _served(model) as (address, session):
        with pytest.raises(TimeoutError):
            await session.post(f"{address}/run", json={"task": "x"}, timeout=aiohttp.ClientTimeout(total=0.2))
        model.go.set()
        await asyncio.sleep(0.1)
        assert model.begun == 1


def test_the_command_finishes_what_is_in_flight_when_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(
        "autoflow: 1\nname: echo\nsteps:\n  - {name: say, type: terminal, instruction: Say it.}\n"
    )
    with serve(replies=["done"], latency_s=1.0) as server:
        command = ["serve", "flow.yaml", "--interpreter", "openai/x", "--base-url", server.url, "--port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-m", "autoflow", *command],
            cwd=tmp_path,
            env={**os.environ, "OPENAI_API_KEY": "k"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        address = line.split(" at ")[1].strip()

        async def ask() -> str:
            async with aiohttp.ClientSession() as session:
                asked = asyncio.create_task(session.post(f"{address}/run", json={"task": "x"}))
                while not server.calls:
                    await asyncio.sleep(0.02)
                process.send_signal(signal.SIGTERM)
                answer: str = json.loads(await (await asked).text())["answer"]
                return answer

        assert asyncio.run(ask()) == "done"
        assert process.wait(60) == 0
        process.stderr.close()
