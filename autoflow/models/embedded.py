"""`embedded/...`: a small model in this process through llama.cpp; no server, no account.

`embedded/smollm2-135m` is SmolLM2-135M-Instruct; `autoflow.models.embedded_names` says what else there is.

Calls under way share the processor in one batch. The prompt's beginning is read from a slot's cache where a former call
left it (`autoflow.models.slots`), so text that never changes belongs first.
"""

import asyncio
import http.client
import json
import math
import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from autoflow.core.json import Json
from autoflow.core.model import Feature, Request, Usage
from autoflow.errors import MissingDependencyError, ProviderError, ReplyError
from autoflow.models import embedded_names
from autoflow.models.chat import (
    Answer,
    ChatModel,
    Turn,
    draw_label,
    renormalised,
    result_of,
    sampling_arguments,
    turns_of,
)
from autoflow.models.options import ModelOptions
from autoflow.models.own_folder import OwnFolder
from autoflow.models.provider import Provider, free
from autoflow.models.slots import Slots

T = TypeVar("T")

FEATURES: frozenset[Feature] = frozenset({"schema", "labels", "grammar", "logprobs"})
DEFAULT_MAX_TOKENS = 512
DEFAULT_SLOTS = 8
DEFAULT_CONTEXT = 4096
MOST_SCORED_LABELS = 16
"""More labels than this are constrained by a grammar only, without log-probabilities: scoring costs a call each."""

_SPIN = "GOMP_SPINCOUNT"
_SPIN_COUNT = "300"


class Runtime:
    """One loaded weight file. Safe to call from any thread."""

    def __init__(self, path: Path, *, slots: int, context: int, threads: int) -> None:
        xllamacpp = _import()
        self.slots = slots
        self._slots = Slots(slots)
        self._key = secrets.token_hex(32)
        # The runtime insists on listening: on a socket in a folder of ours that nobody else may enter, with a key.
        self._folder = OwnFolder("autoflow-embedded-")
        self._tokens: dict[str, tuple[int, ...]] = {}
        self._closing = threading.Event()
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_parallel = slots
        parameters.n_ctx = slots * context
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        # Waiting threads sleep rather than spin: a neighbour on the same processor slows them down less.
        parameters.cpuparams.poll = 0
        parameters.cpuparams_batch.poll = 0
        parameters.n_gpu_layers = 0
        parameters.warmup = False
        parameters.cache_ram_mib = 0
        parameters.verbosity = -1
        parameters.hostnames = [str(self._folder.path / "s.sock")]
        parameters.api_keys = [self._key]
        parameters.n_threads_http = 1
        parameters.ui = False
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except RuntimeError as error:
            self._folder.close()
            raise ProviderError(
                f"llama.cpp cannot load {path}",
                transient=False,
                hint=f"{slots} slots of {context} tokens may not fit in memory; or the file is damaged: delete it",
            ) from error
        self.pool = ThreadPoolExecutor(4 * slots, thread_name_prefix="autoflow-embedded")

    def chat(self, body: Mapping[str, Any], stop: threading.Event) -> dict[str, Any]:
        """Answer `body`, an OpenAI chat request; ends early, with what there is by then, once `stop` is set.

        Raises:
            ReplyError: If the prompt does not fit in the context.
            ProviderError: If the runtime refuses the request.
        """
        prompt = _flat(body["messages"])
        with self._slots.slot(prompt, stop) as lease:
            if lease is None or self._closing.is_set():
                raise ProviderError("the embedded model was closed during the call", transient=False)
            answer = self._stream({**body, "id_slot": lease.index}, stop)
            lease.held = prompt + answer["text"]
        return answer

    def _stream(self, body: Mapping[str, Any], stop: threading.Event) -> dict[str, Any]:
        # Streamed only because the callback's result is the one way to end a generation early.
        pieces: list[str] = []
        answer: dict[str, Any] = {"usage": None, "finish_reason": None}

        def receive(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                answer["error"] = chunk["error"]
                return True
            for choice in chunk["choices"]:
                if text := choice["delta"].get("content"):
                    pieces.append(text)
                answer["finish_reason"] = choice.get("finish_reason") or answer["finish_reason"]
            answer["usage"] = chunk.get("usage") or answer["usage"]
            return stop.is_set() or self._closing.is_set()

        self._server.handle_chat_completions(
            {**body, "stream": True, "stream_options": {"include_usage": True}}, receive
        )
        _raise(answer.get("error"))
        answer["text"] = "".join(pieces)
        return answer

    def score(
        self, body: Mapping[str, Any], labels: Sequence[str], stop: threading.Event
    ) -> tuple[dict[str, float], dict[str, int]]:
        """Natural log-probability that the reply is exactly each label, and the usage.

        A label's probability is the product of those of its tokens, as the tokenizer splits it, and of the end of the
        turn after it, so that labels of any length, also ones that begin alike, compare. Under a grammar the runtime
        reports the distribution *before* the grammar's mask, which is what is needed here: the grammar only forces
        the label's tokens, one call a label, all on one slot, where the prompt is read once.
        """
        prompt = _flat(body["messages"])
        scores: dict[str, float] = {}
        total = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
        with self._slots.slot(prompt, stop) as lease:
            for label in labels:
                if lease is None or stop.is_set() or self._closing.is_set():
                    raise ProviderError("the embedded model was closed during the call", transient=False)
                tokens = self._tokenize(label)
                forced = {
                    "temperature": 0,
                    "max_tokens": len(tokens) + 1,
                    "grammar": "root ::= " + " ".join(f"<[{token}]>" for token in tokens),
                    "logprobs": True,
                    "top_logprobs": 1,
                    "id_slot": lease.index,
                }
                answer = self._server.handle_chat_completions({**body, **forced})
                _raise(answer.get("error"))
                parts = answer["choices"][0]["logprobs"]["content"]
                scores[label] = math.fsum(part["logprob"] for part in parts)
                usage = answer["usage"]
                if not total["prompt_tokens"]:
                    total["prompt_tokens"] = usage["prompt_tokens"]
                    total["cached_tokens"] = usage["prompt_tokens_details"]["cached_tokens"]
                total["completion_tokens"] += usage["completion_tokens"]
        return scores, total

    def _tokenize(self, text: str) -> tuple[int, ...]:
        known = self._tokens.get(text)
        if known is None:
            connection = _Connection(str(self._folder.path / "s.sock"))
            try:
                headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
                connection.request("POST", "/tokenize", json.dumps({"content": text}), headers)
                known = tuple(json.loads(connection.getresponse().read())["tokens"])
            finally:
                connection.close()
            self._tokens[text] = known
        return known

    async def run(self, work: Callable[[threading.Event], T]) -> T:
        """Run blocking `work` on a thread; its event is set when the caller is cancelled."""
        stop = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work, stop)
        finally:
            stop.set()

    def close(self) -> None:
        """End what is under way and free the memory. Blocks for a moment."""
        self._closing.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._server = None
        self._folder.close()


