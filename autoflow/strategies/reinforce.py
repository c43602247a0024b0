"""`reinforce`: the generator's weights are updated by the scores of what it wrote. AutoFlow's fine-tuned generator
(arXiv:2407.12821) without its release's faults: METHODS.md, section 1, says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from autoflow.core.strategy import Proposal, Situation
from autoflow.strategies.on_policy import OnPolicy


@dataclass(slots=True)
class Reinforce(OnPolicy):
    """REINFORCE with a leave-one-out baseline and a divergence from the reference."""

    name: ClassVar[str] = "reinforce"
    method: ClassVar[Literal["reinforce"]] = "reinforce"

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        """The next k workflows, as `OnPolicy.drawn`."""
        return await self.drawn(situation)


PLUGIN = Reinforce
