"""The BERT score as published: F1 of token embeddings, also of German texts.

bert-score on microsoft/deberta-xlarge-mnli, layer 40, language en, no idf weights, no rescaling; of a batch, the mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..expert import Site, Value, Weights
from ..samples import Sample
from . import Measured

MODEL = Weights("microsoft/deberta-xlarge-mnli", "MIT", 1520, "5b07a9086c1dbb79981ff7b05b4d1ad83b3af51c")
LAYER = 40
PACKAGES = {"bert_score": "bert-score", "transformers": "transformers"}


@dataclass(frozen=True, slots=True)
class BertScore:
    """See the file."""

    site: Site
    layer: int = LAYER
    name: str = "BERT score"
    is_score: bool = True

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """F1 of output and reference; an output without a word scores 0."""
        texts = [str(output).strip() for output in outputs]
        said = [place for place, text in enumerate(texts) if text]
        found = [0.0] * len(texts)
        if said:
            scores = self.site.shared("BERT score", self._load)(
                [texts[place] for place in said], [samples[place].answers[0] for place in said]
            )
            for place, score in zip(said, scores, strict=True):
                found[place] = score
        return [Measured(score) for score in found]

    def batch(self, scores: Sequence[float]) -> float:
        """The mean."""
        return math.fsum(scores) / len(scores)

    def _load(self) -> Any:
        from bert_score import BERTScorer

        from ..paper import hub

        hub.quiet()
        scorer = BERTScorer(
            model_type=str(hub.folder(MODEL, self.site)),
            num_layers=self.layer,
            lang="en",
            idf=False,
            rescale_with_baseline=False,
            device=self.site.device,
        )

        def scores(texts: list[str], references: list[str]) -> list[float]:
            _, _, f1 = scorer.score(texts, references)
            return [float(value) for value in f1]

        return scores