def _import() -> Any:
    # Between two layers the runtime's threads wait for each other by spinning, by default so long that one other busy
    # process on the machine makes it ten times slower. Read once, when the library is loaded; a user's own value stays.
    own = os.environ.get(_SPIN)
    os.environ[_SPIN] = own or _SPIN_COUNT
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingDependencyError(
            "the llama.cpp runtime (package xllamacpp) is not installed",
            hint="run: pip install 'autoflow[embedded]'",
        ) from error
    finally:
        if own is None:
            del os.environ[_SPIN]
    return xllamacpp


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _flat(messages: Sequence[Mapping[str, str]]) -> str:
    return "".join(f"{turn['role']}\n{turn['content']}\n" for turn in messages)


def _raise(error: Mapping[str, Any] | None) -> None:
    if error is None:
        return
    if error.get("type") == "exceed_context_size_error":
        # Not the provider's fault: a flow that lets its prompt grow without bound has failed.
        raise ReplyError(
            f"the prompt has {error['n_prompt_tokens']} tokens; the embedded model's context is {error['n_ctx']}",
            text="",
            hint="shorten what the step reads, or give the model a larger context",
        )
    raise ProviderError(f"embedded: {str(error.get('message'))[:300]}", transient=False, status=error.get("code"))


class EmbeddedChat(BaseChatModel):
    """A langchain-core chat model over a `Runtime`.

    Besides `stop`, calls take llama.cpp's own parameters (`temperature`, `max_tokens`, `seed`, `grammar`, ...) and
    `labels`, a list of texts of which the reply is then one.
    """

    _runtime: Runtime = PrivateAttr()

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime

    @property
    def _llm_type(self) -> str:
        return "autoflow-embedded"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of(self._answer(turns_of(messages), stop, kwargs, threading.Event()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of(await self.ask(turns_of(messages), stop=stop, **kwargs))

    async def ask(self, turns: list[Turn], *, stop: list[str] | None = None, **arguments: Any) -> Answer:
        """One call.

        Raises:
            ReplyError: If the prompt does not fit in the context.
            ProviderError: If the runtime refuses the request or is closed.
        """
        return await self._runtime.run(lambda cancel: self._answer(turns, stop, arguments, cancel))

    def _answer(
        self, turns: list[Turn], stop: list[str] | None, arguments: Mapping[str, Any], cancel: threading.Event
    ) -> Answer:
        body: dict[str, Any] = {"messages": turns, "max_tokens": DEFAULT_MAX_TOKENS, "cache_prompt": True, **arguments}
        labels: Sequence[str] = body.pop("labels", ())
        if stop:
            body["stop"] = stop
        if not labels or len(labels) > MOST_SCORED_LABELS:
            if labels:
                body["grammar"] = "root ::= " + " | ".join(json.dumps(label, ensure_ascii=False) for label in labels)
            answer = self._runtime.chat(body, cancel)
            counts = answer["usage"]
            if counts is None:
                raise ProviderError("the embedded model was stopped during the call", transient=False)
            cached = counts["prompt_tokens_details"]["cached_tokens"]
            usage = Usage(counts["prompt_tokens"], counts["completion_tokens"], cached)
            return Answer(answer["text"], usage, {"finish_reason": answer["finish_reason"], "label_logprobs": {}})
        scores, counts = self._runtime.score(body, labels, cancel)
        logprobs = renormalised(scores)
        chosen = draw_label(logprobs, body.get("temperature", 0.0), body.get("seed"))
        usage = Usage(counts["prompt_tokens"], counts["completion_tokens"], counts["cached_tokens"])
        return Answer(chosen, usage, {"finish_reason": "stop", "label_logprobs": logprobs})


def _arguments(request: Request) -> dict[str, Any]:
    arguments = sampling_arguments(request)
    if request.schema is not None:
        arguments["grammar"] = _schema_grammar(request.schema)
    elif request.labels:
        arguments["labels"] = list(request.labels)
    elif request.grammar is not None:
        arguments["grammar"] = request.grammar
    return arguments


def _schema_grammar(schema: Mapping[str, Json]) -> str:
    # Without free white space a reply takes half of the tokens. Lenient: a keyword that the engine cannot enforce is
    # skipped, not the whole schema; replies are validated against all of it afterwards.
    style = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}
    return "%llguidance {}\nstart: %json " + json.dumps({**schema, "x-guidance": style}, ensure_ascii=False)


def _free(usage: Usage) -> float:
    del usage
    return 0.0


_lock = threading.Lock()
_loaded: dict[tuple[Path, int, int, int], tuple[Runtime, int]] = {}


def _acquire(key: tuple[Path, int, int, int]) -> Runtime:
    with _lock:
        runtime, users = _loaded.get(key, (None, 0))
        if runtime is None:
            path, slots, context, threads = key
            runtime = Runtime(path, slots=slots, context=context, threads=threads)
        _loaded[key] = (runtime, users + 1)
        return runtime


def _release(key: tuple[Path, int, int, int]) -> None:
    with _lock:
        runtime, users = _loaded[key]
        if users > 1:
            _loaded[key] = (runtime, users - 1)
            return
        del _loaded[key]
        runtime.close()


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS
    return min(8, len(affinity(0)) if affinity is not None else os.cpu_count() or 1)


def _open(name: str, options: ModelOptions) -> ChatModel:
    path = embedded_names.ensure(name, options.progress, offline=options.offline)
    slots = options.slots or DEFAULT_SLOTS
    key = (path, slots, options.context_tokens or DEFAULT_CONTEXT, options.threads or _processors())
    runtime = _acquire(key)

    async def close() -> None:
        await asyncio.to_thread(_release, key)

    # More calls than slots are let in, so that a slot that becomes free can be given to the call that it fits best.
    chat = EmbeddedChat(runtime)
    return ChatModel(
        chat,
        f"embedded/{name}",
        FEATURES,
        arguments=_arguments,
        price=_free,
        close=close,
        concurrency=4 * slots,
        direct=chat.ask,
    )


PLUGIN = Provider(_open, free)
