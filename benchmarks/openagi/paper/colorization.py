"""Colorization by the network of Zhang et al. 2017, at 256 x 256; its weights are the user's to download.

Corrected: the published code stretches each result to the full range of grey levels, which changes its contrast.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

SIDE = 256
"""Pixels at which colours are found; lightness keeps its own size."""

CHECKPOINT = Weights(
    "siggraph17-df00044c.pth",
    "BSD-2-Clause",
    137,
    source="colorizers.s3.us-east-2.amazonaws.com/siggraph17-df00044c.pth (github.com/richzhang/colorization)",
)


def _load(site: Site) -> Apply:
    import numpy as np
    import torch
    from PIL import Image
    from skimage.color import lab2rgb, rgb2lab

    from . import siggraph17

    found = siggraph17.load(hub.file(CHECKPOINT, site))
    network = found.to(site.device, getattr(torch, site.dtype))

    def coloured(picture: Any) -> Any:
        height, width = picture.shape[:2]
        small = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        lightness = torch.from_numpy(rgb2lab(small)[None, None, ..., 0]).to(site.device, getattr(torch, site.dtype))
        with torch.inference_mode():
            colours = network(lightness).float().cpu()
        if (height, width) != (SIDE, SIDE):
            colours = torch.nn.functional.interpolate(colours, size=(height, width), mode="bilinear")
        lab = np.concatenate([rgb2lab(picture)[..., :1], colours[0].numpy().transpose(1, 2, 0)], axis=-1)
        return (lab2rgb(lab).clip(0, 1) * 255.0).round().astype(np.uint8)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [coloured(picture) for (picture,) in rows]

    return apply


EXPERT = Expert(
    module="Colorization",
    description="The network siggraph17, without hints.",
    packages={"torch": "torch", "PIL": "pillow", "skimage": "scikit-image"},
    load=_load,
    weights=(CHECKPOINT,),
    file=__file__,
)
