"""The two ViT figures of restored pictures, on the last hidden states h (197 x 768) of nateraw/vit-base-beans.

- `paper-distance`, as published: ||h(restored) - h(original)|| / 100 in the Frobenius norm, of a batch the mean. It was
  published as a score and maximised, but is a distance: 0 for equal pictures, larger for worse ones, without bound.
- `cosine`, ours: the cosine of the two, flattened, not below 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..expert import Site, Value, Weights
from ..samples import Sample
from . import Measured

# Of this repository no commit is known here: whatever is in the cache is used, and reports say which.
MODEL = Weights("nateraw/vit-base-beans", "Apache-2.0", 343)
PACKAGES = {"transformers": "transformers"}


def _hidden(site: Site) -> Any:
    """`pictures -> h`, shape (pictures, 197, 768)."""

    def load() -> Any:
        import torch
        from PIL import Image
        from transformers import ViTImageProcessorPil, ViTModel

        from ..paper import hub

        # Metrics are in full precision, whatever the experts are in.
        exact = replace(site, dtype="float32")
        network = hub.model(ViTModel, MODEL, exact)
        processor = hub.part(ViTImageProcessorPil, MODEL, exact)

        def hidden(pictures: Sequence[Any]) -> Any:
            images = [Image.fromarray(picture) for picture in pictures]
            inputs = hub.moved(processor(images=images, return_tensors="pt"), exact)
            with torch.inference_mode():
                return network(**inputs).last_hidden_state.float().cpu().numpy()

        return hidden

    return site.shared("ViT score", load)


def _pair(site: Site, outputs: Sequence[Value], samples: Sequence[Sample]) -> tuple[Any, Any]:
    hidden = _hidden(site)
    return hidden(outputs), hidden([sample.original for sample in samples])


@dataclass(frozen=True, slots=True)
class VitCosine:
    """See the file."""

    site: Site
    name: str = "ViT cosine (ours)"
    is_score: bool = True

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """The cosine and, beside it, the published distance."""
        import numpy as np

        restored, original = _pair(self.site, outputs, samples)
        found = []
        for one, other in zip(restored, original, strict=True):
            cosine = float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other)))
            distance = float(np.linalg.norm(one - other)) / 100.0
            found.append(Measured(min(max(cosine, 0.0), 1.0), {"paper_distance": round(distance, 6)}))
        return found

    def batch(self, scores: Sequence[float]) -> float:
        """The mean."""
        return math.fsum(scores) / len(scores)


@dataclass(frozen=True, slots=True)
class VitDistance:
    """See the file."""

    site: Site
    name: str = "ViT distance (lower is better, published as a score)"
    is_score: bool = False

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """The published distance."""
        import numpy as np

        restored, original = _pair(self.site, outputs, samples)
        return [
            Measured(float(np.linalg.norm(one - other)) / 100.0) for one, other in zip(restored, original, strict=True)
        ]

    def batch(self, scores: Sequence[float]) -> float:
        """The mean."""
        return math.fsum(scores) / len(scores)
