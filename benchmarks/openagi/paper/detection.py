"""Object Detection by DETR: the names of what is found with a probability above 0.9, joined by commas."""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

# The branch has the same weights as the main one, without the package timm, which needs torchvision.
MODEL = Weights("facebook/detr-resnet-101", "Apache-2.0", 243, "no_timm")
THRESHOLD = 0.9


def _load(site: Site) -> Apply:
    import torch
    from transformers import DetrForObjectDetection, DetrImageProcessorPil

    network = hub.model(DetrForObjectDetection, MODEL, site)
    processor = hub.part(DetrImageProcessorPil, MODEL, site)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        inputs = hub.moved(processor(images=hub.images(rows), return_tensors="pt"), site)
        with torch.inference_mode():
            found = network(**inputs)
        results = processor.post_process_object_detection(found, threshold=THRESHOLD)
        return [", ".join(network.config.id2label[label] for label in item["labels"].tolist()) for item in results]

    return apply


EXPERT = Expert(
    module="Object Detection",
    description="DETR with ResNet-101, names of objects above probability 0.9.",
    packages=hub.PACKAGES,
    load=_load,
    settings={"threshold": THRESHOLD},
    weights=(MODEL,),
    file=__file__,
)
