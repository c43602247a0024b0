"""The CLIP score as published: how well a picture fits the text that it was made from.

torchmetrics' CLIPScore on openai/clip-vit-base-patch16. Of a batch: max(mean of 100 cos, 0) / 100; the text is the
task's input, masks included.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..expert import Site, Value, Weights
from ..samples import Sample
from . import Measured

MODEL = Weights(
    "openai/clip-vit-base-patch16", "not stated on the hub", 599, "57c216476eefef5ab752ec549e440a49ae4ae5f3"
)
PACKAGES = {"torchmetrics": "torchmetrics", "transformers": "transformers"}


@dataclass(frozen=True, slots=True)
class ClipScore:
    """See the file."""

    site: Site
    name: str = "CLIP score"
    is_score: bool = True

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """The cosine of picture and text."""
        cosines = self.site.shared("CLIP score", self._load)(outputs, [str(sample.inputs[0]) for sample in samples])
        return [Measured(cosine) for cosine in cosines]

    def batch(self, scores: Sequence[float]) -> float:
        """The mean, at least 0."""
        return max(math.fsum(scores) / len(scores), 0.0)

    def _load(self) -> Any:
        import torch
        from torchmetrics.multimodal.clip_score import CLIPScore
        from transformers import CLIPModel, CLIPProcessor

        from ..paper import hub

        class Features(torch.nn.Module):
            """The model as torchmetrics 1.9 expects it: transformers 5 returns features within an output object."""

            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model, self.config = model, model.config

            def get_image_features(self, *inputs: Any) -> Any:
                return self.model.get_image_features(*inputs).pooler_output

            def get_text_features(self, *inputs: Any) -> Any:
                return self.model.get_text_features(*inputs).pooler_output

        # Metrics are in full precision, whatever the experts are in.
        model = hub.model(CLIPModel, MODEL, replace(self.site, dtype="float32"))
        parts = Features(model), hub.part(CLIPProcessor, MODEL, self.site)
        metric = CLIPScore(model_name_or_path=lambda: parts).to(self.site.device)

        def cosines(pictures: Sequence[Any], texts: list[str]) -> list[float]:
            found = []
            for picture, text in zip(pictures, texts, strict=True):
                # One at a time: the metric keeps sums alone, and the published figure of a batch is their mean.
                metric.reset()
                with torch.inference_mode():
                    tensor = torch.from_numpy(picture.transpose(2, 0, 1).copy()).to(self.site.device)
                    metric.update(tensor, text)
                found.append(float(metric.score) / 100.0)
            return found

        return cosines
