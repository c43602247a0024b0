"""Looks, during training, at what the model writes for prompts that it is not trained on."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autoflow.core.model import Message
from autoflow.training.assignments import Assignment
from autoflow.training.bridge import Bridge
from autoflow.training.judge import Judge, Sampled
from autoflow.training.outcome import Outcome
from autoflow.training.sampling import sample

BATCH = 16
"""Prompts drawn for at a time."""

SCORE = "eval_score"
"""The metric that chooses the checkpoint: mean score, an invalid text counted 0."""


@dataclass(frozen=True, slots=True)
class Looker:
    """Draws, parses and scores."""

    assignments: Sequence[Assignment]
    judge: Judge
    bridge: Bridge
    samples: int
    max_tokens: int
    seed: int

    def look(self, model: Any, tokenizer: Any) -> dict[str, float]:
        """`eval_valid`, `eval_score` and `eval_unscored` of the model as it is.

        The mean is over the texts that have a score; one that a fault left without is counted, not averaged.
        """
        outcomes = []
        for number in range(self.samples):
            temperature = 0.0 if self.samples == 1 else 1.0
            for start in range(0, len(self.assignments), BATCH):
                batch = self.assignments[start : start + BATCH]
                prompts = [assignment.messages for assignment in batch]
                texts = self._draw(model, tokenizer, prompts, temperature, self.seed + number)
                outcomes += self.bridge.wait_for(self._score(batch, texts))
        scores = [outcome.score for outcome in outcomes if outcome.score is not None]
        return {
            "eval_valid": sum(outcome.valid for outcome in outcomes) / len(outcomes),
            SCORE: sum(scores) / len(scores) if scores else math.nan,
            "eval_unscored": float(len(outcomes) - len(scores)),
        }

    def _draw(
        self, model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], temperature: float, seed: int
    ) -> list[Sampled]:
        return sample(model, tokenizer, prompts, temperature=temperature, max_tokens=self.max_tokens, seed=seed)

    async def _score(self, batch: Sequence[Assignment], texts: Sequence[Sampled]) -> list[Outcome]:
        return list(
            await asyncio.gather(
                *(self.judge.score(item, text, "validation") for item, text in zip(batch, texts, strict=True))
            )
        )


def looking(trainer: type, look: Callable[[Any, Any], dict[str, float]] | None) -> type:
    """The trainer's class, evaluating by `look` instead of by a loss."""

    class Looking(trainer):
        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            if look is None:
                raise AssertionError("nothing is held out, so there is nothing to look at")
            metrics = look(self.accelerator.unwrap_model(self.model), self.processing_class)
            self.log(metrics)
            self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    Looking.__name__ = trainer.__name__
    return Looking
