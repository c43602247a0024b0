"""`openai/<name>`: OpenAI's chat models, and those of any compatible server, through the openai SDK.

Which server: `ModelOptions.base_url`, else the variable `OPENAI_BASE_URL`, else OpenAI's. Which key: the variable that
`ModelOptions.key_env` names, else `OPENAI_API_KEY`. Without a key, OpenAI's own server is refused at once, and any
other is asked without one. A named endpoint is sent the key of its own variable only.
"""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from autoflow.config import Endpoint
from autoflow.core.json import Json
from autoflow.core.model import Feature, Request, Usage
from autoflow.errors import MissingDependencyError, ProviderError, ReplyError, UsageError
from autoflow.models.chat import Answer, ChatModel, Turn, result_of, sampling_arguments, turns_of
from autoflow.models.openai_client import Client, open_client
from autoflow.models.options import ModelOptions
from autoflow.models.prices import price
from autoflow.models.provider import Provider
from autoflow.models.retry import SERVER_S

OPENAI_URL = "https://api.openai.com/v1"
KEY_ENV = "OPENAI_API_KEY"
FEATURES: frozenset[Feature] = frozenset({"schema", "labels"})

_OPTIONAL = ("temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs", "response_format")
"""What a call can do without where the model or the server refuses it."""

_REFUSALS = (openai.BadRequestError, openai.UnprocessableEntityError)
_REFUSED = re.compile(
    r"unsupported|not support|unrecognized|unknown|not permitted|unexpected|extra|unavailable", re.IGNORECASE
)

_STRICT = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "description",
        "title",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "pattern",
        "format",
        "minItems",
        "maxItems",
    }
)
"""JSON Schema keywords that OpenAI's strict mode takes."""


