"""What a language model is asked and what it answers, whatever the provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from autoflow.core.json import Json, digest

Role = Literal["system", "user", "assistant"]

Feature = Literal["schema", "labels", "grammar", "logprobs"]
"""What a provider enforces while it samples: a JSON Schema, one of given labels, a GBNF grammar; and whether
it reports log-probabilities of the labels."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is drawn. `None` leaves a setting to the provider."""

    temperature: float = 0.0
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call. At most one of `schema`, `labels` and `grammar` is set."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    schema: Mapping[str, Json] | None = None
    """The reply is JSON that fits this schema, where the provider has the feature."""

    labels: tuple[str, ...] = ()
    """The reply is exactly one of these, where the provider has the feature."""

    grammar: str | None = None
    """The reply is a sentence of this grammar, GBNF or, from `%llguidance` on, Lark; for providers with the feature."""

    sample: int = 0
    """Which independent draw this is. Equal requests with equal `sample` share one recorded reply."""

    purpose: str = ""
    """What the call is for ("step", "retrieve", "draft", ...); accounting only, not part of `key`."""

    timeout_s: float | None = None
    """Limit of this call in seconds; not part of `key`."""

    def key(self, model: str) -> str:
        """Identity of the call in the reply cache: model, parameters, messages, sample index."""
        global _last_key  # noqa: PLW0603  see there
        request, name, key = _last_key
        if request is not self or name != model:
            key = self._digest(model)
            _last_key = (self, model, key)
        return key

    def _digest(self, model: str) -> str:
        sampling = self.sampling
        return digest(
            {
                "model": model,
                "messages": [[message.role, message.text] for message in self.messages],
                "sampling": [
                    sampling.temperature,
                    sampling.top_p,
                    sampling.max_tokens,
                    sampling.seed,
                    list(sampling.stop),
                ],
                # As pairs, not sorted: providers generate keys in the order that the schema states them.
                "schema": None if self.schema is None else _ordered(self.schema),
                "labels": list(self.labels),
                "grammar": self.grammar,
                "sample": self.sample,
            }
        )


_last_key: tuple[Request | None, str, str] = (None, "", "")
# The trace and the record ask for a call's key one after the other, and a long prompt takes long to hash.


def _ordered(value: Json) -> object:
    if isinstance(value, Mapping):
        return ["object", [[key, _ordered(item)] for key, item in value.items()]]
    if isinstance(value, list | tuple):
        return ["array", [_ordered(item) for item in value]]
    return value


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call took. `None`: the provider did not say, or no price is known."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Part of `input_tokens` that the provider read from its prefix cache."""

    cost_usd: float | None = None
    """In US dollars; 0 for a model that runs in this process, `None` for an unknown price."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answered. `text` is data: never rendered as a template, never evaluated."""

    text: str
    model: str
    """The model that answered, as `provider/name`."""

    usage: Usage = Usage()
    seconds: float = 0.0
    """Wall-clock time of the call; of the original call where `cached`."""

    finish: Literal["stop", "length", "filter", "unknown"] = "unknown"
    cached: bool = False
    """Taken from a record, nothing was paid."""

    label_logprobs: Mapping[str, float] = field(default_factory=dict)
    """Natural log-probability of each label, renormalised over the labels; empty without the feature."""


class Model(Protocol):
    """Something that answers requests: a provider, or a layer around one (cache, budget, recorder)."""

    @property
    def name(self) -> str:
        """`provider/model`, as the user wrote it."""
        ...

    @property
    def features(self) -> frozenset[Feature]:
        """What the provider enforces while sampling."""
        ...

    async def complete(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            ProviderError: If no answer could be had. Providers do not retry: the caller owns that.
            BudgetExhaustedError: From a budget layer, before the call.
        """
        ...

    async def aclose(self) -> None:
        """Release connections and memory. Safe to call twice."""
        ...
