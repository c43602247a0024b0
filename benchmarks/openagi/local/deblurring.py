"""Image Deblurring by a Wiener filter for a Gaussian blur of one pixel."""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site

SIGMA = 1.0
"""Of the blur that is undone, in pixels."""

WIDTH = 7
"""Of its kernel, in pixels."""

BALANCE = 0.005
"""Of scikit-image's regularisation: the larger, the smoother."""

PADDING = 16
"""Pixels mirrored around the picture: without them the filter wraps around and the border rings."""


def _load(site: Site) -> Apply:
    import cv2
    import numpy as np
    from skimage.restoration import wiener

    line = cv2.getGaussianKernel(WIDTH, SIGMA).ravel()
    kernel = np.outer(line, line)

    def sharpened(picture: Any) -> Any:
        # A picture smaller than the padding can only be mirrored by what it has.
        rows, columns = (min(PADDING, side - 1) for side in picture.shape[:2])
        padded = np.pad(picture, ((rows, rows), (columns, columns), (0, 0)), "reflect") / 255.0
        channels = [wiener(padded[..., channel], kernel, BALANCE, clip=False) for channel in range(3)]
        inside = np.stack(channels, -1)[rows : rows + picture.shape[0], columns : columns + picture.shape[1]]
        return np.clip(inside * 255.0 + 0.5, 0, 255).astype(np.uint8)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [sharpened(picture) for (picture,) in rows]

    return apply


EXPERT = Expert(
    module="Image Deblurring",
    description="Wiener filter for a Gaussian blur of one pixel.",
    packages={"cv2": "opencv-python-headless", "skimage": "scikit-image"},
    load=_load,
    file=__file__,
)
