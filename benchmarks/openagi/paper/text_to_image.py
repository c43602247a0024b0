"""Text to Image Generation by Stable Diffusion 1.4, brought to 256 x 256, without the safety checker, as published.

Corrected: the published draws have no seed; here a text has its own, so that equal texts give equal pictures.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights(
    "CompVis/stable-diffusion-v1-4",
    "CreativeML OpenRAIL-M",
    4270,
    "133a221b8aa7292a167afc5127cb63fb5005638b",
    main_file="model_index.json",
)
SIDE = 256
STEPS = 50


def seed(text: str) -> int:
    """Of the noise that a text's picture starts from."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], "big")


def _load(site: Site) -> Apply:
    import numpy as np
    import torch
    from diffusers import StableDiffusionPipeline
    from PIL import Image

    pipeline = StableDiffusionPipeline.from_pretrained(
        str(hub.folder(MODEL, site)),
        local_files_only=True,
        torch_dtype=getattr(torch, site.dtype),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(site.device)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.enable_attention_slicing()

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        texts = [text for (text,) in rows]
        # On the processor whatever the device: the same noise everywhere.
        noise = [torch.Generator("cpu").manual_seed(seed(text)) for text in texts]
        made = pipeline(texts, num_inference_steps=STEPS, generator=noise).images
        return [np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in made]

    return apply


EXPERT = Expert(
    module="Text to Image Generation",
    description="Stable Diffusion 1.4.",
    packages={**hub.PACKAGES, "diffusers": "diffusers"},
    load=_load,
    settings={"steps": STEPS},
    weights=(MODEL,),
    file=__file__,
)
