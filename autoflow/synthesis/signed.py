"""Reasons that say what a tool acts on: `noisy guess: mail -> mail`.

A small model that has written down the types before it names the operator has only to find the card that has them.
"""

from collections.abc import Mapping, Sequence

from autoflow.synthesis.world import Domain, Goal, State, Tool, apply, start


def in_order(
    domain: Domain,
    goal: Goal,
    plan: Sequence[str],
    reasons: Mapping[str, str],
    named: Sequence[str],
    *,
    signatures: bool,
) -> tuple[str, ...]:
    """The reason of each tool of a plan, with what `signed` adds where `signatures` are wanted."""
    return signed(domain, goal, plan, reasons, named) if signatures else tuple(reasons[tool] for tool in plan)


def signed(
    domain: Domain, goal: Goal, plan: Sequence[str], reasons: Mapping[str, str], named: Sequence[str]
) -> tuple[str, ...]:
    """For each tool of a plan that runs: its reason, the input that it repairs if it repairs one, and its signature.

    Args:
        reasons: Tool -> the words that it is there for.
        named: What the task calls each input, in the goal's order.
    """
    found = []
    state = start(domain, goal)
    for name in plan:
        tool = domain.tool(name)
        assert tool is not None  # noqa: S101  the plan is of this domain
        after = apply(domain, state, tool)
        assert after is not None  # noqa: S101  the plan runs
        source = _repaired(tool, state, after)
        what = "" if source is None else f" {named[source]}"
        found.append(f"{reasons[name]}{what}: {', '.join(tool.inputs)} -> {tool.output}")
        state = after
    return tuple(found)


def _repaired(tool: Tool, before: State, after: State) -> int | None:
    """The input whose defect has gone."""
    if tool.effect != "repair":
        return None
    return next((old.source for old, new in zip(before.stack, after.stack, strict=True) if old != new), None)
