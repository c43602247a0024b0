"""`reinforce` and `grpo`: updates from the rewards of texts that the generator has just sampled, by TRL.

`reinforce` (METHODS.md, section 1): loss = -mean_i (r_i - mean of the other k-1) log pi(w_i) + beta KL(pi||reference).
TRL's RLOO trainer has that gradient: it takes beta times the log-ratio off each reward, whose score-function gradient
is that of the divergence. `grpo` (section 3): A_i = (r_i - mean) / (sd + 1e-4) over the group, sd with k - 1.

Samples are free, or with `typed` held to a grammar and credited as drawn under it (`autoflow.training.typed`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoflow.training.assignments import Assignment
from autoflow.training.bridge import Bridge
from autoflow.training.judge import Judge, Judged, Sampled
from autoflow.training.sampling import chat

_GRAIN = 2.0**-18
# Rewards are multiples of it. Float32 sums of up to 64 of them, in [-1, 1], are then exact, so equal rewards have
# exactly the advantage 0. With 0.1 as it is they had 1e-8, which Adam scales up to a step of full size.

Waiting = Callable[[], list[Judged]]
"""Waits for what came of the samples, in order."""

Score = Callable[[Sequence[str], Sequence[Sampled], int], Waiting]
"""(ids of the assignments, sampled texts, step): begins to judge them."""


def rows(assignments: Sequence[Assignment], *, typed: bool = False) -> list[dict[str, Any]]:
    """The trainer's data set: a prompt a row, with the `grammar` of its samples if they are to be typed."""
    return [
        {"prompt": chat(item.messages), "assignment": item.id, **({"grammar": item.grammar} if typed else {})}
        for item in assignments
    ]


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores a step's samples on the event loop, all prompts' at the same time, while the trainer's thread goes on."""

    assignments: Mapping[str, Assignment]
    judge: Judge
    bridge: Bridge

    def __call__(self, ids: Sequence[str], samples: Sequence[Sampled], step: int) -> Waiting:
        return self.bridge.start(self._all(ids, samples, step))

    async def _all(self, ids: Sequence[str], samples: Sequence[Sampled], step: int) -> list[Judged]:
        places: dict[str, list[int]] = {}
        for place, name in enumerate(ids):
            places.setdefault(name, []).append(place)
        groups = await asyncio.gather(
            *(
                self.judge.group(self.assignments[name], [samples[place] for place in group], step)
                for name, group in places.items()
            )
        )
        found: dict[int, Judged] = {}
        for group, judged in zip(places.values(), groups, strict=True):
            found.update(zip(group, judged, strict=True))
        return [found[place] for place in range(len(ids))]


class Rewards:
    """What TRL calls with a step's samples, once it needs their rewards; they are being judged since they were drawn.

    Also logs, as means over the step: `valid`, `score`, `unscored` (samples without a reward) and `flat` (groups of
    `group` samples whose rewards are all equal: they teach nothing).
    """

    __name__ = "reward"

    def __init__(self, score: Score, read: Callable[[Sequence[int]], Sampled], group: int) -> None:
        """`read` makes the text of sampled tokens; `group` is k."""
        self._score = score
        self._read = read
        self._group = group
        self._waiting: Waiting | None = None

    def begin(self, assignment: Sequence[str], completion_ids: Sequence[Sequence[int]], step: int) -> None:
        """Begin to judge a step's samples. What is judged is the text of the very tokens that are credited."""
        self._waiting = self._score(assignment, [self._read(tokens) for tokens in completion_ids], step)

    def __call__(self, log_metric: Callable[[str, float], None], **_: Any) -> list[float | None]:
        """The rewards of the samples begun with, in order; `None` skips one."""
        assert self._waiting is not None  # noqa: S101  the trainer draws before it asks
        judged, self._waiting = self._waiting(), None
        rewards = [item.reward for item in judged]
        scores = [item.outcome.score for item in judged if item.outcome.score is not None]
        log_metric("valid", sum(item.outcome.valid for item in judged) / len(judged))
        if scores:
            log_metric("score", sum(scores) / len(scores))
        log_metric("unscored", float(rewards.count(None)))
        groups = [rewards[at : at + self._group] for at in range(0, len(rewards), self._group)]
        log_metric("flat", float(sum(_flat(group) for group in groups)))
        return [None if item is None else round(item / _GRAIN) * _GRAIN for item in rewards]


def _flat(rewards: Sequence[float | None]) -> bool:
    return len({reward for reward in rewards if reward is not None}) < 2


def eager(trainer: type, rewards: Rewards) -> type:
    """The trainer's class, having its samples judged from the moment they are drawn: log-probabilities under policy
    and reference are computed meanwhile. For a batch that can teach nothing, nothing is computed."""

    class Eager(trainer):
        def _generate_and_score_completions(self, inputs: Sequence[Mapping[str, Any]]) -> Any:
            self._drawn_for = [row["assignment"] for row in inputs]
            return super()._generate_and_score_completions(inputs)

        def _generate(self, prompts: Sequence[Any]) -> Any:
            drawn = super()._generate(prompts)
            rewards.begin(self._drawn_for, drawn[1], self.state.global_step)
            return drawn

        def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
            if not _teaches(self, inputs):
                return sum(weight.sum() for weight in model.parameters() if weight.requires_grad) * 0.0
            return super()._compute_loss(model, inputs)

    Eager.__name__ = trainer.__name__
    return Eager


def _teaches(trainer: Any, inputs: Mapping[str, Any]) -> bool:
    """Whether the loss of a batch can have a gradient: with equal rewards alone, only from a divergence or an entropy
    in the loss. Several processes exchange gradients at each batch, so all of them compute."""
    only_rewards = trainer.beta == 0 and not getattr(trainer, "_entropy_bonus_enabled", False)
    return trainer.accelerator.num_processes > 1 or not only_rewards or bool(inputs["advantages"].any())
