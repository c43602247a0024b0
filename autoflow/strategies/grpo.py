"""`grpo`: as `reinforce`, with advantages in units of the group's standard deviation. MetaFlow's reinforcement learning
(arXiv:2606.30704) on one benchmark; over many tasks and operator sets it is `autoflow train grpo`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from autoflow.core.strategy import Proposal, Situation
from autoflow.strategies.on_policy import OnPolicy


@dataclass(slots=True)
class Grpo(OnPolicy):
    """Group-relative policy optimisation."""

    name: ClassVar[str] = "grpo"
    method: ClassVar[Literal["grpo"]] = "grpo"

    beta: float = 0.001

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next k workflows, as `OnPolicy.drawn`."""
        return await self.drawn(situation)


PLUGIN = Grpo
