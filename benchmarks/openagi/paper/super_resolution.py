"""Image Super Resolution by Swin2SR, twice the size.

Corrected: the border by which the network pads its input is cut off.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("caidas/swin2SR-classical-sr-x2-64", "Apache-2.0", 50, "cee1c92")


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoImageProcessor, Swin2SRForImageSuperResolution

    network = hub.model(Swin2SRForImageSuperResolution, MODEL, site)
    processor = hub.part(AutoImageProcessor, MODEL, site)
    scale = network.config.upscale

    def doubled(pictures: list[Any]) -> list[Any]:
        height, width = pictures[0].shape[:2]
        inputs = hub.moved(processor(list(pictures), return_tensors="pt"), site)
        with torch.inference_mode():
            made = network(**inputs).reconstruction
        return [hub.to_bytes(picture[:, : height * scale, : width * scale]) for picture in made]

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return hub.by_shape([picture for (picture,) in rows], doubled)

    return apply


EXPERT = Expert(
    module="Image Super Resolution",
    description="Swin2SR (classical, x2).",
    packages=hub.PACKAGES,
    load=_load,
    weights=(MODEL,),
    file=__file__,
)
