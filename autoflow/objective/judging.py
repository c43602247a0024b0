"""Gives a scorer that asks a model the model it asks, behind the same budget and record as every other call."""

from collections.abc import Callable
from functools import partial

from autoflow.core.model import Model
from autoflow.core.score import Scorer
from autoflow.models.structured import structured
from autoflow.scorers.llm_judge import NeedsModel


def ready(scorer: Scorer, open_model: Callable[[str], Model]) -> Scorer:
    """The scorer, able to score: one that names a model is bound to it, any other is returned as it is.

    `open_model` gives a metered model for `provider/model`; whoever calls closes it.
    """
    if isinstance(scorer, NeedsModel):
        return scorer.bound(partial(structured, open_model(scorer.model)))
    return scorer
