"""The search teacher for made-up domains: the cheapest plan that does all that a goal asks for.

Uniform-cost search over the states of the plan machine. Nothing is known but what tools do; a plan is right because
it was executed.
"""

import heapq

from autoflow.synthesis.world import Content, Domain, Goal, State, Tool, apply, judge, start

MAX_STATES = 20_000


def best_plan(domain: Domain, goal: Goal, *, max_steps: int = 9) -> tuple[str, ...] | None:
    """The shortest plan that scores 1, ties broken by the order in which the tools are listed; `None`: there is none.

    States in which a defect was read, a tool did nothing, a repair came out of order, or a content was made that the
    goal does not need can no longer score 1 and are dropped.
    """
    wanted = _parts(goal.content)
    first = start(domain, goal)
    # Numbers of tools compare as the tools are listed, so that the first plan found is the least among the shortest.
    waiting: list[tuple[int, tuple[int, ...], State]] = [(0, (), first)]
    seen = {first}
    while waiting:
        length, plan, state = heapq.heappop(waiting)
        if length and _done(state, goal):
            names = tuple(domain.tools[number].name for number in plan)
            if judge(domain, goal, names).score == 1.0:
                return names
        if length == max_steps:
            continue
        for number, tool in enumerate(domain.tools):
            after = _useful(domain, state, tool, wanted)
            if after is not None and after not in seen:
                if len(seen) >= MAX_STATES:
                    return None
                seen.add(after)
                heapq.heappush(waiting, (length + 1, (*plan, number), after))
    return None


def _useful(domain: Domain, state: State, tool: Tool, wanted: frozenset[Content]) -> State | None:
    after = apply(domain, state, tool)
    if after is None or after.faults or after.spoilt:
        return None
    if tool.effect == "make" and not all(value.content in wanted for value in after.stack):
        return None
    return after


def _done(state: State, goal: Goal) -> bool:
    return len(state.stack) == 1 and state.stack[0].content == goal.content


def _parts(content: Content) -> frozenset[Content]:
    if content is None or isinstance(content, int):
        return frozenset({content})
    return frozenset({content}).union(*(_parts(part) for part in content[1]))
