"""Image Denoising by OpenCV's bilateral filter."""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site

DIAMETER = 7
SIGMA_COLOUR = 30.0
"""In grey levels of 255."""

SIGMA_SPACE = 1.5
"""In pixels."""


def _load(site: Site) -> Apply:
    import cv2

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [cv2.bilateralFilter(picture, DIAMETER, SIGMA_COLOUR, SIGMA_SPACE) for (picture,) in rows]

    return apply


EXPERT = Expert(
    module="Image Denoising",
    description="Bilateral filter.",
    packages={"cv2": "opencv-python-headless"},
    load=_load,
    file=__file__,
)
