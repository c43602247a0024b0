"""`Model` on top of any langchain-core chat model, so that LangChain's callbacks and tracing see every call."""

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.globals import get_debug
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers import context
from langchain_core.utils.env import env_var_is_set

from autoflow.core.model import Feature, Message, Reply, Request, Usage

_FINISH: Mapping[str, Literal["stop", "length", "filter"]] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "STOP": "stop",
    "content_filter": "filter",
    "refusal": "filter",
    "SAFETY": "filter",
}
_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


Turn = dict[str, str]
"""A message as OpenAI's API has it: `role` (system, user or assistant) and `content`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider of ours got, from which LangChain's message is made."""

    text: str
    usage: Usage
    metadata: Mapping[str, Any]
    """LangChain's `response_metadata`; we read `finish_reason` and `label_logprobs`."""


class ChatModel:
    """Answers requests through `chat.ainvoke`, or by `direct` while nobody watches."""

    def __init__(
        self,
        chat: BaseChatModel,
        name: str,
        features: frozenset[Feature] = frozenset(),
        *,
        arguments: Callable[[Request], dict[str, Any]],
        price: Callable[[Usage], float | None] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
        config: RunnableConfig | None = None,
        concurrency: int | None = None,
        direct: Callable[..., Awaitable[Answer]] | None = None,
    ) -> None:
        """
        Args:
            arguments: What `chat` is called with besides the messages, for a request.
            price: Cost in US dollars of one call; `None`, or a result of `None`, is an unknown price.
            close: Releases what `chat` holds; called at most once.
            config: LangChain configuration of every call: callbacks, tags, metadata.
            concurrency: Most calls that it makes sense to have under way; `None`: the server decides.
            direct: Does what `chat` does, from turns and arguments. Taken where no callback or tracer would see the
                call: LangChain's own machinery is a quarter of the CPU time that a call takes.
        """
        self._chat = chat
        self._name = name
        self._features = features
        self._arguments = arguments
        self._price = price
        self._close = close
        self._config = config
        self._direct = direct
        self.concurrency = concurrency

    @property
    def name(self) -> str:
        return self._name

    @property
    def features(self) -> frozenset[Feature]:
        return self._features

    @property
    def chat(self) -> BaseChatModel:
        """The model underneath, for use in LangChain itself."""
        return self._chat

    async def complete(self, request: Request) -> Reply:
        started = time.perf_counter()
        if self._direct is not None and not self._watched():
            turns = [{"role": message.role, "content": message.text} for message in request.messages]
            answer = await self._direct(turns, **self._arguments(request))
        else:
            message = await self._chat.ainvoke(
                [_turn(message) for message in request.messages], self._config, **self._arguments(request)
            )
            answer = Answer(text_of(message), usage_of(message), message.response_metadata)
        seconds = time.perf_counter() - started
        usage = answer.usage
        if self._price is not None:
            usage = Usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens, self._price(usage))
        return Reply(
            text=answer.text,
            model=self._name,
            usage=usage,
            seconds=seconds,
            finish=_finish(answer.metadata),
            label_logprobs=answer.metadata.get("label_logprobs") or {},
        )

    def _watched(self) -> bool:
        """Whether a callback or tracer is to see the next call: configured here, around the caller, or globally."""
        if self._config is not None and self._config.get("callbacks"):
            return True
        # Not LangChain's `ensure_config`, which copies all that the caller inherits.
        around = (var_child_runnable_config.get() or {}).get("callbacks")
        if around is not None and (around if isinstance(around, list) else around.handlers):
            return True
        return _watched_globally()

    async def aclose(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            await close()


def _watched_globally() -> bool:
    # What LangChain asks for each manager that it makes, without making one, which takes longer than all else here.
    hooks, tracing = (getattr(context, name, None) for name in ("_configure_hooks", "_tracing_v2_is_enabled"))
    if hooks is None or tracing is None:
        return bool(AsyncCallbackManager.configure().handlers)
    return (
        get_debug()
        or tracing() is not False
        or any(
            handler.get() is not None or (variable is not None and made is not None and env_var_is_set(variable))
            for handler, _, made, variable in hooks
        )
    )


def draw_seed(seed: int, sample: int) -> int:
    """The seed of one of several independent draws; the first has `seed` itself."""
    return (seed + 0x9E3779B1 * sample) % 2**32


def sampling_arguments(request: Request) -> dict[str, Any]:
    """How the request is to be sampled, by the names that OpenAI's API has for it."""
    sampling = request.sampling
    arguments: dict[str, Any] = {"temperature": sampling.temperature}
    if sampling.top_p is not None:
        arguments["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        arguments["max_tokens"] = sampling.max_tokens
    if sampling.seed is not None:
        arguments["seed"] = draw_seed(sampling.seed, request.sample)
    if sampling.stop:
        arguments["stop"] = list(sampling.stop)
    return arguments


def renormalised(scores: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities over the labels alone, of their log-probabilities among all texts."""
    top = max(scores.values())
    total = top + math.log(math.fsum(math.exp(score - top) for score in scores.values()))
    return {label: score - total for label, score in scores.items()}


def draw_label(logprobs: Mapping[str, float], temperature: float, seed: int | None) -> str:
    """The likeliest label, the first among equals; above temperature 0 one that is drawn."""
    if temperature <= 0:
        return max(logprobs, key=lambda label: logprobs[label])
    top = max(logprobs.values())
    weights = [math.exp((score - top) / temperature) for score in logprobs.values()]
    return random.Random(seed).choices(list(logprobs), weights)[0]  # noqa: S311  (a draw, not a secret)


def turns_of(messages: Sequence[BaseMessage]) -> list[Turn]:
    """LangChain's messages as turns; a kind that the API does not have is the user's."""
    return [{"role": _ROLES.get(message.type, "user"), "content": text_of(message)} for message in messages]


def result_of(answer: Answer) -> ChatResult:
    """The answer as LangChain has it."""
    usage = answer.usage
    counts: Any = None
    if usage.input_tokens is not None and usage.output_tokens is not None:
        counts = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        }
        if usage.cached_tokens is not None:
            counts["input_token_details"] = {"cache_read": usage.cached_tokens}
    message = AIMessage(answer.text, usage_metadata=counts, response_metadata=dict(answer.metadata))
    return ChatResult(generations=[ChatGeneration(message=message)])


def _turn(message: Message) -> BaseMessage:
    if message.role == "user":
        return HumanMessage(message.text)
    return SystemMessage(message.text) if message.role == "system" else AIMessage(message.text)


def text_of(answer: BaseMessage) -> str:
    """The text of a message, whether its content is a string or blocks; reasoning and tool blocks are left out."""
    content: str | Sequence[Any] = answer.content
    if isinstance(content, str):
        return content
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, Mapping) and isinstance(block.get("text"), str):
            parts.append(block["text"])
    return "".join(parts)


def usage_of(answer: AIMessage) -> Usage:
    """The token counts that the provider reported; `None` for what it did not."""
    counts = answer.usage_metadata
    if counts is None:
        return Usage()
    cached = (counts.get("input_token_details") or {}).get("cache_read")
    return Usage(counts["input_tokens"], counts["output_tokens"], cached)


def _finish(extra: Mapping[str, Any]) -> Literal["stop", "length", "filter", "unknown"]:
    said = extra.get("finish_reason") or extra.get("stop_reason")
    return _FINISH.get(said, "unknown") if isinstance(said, str) else "unknown"
