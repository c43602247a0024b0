"""What a call costs, from the public price table of genai-prices. A model that is not in it has no known price."""

from functools import lru_cache
from typing import Any

from autoflow.core.model import Usage


def price(model: str, base_url: str, usage: Usage) -> float | None:
    """Cost in US dollars of one call of `model` at the provider behind `base_url`; `None` where it is not known."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    known = _known(model, base_url)
    if known is None:
        return None
    rates, calculate = known
    if rates is None:
        return float(calculate(usage))
    fresh, cached, output = rates
    read = min(usage.cached_tokens or 0, usage.input_tokens)
    return ((usage.input_tokens - read) * fresh + read * cached + usage.output_tokens * output) / 1e6


@lru_cache(maxsize=256)
def _known(model: str, base_url: str) -> tuple[tuple[float, float, float] | None, Any] | None:
    """Dollars per million tokens where the price is that simple, and the full calculation for all others."""
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
    return (float(fresh), float(fresh if cached is None else cached), float(output or 0)), calculate
