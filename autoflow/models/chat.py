"""`Model` on top of any langchain-core chat model, so that LangChain's callbacks and tracing see every call."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig

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


class ChatModel:
    """Answers requests through `chat.ainvoke`."""

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
    ) -> None:
        """
        Args:
            arguments: What `chat` is called with besides the messages, for a request.
            price: Cost in US dollars of one call; `None`, or a result of `None`, is an unknown price.
            close: Releases what `chat` holds; called at most once.
            config: LangChain configuration of every call: callbacks, tags, metadata.
            concurrency: Most calls that it makes sense to have under way; `None`: the server decides.
        """
        self._chat = chat
        self._name = name
        self._features = features
        self._arguments = arguments
        self._price = price
        self._close = close
        self._config = config
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
        answer = await self._chat.ainvoke(
            [_turn(message) for message in request.messages], self._config, **self._arguments(request)
        )
        seconds = time.perf_counter() - started
        extra = answer.response_metadata
        usage = usage_of(answer)
        if self._price is not None:
            usage = Usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens, self._price(usage))
        return Reply(
            text=text_of(answer),
            model=self._name,
            usage=usage,
            seconds=seconds,
            finish=_finish(extra),
            label_logprobs=extra.get("label_logprobs") or {},
        )

    async def aclose(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            await close()


def draw_seed(seed: int, sample: int) -> int:
    """The seed of one of several independent draws; the first has `seed` itself."""
    return (seed + 0x9E3779B1 * sample) % 2**32


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