class Api:
    """One model of a server, asked through `openai.AsyncOpenAI`. It never retries; `ProviderError` says whether to.

    What the model or server refuses is left out from then on.
    """

    # Apart from the chat model, each look at whose private attributes takes pydantic a microsecond.

    def __init__(self, *, model: str, base_url: str, key: str | None, key_env: str | None, connections: int) -> None:
        self.model = model
        self.base_url = base_url
        self.key_env = key_env
        self.dropped: set[str] = set()
        """Parameters that were refused, and are no longer sent."""

        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tokens_renamed = False
        self._key = key
        self._connections = connections
        # The name that OpenAI's reasoning models insist on, and that many compatible servers do not know.
        self._tokens_parameter = "max_completion_tokens" if base_url == OPENAI_URL else "max_tokens"

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def ask(self, turns: list[Turn], *, stop: list[str] | None = None, **arguments: Any) -> Answer:
        """One call of the API, for as long as it takes: the caller limits it (`autoflow.models.retry.Timed`).

        Raises:
            ProviderError: If no answer could be had.
            ReplyError: If the prompt is too long for the model.
        """
        body: dict[str, Any] = {"model": self.model, "messages": turns, **arguments}
        if stop:
            body["stop"] = stop
        form = _Form.of(body.pop("schema", None), body.pop("labels", None))
        if form is not None:
            body["response_format"] = form.response_format
        limit = body.pop("max_tokens", None)
        dropped = self.dropped
        for _ in range(len(_OPTIONAL) + 2):  # each turn but the last teaches one thing
            sent = {key: value for key, value in body.items() if key not in dropped}
            if limit is not None:
                sent[self._tokens_parameter] = limit
            if form is not None and "response_format" in dropped:
                sent["messages"] = form.in_words(sent["messages"])
            try:
                answer = await self._post(sent)
            except _REFUSALS as error:
                if not self._learn(error, sent):
                    raise self._error(error) from error
                continue
            return _answer(answer, form, self.name)
        raise ProviderError(f"{self.name} refuses one parameter after another", transient=False, status=400)

    @property
    def name(self) -> str:
        """As errors call it."""
        return f"{self.model} at {self.base_url}"

    async def _post(self, body: dict[str, Any]) -> Any:
        try:
            raw = await self._open().ask(body)
        except _REFUSALS:
            raise
        except openai.OpenAIError as error:
            raise self._error(error) from error
        try:
            # UTF-8 whatever the headers say, as JSON is; the SDK would look the encoding up for each call.
            return json.loads(raw.decode(errors="replace"))
        except ValueError as error:
            raise ProviderError(
                f"{self.name} answered with something other than JSON ({len(raw)} bytes)",
                transient=True,
                hint="is this the address of an OpenAI-compatible API? it usually ends in /v1",
            ) from error

    def _open(self) -> Client:
        # Connections belong to the loop that they were made in; a notebook may run one loop after another.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            self._client = open_client(self.base_url, self._key, self._connections)
        return self._client

    def _learn(self, error: openai.APIStatusError, sent: Mapping[str, Any]) -> bool:
        """Take note of a parameter that the server does not take; whether to ask again without it."""
        details = error.body if isinstance(error.body, Mapping) else {}
        named = details.get("param")
        message = str(details.get("message") or error.message)
        if _REFUSED.search(message) is None:
            return False
        # Calls under way together learn the same thing: what another has noted meanwhile is no second refusal.
        for limit, other in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
            if limit in sent and _names(named, message, limit):
                if limit != self._tokens_parameter:
                    return True
                if self._tokens_renamed:
                    return False
                self._tokens_parameter, self._tokens_renamed = other, True
                return True
        for parameter in _OPTIONAL:
            if parameter in sent and _names(named, message, parameter):
                self.dropped.add(parameter)
                return True
        return False

    def _error(self, error: openai.OpenAIError) -> Exception:
        name = self.name
        if isinstance(error, openai.APIStatusError):
            return self._status(error)
        # The transport calls a refused connection a time-out; what the system said is at the end of the chain.
        cause = _system_error(error)
        if isinstance(error, openai.APITimeoutError) and cause is None:
            return ProviderError(f"{name} did not answer in time", transient=True)
        if isinstance(error, openai.APIConnectionError):
            why = cause or type(error.__cause__ or error).__name__
            return ProviderError(
                f"the connection to {name} failed ({why})", transient=True, hint="is the server running there?"
            )
        return ProviderError(f"{name}: {type(error).__name__}", transient=False)

    def _status(self, error: openai.APIStatusError) -> Exception:
        name, status = self.name, error.status_code
        details = error.body if isinstance(error.body, Mapping) else {}
        code = details.get("code") or details.get("type")
        said = self._clean(str(details.get("message") or ""))
        because = f": {said}" if said else ""
        if status in (401, 403):
            # What the server says of a key may quote the key.
            hint = f"check the key in the environment variable {self.key_env}" if self.key_env else None
            if self._key is None:
                hint = f"set the environment variable {self.key_env or KEY_ENV}; no key was sent"
            return ProviderError(f"{name} refuses the key (status {status})", transient=False, status=status, hint=hint)
        if code in ("context_length_exceeded", "exceed_context_size_error"):
            return ReplyError(
                f"the prompt is too long for {name}{because}", text="", hint="shorten what the step reads"
            )
        if status == 404:
            return ProviderError(
                f"{name} is not there (status 404){because}",
                transient=False,
                status=status,
                hint="check the model's name and the address of the server",
            )
        if code in ("insufficient_quota", "billing_hard_limit_reached"):
            return ProviderError(
                f"{name}: the account has no credit left",
                transient=False,
                status=status,
                hint="see the account's billing",
            )
        return ProviderError(
            f"{name} answered with status {status}{because}",
            transient=status in (408, 409, 425, 429) or status >= 500,
            status=status,
            retry_after_s=_retry_after(error.response.headers),
        )

    def _clean(self, text: str) -> str:
        text = text if self._key is None else text.replace(self._key, "[key]")
        return re.sub(r"\b(sk|Bearer)[-\s][\w*.\-]+", "[key]", " ".join(text.split()))[:300]


