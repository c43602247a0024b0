"""Grammars of outlines that type-check: tools find what they take, and what the task brings comes to one value.

A model that is held to such a grammar while it samples writes no draft that lint refuses for its types. Which of the
sound plans does what the task asks for is left to the model.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache

from autoflow.core.operator import ANY, Card

_TEXT = r'("([^"\\\x00-\x1F\x7F]|\\["\\\/bfnrt]){0,%d}")'
# A JSON string of so many characters.

State = tuple[str, ...]
"""Types of the values that are there, sorted."""


def typed_outline(
    cards: Sequence[Card], inputs: Sequence[str], *, max_steps: int, max_instruction_chars: int
) -> str | None:
    """The grammar, in llguidance's Lark; its sentences fit `outline.outline_schema` of the same bounds.

    The answer is what the last tool gives: there is no operator that could be asked for another.

    `None` where types say nothing: an operator is no tool or takes anything, or no plan of these tools comes to one
    value.

    Args:
        inputs: Types of the values that the task brings.
    """
    if not inputs or any(card.kind != "tool" or ANY in card.inputs for card in cards):
        return None
    return _Grammar(cards).of(tuple(sorted(inputs)), max_steps - 1, max_instruction_chars)


class _Grammar:
    """Collects the rules; a rule stands for a state and the steps that are left."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._rules: dict[str, str] = {}
        self._names: dict[tuple[State, int] | tuple[str, ...], str] = {}

        @cache
        def after(state: State) -> Mapping[State, tuple[str, ...]]:
            """Which tools lead from a state to which."""
            found: dict[State, list[str]] = {}
            for card in cards:
                left = _applied(state, card)
                if left is not None:
                    found.setdefault(left, []).append(card.name)
            return {left: tuple(names) for left, names in found.items()}

        @cache
        def ends(state: State, steps: int) -> bool:
            """Whether so many more steps can come to one value."""
            return len(state) == 1 or (steps > 0 and any(ends(left, steps - 1) for left in after(state)))

        self._after, self._ends = after, ends

    def of(self, state: State, steps: int, chars: int) -> str | None:
        """The grammar of all plans of 1 to `steps` steps from `state`."""
        first = self._step(state, steps)
        if first is None:
            return None
        head = ["%llguidance {}", r'start: "{\"steps\": [" ' + first + r' "], \"answer\": \"\"}"']
        return "\n".join([*head, *self._rules.values(), f"TEXT: /{_TEXT % chars}/", ""])

    def _step(self, state: State, steps: int) -> str | None:
        """The rule of the next step and all that can follow it; `None` where no step can."""
        if steps == 0:
            return None
        known = self._names.get((state, steps))
        if known is not None:
            return known
        ways = [
            f'"[" TEXT ", " {self._operators(names)} "]" {self._rest(left, steps - 1)}'.rstrip()
            for left, names in self._after(state).items()
            if self._ends(left, steps - 1)
        ]
        return self._rule((state, steps), "s", ways) if ways else None

    def _rest(self, state: State, steps: int) -> str:
        following = self._step(state, steps)
        more = "" if following is None else f'", " {following}'
        return f"({more})?" if more and len(state) == 1 else more

    def _operators(self, names: tuple[str, ...]) -> str:
        # A literal is the name as JSON, quoted once more.
        ways = [json.dumps(json.dumps(name, ensure_ascii=False), ensure_ascii=False) for name in names]
        return self._names.get(names) or self._rule(names, "o", ways)

    def _rule(self, key: tuple[State, int] | tuple[str, ...], kind: str, ways: Sequence[str]) -> str:
        name = self._names[key] = f"{kind}{len(self._rules)}"
        self._rules[name] = f"{name}: {' | '.join(ways)}"
        return name


def _applied(state: State, card: Card) -> State | None:
    left = list(state)
    for kind in card.inputs:
        if kind not in left:
            return None
        left.remove(kind)
    return tuple(sorted([*left, card.output]))
