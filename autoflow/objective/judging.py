"""Makes a scorer ready for a run: one that asks a model gets it, behind the same budget and record as every other call;
one that leaves files gets the run's folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from autoflow.core.model import Model
from autoflow.core.score import KeepsFiles, Scorer
from autoflow.models.structured import structured
from autoflow.scorers.llm_judge import NeedsModel


def ready(scorer: Scorer, open_model: Callable[[str], Model], folder: Path | None = None) -> Scorer:
    """The scorer, able to score: one that names a model is bound to it, one that leaves files is told where, any other
    is returned as it is.

    `open_model` gives a metered model for `provider/model`; whoever calls closes it.
    """
    if isinstance(scorer, NeedsModel):
        return scorer.bound(partial(structured, open_model(scorer.model)))
    if isinstance(scorer, KeepsFiles) and folder is not None:
        return scorer.keeping(folder)
    return scorer
