"""Image Captioning by ViT and GPT-2: four beams, at most 40 tokens.

Corrected: one release of the published code uses generation arguments that it never defines.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("nlpconnect/vit-gpt2-image-captioning", "Apache-2.0", 982, "dc68f91")
BEAMS, LONGEST = 4, 40


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoTokenizer, VisionEncoderDecoderModel, ViTImageProcessorPil

    network = hub.model(VisionEncoderDecoderModel, MODEL, site)
    processor, tokenizer = hub.part(ViTImageProcessorPil, MODEL, site), hub.part(AutoTokenizer, MODEL, site)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        inputs = hub.moved(processor(images=hub.images(rows), return_tensors="pt"), site)
        with torch.inference_mode():
            made = network.generate(inputs["pixel_values"], max_length=LONGEST, num_beams=BEAMS)
        return [text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True)]

    return apply


EXPERT = Expert(
    module="Image Captioning",
    description="ViT and GPT-2, four beams.",
    packages=hub.PACKAGES,
    load=_load,
    settings={"beams": BEAMS, "longest": LONGEST},
    weights=(MODEL,),
    file=__file__,
)
