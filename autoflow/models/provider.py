"""A provider that says what its models cost. One that is a mere function opens models of unknown price."""

from collections.abc import Callable
from dataclasses import dataclass

from autoflow.core.model import Model, Usage
from autoflow.models.options import ModelOptions


def free(name: str, options: ModelOptions, usage: Usage) -> float:
    """The price of a model that runs in this process or answers from a record."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Provider:
    """Opens models by their name, without the provider's own."""

    open: Callable[[str, ModelOptions], Model]
    price: Callable[[str, ModelOptions, Usage], float | None]
    """US dollars of a call of such a model, whether it is open or not; `None`: not known."""

    def __call__(self, name: str, options: ModelOptions) -> Model:
        """Open a model."""
        return self.open(name, options)
