"""Ranks passages by the words that they share with a query: Okapi BM25.

Source: Robertson and Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond* (2009), section 3, with the
weight ln(1 + (N - n + 0.5) / (n + 0.5)) of a word, which is never negative.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_SPACELESS = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"  # Thai, Lao, Japanese, Chinese
_WORD = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+")

K1 = 1.2
B = 0.75


def scores(passages: Sequence[str], query: str) -> list[float]:
    """How well each passage fits the query, 0 where they share no word; one a passage, higher better."""
    counted = [Counter(words(passage)) for passage in passages]
    lengths = [counts.total() for counts in counted]
    mean = sum(lengths) / len(lengths) if any(lengths) else 1.0
    wanted = set(words(query))
    weights = {word: _weight(len(passages), sum(word in counts for counts in counted)) for word in wanted}
    return [
        sum(
            weights[word] * counts[word] * (K1 + 1) / (counts[word] + K1 * (1 - B + B * length / mean))
            for word in wanted
            if word in counts
        )
        for counts, length in zip(counted, lengths, strict=True)
    ]


def words(text: str) -> list[str]:
    """The words that are compared: NFKC, case folded. A script without spaces gives its single characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(folded)


def _weight(passages: int, having: int) -> float:
    return math.log(1 + (passages - having + 0.5) / (having + 0.5))