class OpenAIChat(BaseChatModel):
    """A langchain-core chat model over `Api`.

    Calls take the API's own parameters (`temperature`, `seed`, `logprobs`, ...), besides them `schema`, a JSON Schema
    that the reply must fit, and `labels`, texts of which it must be one. What a model refuses is left out from then on.
    """

    model: str
    base_url: str
    key_env: str | None = KEY_ENV
    """Named in errors."""

    _api: Api = PrivateAttr()
    _timeout_s: float = PrivateAttr()

    def __init__(
        self, *, model: str, base_url: str, key: str | None, key_env: str | None, timeout_s: float, connections: int
    ) -> None:
        super().__init__(model=model, base_url=base_url, key_env=key_env)  # type: ignore[call-arg]
        self._api = Api(model=model, base_url=base_url, key=key, key_env=key_env, connections=connections)
        self._timeout_s = timeout_s

    @property
    def _llm_type(self) -> str:
        return "autoflow-openai"

    @property
    def api(self) -> Api:
        """What is asked, and closed."""
        return self._api

    @property
    def dropped(self) -> frozenset[str]:
        """Parameters that the model or server has refused, and that are no longer sent."""
        return frozenset(self._api.dropped)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise UsageError("an OpenAI model is asked asynchronously", hint="call ainvoke, not invoke")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            async with asyncio.timeout(self._timeout_s):
                return result_of(await self._api.ask(turns_of(messages), stop=stop, **kwargs))
        except TimeoutError as error:
            raise ProviderError(f"{self._api.name} did not answer in {self._timeout_s:g} s", transient=True) from error


def _names(named: object, message: str, parameter: str) -> bool:
    if isinstance(named, str):
        return named.split(".")[0].split("[")[0] == parameter
    return re.search(rf"(?<![\w]){re.escape(parameter)}(?![\w])", message) is not None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for header, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(header, "")) * unit
        except ValueError:
            continue  # a date: rare, and not worth a clock
        if 0 <= seconds < 86_400:
            return seconds
    return None


class _Form:
    """A form that the reply must have, as a JSON object, which is all that the API constrains."""

    def __init__(self, schema: Mapping[str, Json], key: str | None, labels: bool) -> None:
        self._key = key
        self._labels = labels
        self._schema = schema
        self.response_format = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": schema, "strict": strict(schema)},
        }

    @staticmethod
    def of(schema: Mapping[str, Json] | None, labels: list[str] | None) -> "_Form | None":
        if labels:
            return _Form(_wrapped("label", {"type": "string", "enum": labels}), "label", labels=True)
        if schema is None:
            return None
        # A reference is resolved from the root, which wrapping would move.
        if schema.get("type") == "object" or '"$ref"' in json.dumps(schema):
            return _Form(schema, None, labels=False)
        return _Form(_wrapped("value", schema), "value", labels=False)

    def text(self, text: str) -> str:
        """What the caller asked for, out of the object; other text as it is, for the caller to judge."""
        if self._key is None:
            return text
        try:
            value = json.loads(text)[self._key]
        except (ValueError, KeyError, TypeError, RecursionError):
            return text
        return str(value) if self._labels else json.dumps(value, ensure_ascii=False)

    def in_words(self, turns: list[Turn]) -> list[Turn]:
        """The request for servers that cannot constrain."""
        rule = f"Answer with JSON alone that fits this JSON Schema:\n{json.dumps(self._schema, ensure_ascii=False)}"
        *earlier, last = turns
        return [*earlier, {**last, "content": f"{last['content']}\n\n{rule}"}]


