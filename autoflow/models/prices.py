"""What a call costs: as the user says, else from the public price table of genai-prices. A model that is in neither has
no known price.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from autoflow.config import Rates
from autoflow.core.model import Feature, Model, Reply, Request, Usage


def price(model: str, base_url: str, usage: Usage) -> float | None:
    """Cost in US dollars of one call of `model` at the provider behind `base_url`; `None` where it is not known."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    known = _known(model, base_url)
    if known is None:
        return None
    rates, calculate = known
    return float(calculate(usage)) if rates is None else cost(rates, usage)


def cost(rates: Rates, usage: Usage) -> float | None:
    """Cost in US dollars of one call; `None` where its tokens are not known."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    read = min(usage.cached_tokens or 0, usage.input_tokens)
    cached = rates.input if rates.cached is None else rates.cached
    return ((usage.input_tokens - read) * rates.input + read * cached + usage.output_tokens * rates.output) / 1e6


class Priced:
    """A model at the user's own rates, whatever its provider says."""

    def __init__(self, model: Model, rates: Rates) -> None:
        self._model = model
        self._rates = rates

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        reply = await self._model.complete(request)
        return replace(reply, usage=replace(reply.usage, cost_usd=cost(self._rates, reply.usage)))

    async def aclose(self) -> None:
        await self._model.aclose()


@lru_cache(maxsize=256)
def _known(model: str, base_url: str) -> tuple[Rates | None, Any] | None:
    """Rates where the price is that simple, and the full calculation for all others."""
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    def calculate(usage: Usage) -> Any:
        counts = Counts(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens or 0,
        )
        return calc_price(counts, model, provider_api_url=base_url).total_price

    try:
        found = calc_price(Counts(input_tokens=1, output_tokens=1), model, provider_api_url=base_url)
    except LookupError:
        return None
    rates = found.model_price
    parts: tuple[Any, Any, Any] = (rates.input_mtok, rates.cache_read_mtok, rates.output_mtok)
    # The table's own calculation takes 0.15 ms, a good part of a call's CPU time; it is needed only where the price
    # depends on the size or the time of the call.
    if isinstance(found.model.prices, list) or any(hasattr(part, "tiers") for part in parts) or parts[0] is None:
        return None, calculate
    fresh, cached, output = parts
    return Rates(float(fresh), float(output or 0), None if cached is None else float(cached)), calculate
