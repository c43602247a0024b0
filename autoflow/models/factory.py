"""Opens a model from its `provider/model` string, with time limits, retries and adaptive concurrency around it; says
what a call of it costs.
"""

import random
from collections.abc import Callable

from autoflow import plugins
from autoflow.config import Endpoint
from autoflow.core.model import Model, Usage
from autoflow.errors import UnknownNameError, UsageError
from autoflow.models.limit import Gate, Limited
from autoflow.models.options import ModelOptions
from autoflow.models.prices import Priced, cost, price
from autoflow.models.provider import Provider
from autoflow.models.retry import HERE_S, SERVER_S, Retrying, Timed

__all__ = ["Endpoint", "ModelOptions", "open_model", "price_of"]

_EXAMPLE = "for example embedded/smollm2-135m, openai/gpt-5-mini"


def open_model(
    spec: str, options: ModelOptions | None = None, *, gate: Callable[[str, int], Gate] | None = None
) -> Model:
    """Open `provider/model`.

    A transient failure is asked again as `options` say, so whoever calls the result must not retry.

    Args:
        gate: Given the model and the most calls that it is to have in flight, makes the gate to a server that other
            processes ask, too. A model that runs in this process has its own.

    Raises:
        UsageError: If `spec` is not of that form.
        UnknownNameError: If there is no such provider, endpoint or model.
        MissingDependencyError: If a package, key or weight file is absent.
    """
    options = options or ModelOptions()
    provider, name = _parts(spec, options)
    endpoint = options.endpoints.get(provider)
    if endpoint is not None:
        from autoflow.models.openai import open_server

        opened: Model = open_server(spec, name, endpoint, options)
    else:
        opened = plugins.load("models", provider)(name, options)
    own: int | None = getattr(opened, "concurrency", None)
    most = min(own or options.max_concurrency, options.max_concurrency)
    shared = gate(spec, most) if gate is not None and own is None else None
    limit_s = options.timeout_s or (SERVER_S if own is None else HERE_S)
    rates = options.prices.get(spec)
    priced = opened if rates is None else Priced(opened, rates)
    return Retrying(
        Limited(Timed(priced, limit_s), most=most, gate=shared),
        retries=options.max_retries,
        max_wait_s=options.max_wait_s,
        rng=random.Random(options.seed),  # noqa: S311  (jitter, not a secret)
    )


def price_of(spec: str, options: ModelOptions, usage: Usage) -> float | None:
    """US dollars of a call of `provider/model`, which need not be open: by the user's rates, else as its provider says;
    `None` where neither knows.

    Raises:
        UsageError, UnknownNameError: As `open_model`.
    """
    provider, name = _parts(spec, options)
    rates = options.prices.get(spec)
    if rates is not None:
        return cost(rates, usage)
    endpoint = options.endpoints.get(provider)
    if endpoint is not None:
        return price(name, endpoint.base_url, usage)
    plugin = plugins.load("models", provider)
    return plugin.price(name, options, usage) if isinstance(plugin, Provider) else None


def _parts(spec: str, options: ModelOptions) -> tuple[str, str]:
    provider, slash, name = spec.partition("/")
    known = sorted({*plugins.names("models"), *options.endpoints})
    if not slash or not provider or not name:
        raise UsageError(
            f"a model is named provider/model, not {spec!r}; providers are: {', '.join(known)}", hint=_EXAMPLE
        )
    if provider not in known:
        raise UnknownNameError(
            "model provider", provider, known, hint="name a server of your own under [endpoints] in autoflow.toml"
        )
    return provider, name