def _wrapped(key: str, schema: Mapping[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


def strict(schema: Json) -> bool:
    """Whether OpenAI's strict mode takes the schema: closed objects, every property required, known keywords only."""
    if isinstance(schema, bool) or not isinstance(schema, Mapping):
        return False
    if not set(schema) <= _STRICT:
        return False
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or schema.get("additionalProperties") is not False:
            return False
        required = schema.get("required")
        if not isinstance(required, list | tuple) or set(required) != set(properties):
            return False
        if not all(strict(part) for part in properties.values()):
            return False
    if "items" in schema and not strict(schema["items"]):
        return False
    if schema.get("type") == "array" and "items" not in schema:
        return False
    options = schema.get("anyOf", ())
    if not isinstance(options, list | tuple) or not all(strict(part) for part in options):
        return False
    return bool({"type", "enum", "const", "anyOf"} & set(schema))


def _answer(answer: Any, form: _Form | None, name: str) -> Answer:
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = message.get("content") or message.get("refusal") or ""
        usage = _usage(answer.get("usage") or {})
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ProviderError(f"{name} answered without a choice", transient=True) from error
    if not isinstance(text, str):
        raise ProviderError(f"{name} answered with content that is no text", transient=True)
    extra: dict[str, Any] = {
        "finish_reason": "refusal" if message.get("refusal") else choice.get("finish_reason"),
        "model_name": answer.get("model"),
    }
    if choice.get("logprobs"):
        extra["logprobs"] = choice["logprobs"]
    return Answer(text if form is None else form.text(text), usage, extra)


def _usage(counts: Mapping[str, Any]) -> Usage:
    read, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if not isinstance(read, int) or not isinstance(written, int):
        return Usage()
    cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens")
    return Usage(read, written, cached if isinstance(cached, int) else None)


def _arguments(request: Request) -> dict[str, Any]:
    arguments = sampling_arguments(request)
    if request.schema is not None:
        arguments["schema"] = request.schema
    elif request.labels:
        arguments["labels"] = list(request.labels)
    elif request.grammar is not None:
        raise ProviderError("an OpenAI-compatible model takes no grammar", transient=False, hint="use a JSON Schema")
    return arguments


def open_server(spec: str, name: str, endpoint: Endpoint, options: ModelOptions) -> ChatModel:
    """The model `name` of a server, called `spec` in every record.

    Raises:
        MissingDependencyError: If the server needs a key and the environment has none.
        UsageError: If the address is none, or carries a name and password: a server is sent a key, and never both.
    """
    parts = urlsplit(endpoint.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{spec}: {endpoint.base_url} is no address of a server", hint="it begins with http:// or https://"
        )
    if parts.username is not None:
        raise UsageError(
            f"{spec}: the server's address carries a name or password, which no request can send beside a key",
            hint="leave it out of the address, and put the key into the environment",
        )
    key = os.environ.get(endpoint.api_key_env) or None if endpoint.api_key_env else None
    if key is None and (endpoint.base_url == OPENAI_URL or (endpoint.api_key_env and endpoint.api_key_env != KEY_ENV)):
        variable = endpoint.api_key_env or KEY_ENV
        raise MissingDependencyError(
            f"{spec} needs a key in the environment variable {variable}, which is not set",
            hint=f"run: export {variable}=...; or use a model without an account: embedded/smollm2-135m",
        )
    chat = OpenAIChat(
        model=name,
        base_url=endpoint.base_url,
        key=key,
        key_env=endpoint.api_key_env,
        timeout_s=options.timeout_s or SERVER_S,
        connections=options.max_concurrency,
    )

    def cost(usage: Usage) -> float | None:
        return price(name, endpoint.base_url, usage)

    return ChatModel(chat, spec, FEATURES, arguments=_arguments, price=cost, close=chat.aclose, direct=chat.api.ask)


def _system_error(error: BaseException) -> str | None:
    """What the operating system said, such as "Connection refused"; `None` where it said nothing."""
    found: str | None = None
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError) and cause.errno is not None:
            # A name that cannot be resolved has a number of another table.
            found = os.strerror(cause.errno) if cause.errno > 0 else cause.strerror
        cause = cause.__cause__ or cause.__context__
    return found


def _open(name: str, options: ModelOptions) -> ChatModel:
    endpoint = Endpoint(_base_url(options), options.key_env or KEY_ENV)
    return open_server(f"openai/{name}", name, endpoint, options)


def _base_url(options: ModelOptions) -> str:
    return (options.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")


def _price(name: str, options: ModelOptions, usage: Usage) -> float | None:
    return price(name, _base_url(options), usage)


PLUGIN = Provider(_open, _price)
