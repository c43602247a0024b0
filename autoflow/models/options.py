"""What a user may set about models; every provider is opened with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from autoflow.config import Endpoint, Rates
from autoflow.core.json import Json


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How models are opened."""

    base_url: str | None = None
    """OpenAI-compatible server that `openai/...` asks instead of OpenAI's own."""

    key_env: str | None = None
    """Environment variable that holds the key of `openai/...`; `None` is `OPENAI_API_KEY`, which may be unset where
    a `base_url` is given."""

    timeout_s: float | None = None
    """Limit of one attempt in seconds, where the request has none of its own; `None`: what suits the model
    (`autoflow.models.retry`)."""

    max_retries: int = 5
    """Attempts after the first, for transient errors only; 0 asks once."""

    max_wait_s: float = 300.0
    """How long after its first failure a call is still tried again, in seconds."""

    max_concurrency: int = 64
    """Most calls in flight at once; the number adapts below it (`autoflow.models.limit`)."""

    offline: bool = False
    """Nothing is downloaded; what is absent is an error."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """Named servers; a name here hides a provider of the same name."""

    prices: Mapping[str, Rates] = field(default_factory=dict)
    """`provider/model` -> what it costs, in the place of what the provider or the price table says."""

    context_tokens: int | None = None
    """Prompt and reply of one call of the embedded model together, in tokens; `None`: 4,096."""

    slots: int | None = None
    """Calls that the embedded model carries out at once; `None`: 8."""

    threads: int | None = None
    """CPU threads of the embedded model; `None`: as many as this process may use, at most 8."""

    arguments: Mapping[str, Json] = field(default_factory=dict)
    """Arguments of the constructor of a `langchain/...` model."""

    seed: int | None = None
    """Seeds the jitter between attempts; `None`: from the system."""

    progress: Callable[[str], None] | None = None
    """Told in one line what a long preparation, such as a download, is doing."""
