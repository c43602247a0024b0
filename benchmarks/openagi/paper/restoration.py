"""How Restormer becomes an expert model: one picture in, the restored one out.

Corrected: the published code reads a picture (3, height, width) as (height, width, 3) without moving the axes, which
scrambles its pixels before and after the network.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..expert import Apply, Site, Weights
from . import hub


def checkpoint(name: str) -> Weights:
    """A file of Restormer's releases; its weights are non-commercial, the user's to download."""
    return Weights(
        name,
        "non-commercial (Restormer's ACADEMIC PUBLIC LICENSE)",
        100,
        source=f"{name} from the releases of github.com/swz30/Restormer",
    )


def loading(weights: Weights, *, norm_bias: bool) -> Callable[[Site], Apply]:
    """What loads the network; `norm_bias` says which of its two layer norms the checkpoint was trained with."""

    def load(site: Site) -> Apply:
        import torch

        from . import restormer

        found = restormer.load(hub.file(weights, site), norm_bias=norm_bias)
        network = found.to(site.device, getattr(torch, site.dtype))

        def restored(picture: Any) -> Any:
            return hub.to_bytes(restormer.restore(network, hub.to_tensor([picture], site))[0])

        def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
            # Not batched: attention over a batch of pictures takes more memory than the models were meant for.
            return [restored(picture) for (picture,) in rows]

        return apply

    return load
