"""The openai SDK's client, spared what is the same for every call, or applies to none.

All calls of a model go to the same address with the same headers and options and differ in the body alone. What the SDK
and its HTTP client make anew of the rest for each call is made once here.
"""

import sys
from typing import Any

import openai

# What the SDK would tell of this machine and of its own retries. Nobody asks for it, and a header takes processor time.
_PLATFORM: dict[str, Any] = {
    f"X-Stainless-{name}": openai.Omit()
    for name in ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
}
_ATTEMPT: dict[str, Any] = {f"X-Stainless-{name}": openai.Omit() for name in ("Retry-Count", "Read-Timeout")}


class Client(openai.AsyncOpenAI):
    """Asks for chat completions, one attempt each, for as long as it takes."""

    def __init__(self, key: str | None, url: str, **options: Any) -> None:
        super().__init__(api_key=key or "none", **options)
        self._url = url
        # Without a key none is sent, not even the placeholder that the SDK insists on.
        headers = {**_ATTEMPT, **({} if key is not None else {"Authorization": openai.Omit()})}
        # What is given need not be worked out, or copied in depth: defaults as well.
        self._all: Any = {
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
        self._headers: dict[str, Any] | None = None
        self._known: dict[str, Any] = {}
        self._made: Any = None

    async def ask(self, body: dict[str, Any]) -> bytes:
        """What the server answers.

        Not `chat.completions.create`: its typed parameters and result take half of a call's processor time, refuse what
        only compatible servers know, and pass on a body that is not JSON as a plain string.

        Raises:
            OpenAIError: As the SDK does.
        """
        if self._made is None:
            return await self.post(self._url, cast_to=bytes, body=body, options=self._all)
        found: bytes = await self.request(bytes, self._made.model_copy(update={"json_data": body}))
        return found

    async def request(self, cast_to: Any, options: Any, **rest: Any) -> Any:
        """As the SDK's own."""
        if self._made is None:
            # As `post` has put it together, which takes longer than to copy it.
            self._made = options.model_copy(update={"json_data": None})
        return await super().request(cast_to, options, **rest)

    @property
    def default_headers(self) -> dict[str, Any]:
        """As the SDK's own, without those that are to be left out."""
        if self._headers is None:
            headers = super().default_headers
            self._headers = {name: value for name, value in headers.items() if not isinstance(value, openai.Omit)}
        return self._headers

    def _prepare_url(self, url: str) -> Any:
        known = self._known.get(url)
        if known is None:
            known = self._known[url] = super()._prepare_url(url)
        return known


def _is_known(client: Any) -> bool:
    """Whether the HTTP client has inside what is relied upon below: the SDK may come with another release of it."""
    if not all(hasattr(client, name) for name in ("_merge_url", "_transport")):
        return False
    read = type(client.build_request("GET", client.base_url)).__module__.partition(".")[0]
    return hasattr(sys.modules[read].Response(200, content=b""), "_content")


class _Http(openai.DefaultAioHttpClient):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: dict[str, Any] = {}
        self._direct = False
        if not _is_known(self):
            return
        self._direct = True
        for name in ("accept", "user-agent"):
            # The SDK's take their place at each call.
            del self.headers[name]
        transport: Any = _Whole(self._transport)
        self._transport = transport

    def build_request(self, method: str, url: Any, **rest: Any) -> Any:
        if not self._direct:
            return super().build_request(method, url, **rest)
        known = self._known.get(url)
        if known is None:
            known = self._known[url] = self._merge_url(url)
        return super().build_request(method, known, **rest)


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


def open_client(base_url: str, key: str | None, connections: int) -> Client:
    """A client of the server at `base_url`, for one event loop. Without a key none is sent."""
    # The class is that of the SDK's HTTP library, which is no dependency of ours.
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=30.0
    )
    return Client(
        key,
        f"{base_url}/chat/completions",
        base_url=base_url,
        max_retries=0,
        # `autoflow.models.retry.Timed` limits each attempt; a second clock for the same time is only work.
        timeout=None,
        default_headers=_PLATFORM,
        http_client=_Http(base_url=base_url, timeout=None, limits=limits),
    )
