"""Exact match of labels, and token F1 of texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoflow.scorers.token_f1 import f1, normalised

from ..expert import Value
from ..samples import Sample
from . import Measured


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """1 if the output is one of the right labels, after SQuAD's normalisation."""

    name: str = "exact match"
    is_score: bool = True

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """See `Metric`."""
        return [
            Measured(float(normalised(str(output)) in {normalised(answer) for answer in sample.answers}))
            for output, sample in zip(outputs, samples, strict=True)
        ]

    def batch(self, scores: Sequence[float]) -> float:
        """The mean."""
        return math.fsum(scores) / len(scores)


@dataclass(frozen=True, slots=True)
class TokenF1:
    """F1 of the words with the best of the right answers, as SQuAD counts them."""

    name: str = "token F1"
    is_score: bool = True

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """See `Metric`."""
        return [
            Measured(max(f1(str(output), answer) for answer in sample.answers))
            for output, sample in zip(outputs, samples, strict=True)
        ]

    def batch(self, scores: Sequence[float]) -> float:
        """The mean."""
        return math.fsum(scores) / len(scores)
