"""Image Deblurring by Restormer, a picture at a time; its weights are non-commercial, the user's to download.

Corrected: the published code reads a picture (3, height, width) as (height, width, 3) without moving the axes, which
scrambles its pixels before and after the network.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

CHECKPOINT = Weights(
    "single_image_defocus_deblurring.pth",
    "non-commercial (Restormer's ACADEMIC PUBLIC LICENSE)",
    100,
    source="single_image_defocus_deblurring.pth from the releases of github.com/swz30/Restormer",
)


def _load(site: Site) -> Apply:
    import torch

    from . import restormer

    found = restormer.load(hub.file(CHECKPOINT, site), norm_bias=True)
    network = found.to(site.device, getattr(torch, site.dtype))

    def restored(picture: Any) -> Any:
        return hub.to_bytes(restormer.restore(network, hub.to_tensor([picture], site))[0])

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        # Not batched: attention over a batch of pictures takes more memory than the models were meant for.
        return [restored(picture) for (picture,) in rows]

    return apply


EXPERT = Expert(
    module="Image Deblurring",
    description="Restormer, trained on defocus blur.",
    packages={"torch": "torch"},
    load=_load,
    weights=(CHECKPOINT,),
    file=__file__,
)
