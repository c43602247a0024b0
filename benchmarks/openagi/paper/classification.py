"""Image Classification by ViT, trained on ImageNet-1k."""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("google/vit-base-patch16-224", "Apache-2.0", 346, "3f49326")


def _load(site: Site) -> Apply:
    import torch
    from transformers import ViTForImageClassification, ViTImageProcessorPil

    network = hub.model(ViTForImageClassification, MODEL, site)
    processor = hub.part(ViTImageProcessorPil, MODEL, site)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        inputs = hub.moved(processor(images=hub.images(rows), return_tensors="pt"), site)
        with torch.inference_mode():
            best = network(**inputs).logits.argmax(dim=-1).tolist()
        return [network.config.id2label[index] for index in best]

    return apply


EXPERT = Expert(
    module="Image Classification",
    description="ViT-base, one of the 1,000 ImageNet classes.",
    packages=hub.PACKAGES,
    load=_load,
    weights=(MODEL,),
    file=__file__,
)
