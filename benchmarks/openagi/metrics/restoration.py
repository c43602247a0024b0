"""PSNR and SSIM of a restored picture against the one before it was damaged, and the score made of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..expert import Value
from ..samples import Sample
from . import Measured

CAP_DB = 50.0
"""PSNR that counts as perfect: below the rounding error that a person could see."""


def psnr_db(picture: Any, original: Any) -> float:
    """Peak signal to noise, in decibels; infinite for equal pictures. Another size is resized to the original's."""
    from skimage.metrics import peak_signal_noise_ratio

    fitted = _fitted(picture, original)
    return math.inf if (fitted == original).all() else float(peak_signal_noise_ratio(original, fitted, data_range=255))


def ssim(picture: Any, original: Any) -> float:
    """Structural similarity over the three channels (Wang et al. 2004, scikit-image's defaults), in [-1, 1]."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(original, _fitted(picture, original), channel_axis=2, data_range=255))


def restoration_score(psnr: float, similarity: float) -> float:
    """The mean of PSNR / 50 dB, at most 1, and SSIM, at least 0."""
    return (min(psnr, CAP_DB) / CAP_DB + max(similarity, 0.0)) / 2


@dataclass(frozen=True, slots=True)
class Restoration:
    """Of restored pictures; `gain_*` is what restoring brought over the damaged picture, which doing nothing has 0
    of."""

    name: str = "PSNR/SSIM score"
    is_score: bool = True

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """See `Metric`."""
        return [_measured(output, sample) for output, sample in zip(outputs, samples, strict=True)]

    def batch(self, scores: Sequence[float]) -> float:
        """The mean."""
        return math.fsum(scores) / len(scores)


def _measured(output: Value, sample: Sample) -> Measured:
    psnr, similarity = psnr_db(output, sample.original), ssim(output, sample.original)
    before_psnr, before_similarity = psnr_db(sample.inputs[0], sample.original), ssim(sample.inputs[0], sample.original)
    return Measured(
        restoration_score(psnr, similarity),
        {
            # JSON has no infinity: an equal picture is said to be so.
            "psnr_db": round(psnr, 3) if math.isfinite(psnr) else "equal",
            "ssim": round(similarity, 4),
            "gain_psnr_db": round(min(psnr, 100.0) - min(before_psnr, 100.0), 3),
            "gain_ssim": round(similarity - before_similarity, 4),
            "untouched_score": round(restoration_score(before_psnr, before_similarity), 6),
        },
    )


def _fitted(picture: Any, original: Any) -> Any:
    if picture.shape == original.shape:
        return picture
    import numpy as np
    from PIL import Image

    height, width = original.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
