"""The benchmark's own degradations of a picture, in the order in which the published data was made."""

import io
from collections.abc import Collection

import numpy as np

from .expert import Picture

BLUR_RADIUS = 1
SPECKLE_VARIANCE = 0.005
LOW_QUALITY = 30
"""Of JPEG; the size stays."""

SIDE = 256
"""Pixels of a picture as experts see it, whatever its shape was."""


def degrade(picture: Picture, defects: Collection[str], rng: np.random.Generator) -> bytes:
    """The picture with these defects alone, as the JPEG file that the benchmark would hold.

    Grayscale (to L and back), blur, speckle noise on [0, 1] cut off to bytes, JPEG.
    """
    from PIL import Image, ImageFilter
    from skimage.util import random_noise

    image = Image.fromarray(picture)
    if "grayscale" in defects:
        image = image.convert("L").convert("RGB")
    if "blurry" in defects:
        image = image.filter(ImageFilter.GaussianBlur(BLUR_RADIUS))
    if "noisy" in defects:
        noisy = random_noise(np.asarray(image) / 255.0, mode="speckle", mean=0, var=SPECKLE_VARIANCE, rng=rng)
        image = Image.fromarray((noisy * 255).astype(np.uint8))
    file = io.BytesIO()
    if "low-resolutioned" in defects:
        image.save(file, "JPEG", quality=LOW_QUALITY)
    else:
        image.save(file, "JPEG")
    return file.getvalue()


def load(file: bytes) -> Picture:
    """A picture as the benchmark reads it: RGB, resized to 256 x 256 whatever its shape.

    Raises:
        ValueError: If it is no picture.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file)) as image:
            return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    except OSError as error:
        raise ValueError(f"is no picture: {error}") from error


def generator(seed: int, task: str, sample: int) -> np.random.Generator:
    """The draws of one sample: equal for equal arguments, unrelated otherwise."""
    return np.random.default_rng([seed, int(task), sample])
