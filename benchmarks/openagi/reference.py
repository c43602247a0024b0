"""Reference plans, derived by rule. None is published for the 185 tasks: they are ours, not official."""

from .goal import Goal, Input
from .modules import MODULES, RESTORATIONS
from .plan import Pick, Token

_TRANSLATION = "Machine Translation"


def _prepare(item: Input) -> list[str]:
    """What makes one input readable to an expert: restorations in order, then English."""
    steps = [name for name in RESTORATIONS if MODULES[name].restores in item.defects]
    return [*steps, _TRANSLATION] if item.language not in (None, "English") else steps


def _finish(goal: Goal) -> list[str]:
    made = [goal.core] if goal.core is not None else []
    return [*made, _TRANSLATION] if goal.language not in (None, "English") else made


def flat(goal: Goal) -> tuple[Token, ...]:
    """Restorations, Fill Mask on each clozed text, the core module, and Machine Translation if the output is German."""
    prepared = [name for index in range(len(goal.inputs)) for name in _prepare(goal.inputs[index])]
    return (*prepared, *_finish(goal))


def postfix(goal: Goal) -> tuple[Token, ...]:
    """The same on a stack: each input is pushed just before it is prepared."""
    steps: list[Token] = []
    for index in goal.operands():
        item = goal.inputs[index]
        before = sum(other.type == item.type for other in goal.inputs[:index])
        steps += [Pick(item.type, before), *_prepare(item)]
    return (*steps, *_finish(goal))
