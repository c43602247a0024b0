"""What a model makes of several answers: which of them say the same, and which it prefers."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.errors import ReplyError
from autoflow.models.structured import choose
from autoflow.operators.agreement import Group
from autoflow.operators.asking import Asking, clipped, say, shown, together
from autoflow.prompts import render

FIRST_INDEX = 100
"""Sample index of the first question; the draws before it have lower ones."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several answers, as it is shown."""

    text: str
    size: int
    """How many answers say this."""


@dataclass(frozen=True, slots=True)
class VotePrompt:
    """The answers to choose from."""

    template: ClassVar[str] = "operators/vote.j2"
    instruction: str
    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class MeaningPrompt:
    """The answers to sort by what they say."""

    template: ClassVar[str] = "operators/meaning.j2"
    instruction: str
    candidates: Sequence[Candidate]


async def preferred(asked: Asking, answers: Sequence[Json], found: Sequence[Group], votes: int) -> Group:
    """The group that most of `votes` votes prefer; of equally many, the larger, then the earlier one.

    Each vote sees the answers in another order, drawn from the visit's seed, so that a model's liking for the first
    place evens out. A vote that is none of the answers, also after its repair, is not counted.

    Raises:
        ReplyError: If no vote could be read.
    """
    orders = [_order(len(found), f"{asked.call.seed}:{vote}") for vote in range(votes)]
    lost: list[ReplyError] = []

    async def vote(number: int) -> int | None:
        order = orders[number]
        shuffled = [_candidate(answers, found[place]) for place in order]
        turn = say(asked.call.conversation, render(VotePrompt(asked.call.instruction, shuffled)))
        labels = [str(label) for label in range(1, len(found) + 1)]
        # The reply is a label: nothing of the draws' length or warmth is wanted.
        request = replace(asked.request(turn, FIRST_INDEX + number, "vote"), sampling=asked.call.sampling)
        try:
            return order[int(await choose(asked.call.model, request, labels)) - 1]
        except ReplyError as error:
            lost.append(error)
            return None

    counted = Counter(place for place in await together([vote(number) for number in range(votes)]) if place is not None)
    if not counted:
        raise lost[0]
    return found[max(counted, key=lambda place: (counted[place], found[place].size, -place))]


async def by_meaning(asked: Asking, answers: Sequence[Json], found: Sequence[Group]) -> list[Group]:
    """The groups, those together that say the same according to the model; one call.

    Raises:
        ReplyError: If the reply cannot be read, nor the repaired one.
    """
    count = len(found)
    schema: dict[str, Json] = {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": count},
        "minItems": count,
        "maxItems": count,
    }
    candidates = [_candidate(answers, group) for group in found]
    turn = say(asked.call.conversation, render(MeaningPrompt(asked.call.instruction, candidates)))
    same = await replace(asked, drawn=asked.call.sampling).json(turn, schema, FIRST_INDEX, "meaning")
    merged: dict[int, Group] = {}
    for place, group in enumerate(found):
        root = _root(place, [number - 1 for number in same])
        before = merged.get(root, replace(group, size=0))
        merged[root] = replace(before, size=before.size + group.size)
    return list(merged.values())


def _root(place: int, same: Sequence[int]) -> int:
    """Where the chain of "says the same as" ends; of a circle, its least place."""
    seen = [place]
    while same[seen[-1]] not in seen:
        seen.append(same[seen[-1]])
    return min(seen[seen.index(same[seen[-1]]) :])


def _order(count: int, seed: str) -> list[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)  # noqa: S311  an order, no secret
    return order


def _candidate(answers: Sequence[Json], group: Group) -> Candidate:
    return Candidate(clipped(shown(answers[group.first])), group.size)
