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

# What the SDK would tell of this machine and of its own retries. Nobody asks for it, and a header takes processor time.
_PLATFORM: dict[str, Any] = {
    f"X-Stainless-{name}": openai.Omit()
    for name in ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
}
_ATTEMPT: dict[str, Any] = {f"X-Stainless-{name}": openai.Omit() for name in ("Retry-Count", "Read-Timeout")}

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


# Every call goes to the same address with the same headers. Both the SDK and its HTTP client take the one apart and put
# the others together each time, which is a thirtieth of a call's CPU time.


class _Http(openai.DefaultAioHttpClient):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: dict[str, Any] = {}
        for name in ("accept", "user-agent"):
            # The SDK's take their place at each call.
            del self.headers[name]
        transport: Any = _Whole(self._transport)
        self._transport = transport

    def build_request(self, method: str, url: Any, **rest: Any) -> Any:
        known = self._known.get(url)
        if known is None:
            known = self._known[url] = self._merge_url(url)
        return super().build_request(method, known, **rest)

    async def send(self, request: Any, **options: Any) -> Any:
        if self.is_closed or options != {"stream": False}:
            return await super().send(request, **options)
        # What else the client does applies where a user logs in or the server sends elsewhere, and takes as long as the
        # sending itself. Through a proxy of the environment, as there.
        found = await self._transport_for_url(request.url).handle_async_request(request)
        if found.has_redirect_location:
            return await super().send(request, **options)
        found.request = request
        if "set-cookie" in found.headers:
            self.cookies.extract_cookies(found)
        await found.aread()
        return found


class _Whole:
    """The SDK's transport, whose responses are read before they are handed on.

    The HTTP client would else pass the one piece that a reply is through five generators, one in another, which is a
    tenth of what a call takes in the SDK.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.aclose = inner.aclose

    async def handle_async_request(self, request: Any) -> Any:
        found = await self._inner.handle_async_request(request)
        try:
            body = b"".join([part async for part in found.stream])
        finally:
            await found.stream.aclose()
        if "content-encoding" in found.headers:
            return type(found)(found.status_code, headers=found.headers, content=body, extensions=found.extensions)
        # As a response that is made of its content has it.
        found._content = body
        found.is_closed = found.is_stream_consumed = True
        return found


class _Client(openai.AsyncOpenAI):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: dict[str, Any] = {}
        self._headers: dict[str, Any] | None = None
        self._first: Any = None

    @property
    def default_headers(self) -> dict[str, Any]:
        if self._headers is None:
            headers = super().default_headers
            self._headers = {name: value for name, value in headers.items() if not isinstance(value, openai.Omit)}
        return self._headers

    async def ask(self, url: str, body: Any, options: Any) -> Any:
        """`post`, all of whose calls differ in the body alone."""
        if self._first is None:
            return await self.post(url, cast_to=bytes, body=body, options=options)
        return await self.request(bytes, self._first.model_copy(update={"json_data": body}))

    async def request(self, cast_to: Any, options: Any, **rest: Any) -> Any:
        # As `post` has put it together, which takes longer than to copy it.
        self._first = self._first or options
        return await super().request(cast_to, options, **rest)

    def _prepare_url(self, url: str) -> Any:
        known = self._known.get(url)
        if known is None:
            known = self._known[url] = super()._prepare_url(url)
        return known


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

        self._client: _Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._url = f"{base_url}/chat/completions"
        self._tokens_renamed = False
        self._key = key
        # Without a key none is sent, not even the placeholder that the SDK insists on.
        headers = {**_ATTEMPT, **({} if key is not None else {"Authorization": openai.Omit()})}
        # What is given need not be worked out, or copied in depth, for each call: defaults as well.
        self._options: Any = {
            "headers": headers,
            "params": {},
            "security": {"bearer_auth": True},
            "max_retries": 0,
            "timeout": None,
            "idempotency_key": "",
            "post_parser": openai.NOT_GIVEN,
            "follow_redirects": None,
            "synthesize_event_and_data": None,
            "stream_mode": "legacy",
            "extra_json": None,
        }
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
            # Not `chat.completions.create`: its typed parameters and result take half of a call's CPU time, refuse what
            # only compatible servers know, and pass on a body that is not JSON as a plain string.
            raw: bytes = await self._open().ask(self._url, body, self._options)
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

    def _open(self) -> _Client:
        # Connections belong to the loop that they were made in; a notebook may run one loop after another.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            self._client = _Client(
                api_key=self._key or "none",
                base_url=self.base_url,
                max_retries=0,
                # `Timed` limits each attempt; a second clock for the same time is only work.
                timeout=None,
                default_headers=_PLATFORM,
                http_client=_Http(base_url=self.base_url, timeout=None, limits=_limits(self._connections)),
            )
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


def _limits(connections: int) -> Any:
    # The class is that of the SDK's HTTP library, which is no dependency of ours.
    return type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=30.0
    )


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
