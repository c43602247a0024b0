"""Opens a model from its `provider/model` string, with time limits, retries and adaptive concurrency around it."""

import random

from autoflow import plugins
from autoflow.core.model import Model
from autoflow.errors import UnknownNameError, UsageError
from autoflow.models.limit import Limited
from autoflow.models.options import Endpoint, ModelOptions
from autoflow.models.retry import Retrying, Timed

__all__ = ["Endpoint", "ModelOptions", "open_model"]

_EXAMPLE = "for example embedded/smollm2-135m, openai/gpt-5-mini"


def open_model(spec: str, options: ModelOptions | None = None) -> Model:
    """Open `provider/model`.

    A transient failure is asked again as `options` say, so whoever calls the result must not retry.

    Raises:
        UsageError: If `spec` is not of that form.
        UnknownNameError: If there is no such provider, endpoint or model.
        MissingDependencyError: If a package, key or weight file is absent.
    """
    options = options or ModelOptions()
    provider, slash, name = spec.partition("/")
    known = sorted({*plugins.names("models"), *options.endpoints})
    if not slash or not provider or not name:
        raise UsageError(
            f"a model is named provider/model, not {spec!r}; providers are: {', '.join(known)}", hint=_EXAMPLE
        )
    endpoint = options.endpoints.get(provider)
    if endpoint is not None:
        from autoflow.models.openai import open_server

        opened: Model = open_server(spec, name, endpoint, options)
    elif provider in known:
        opened = plugins.load("models", provider)(name, options)
    else:
        raise UnknownNameError(
            "model provider", provider, known, hint="name a server of your own under [endpoints] in autoflow.toml"
        )
    most = min(getattr(opened, "concurrency", None) or options.max_concurrency, options.max_concurrency)
    return Retrying(
        Limited(Timed(opened, options.timeout_s), most=most),
        retries=options.max_retries,
        max_wait_s=options.max_wait_s,
        rng=random.Random(options.seed),  # noqa: S311  (jitter, not a secret)
    )
