"""Sentiment Analysis by VADER's lexicon and rules."""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site


def _load(site: Site) -> Apply:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        scores = [analyzer.polarity_scores(text)["compound"] for (text,) in rows]
        return ["POSITIVE" if score >= 0 else "NEGATIVE" for score in scores]

    return apply


EXPERT = Expert(
    module="Sentiment Analysis",
    description="VADER: POSITIVE or NEGATIVE.",
    packages={"vaderSentiment": "vaderSentiment"},
    load=_load,
    file=__file__,
)
