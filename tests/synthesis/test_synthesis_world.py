"""The plan machine of made-up domains, against the OpenAGI one where both can say the same, and the search over it."""

import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoflow.benchmarks import folder
from autoflow.synthesis import domains, tasks
from autoflow.synthesis.environment import domain_from_json, domain_to_json, goal_from_json, goal_to_json
from autoflow.synthesis.search import best_plan
from autoflow.synthesis.world import Content, Domain, Goal, Input, Tool, judge

SEEDS = st.integers(0, 10**6)


def _openagi() -> tuple[Domain, list[tuple[Goal, Any]], Any, Any]:
    """The OpenAGI modules as a domain of ours, its 185 goals in both forms, its own scorer and reference plans."""
    code = folder.open_folder("openagi", {}).code.module
    assert code is not None
    name = code.__name__
    part = {key: sys.modules[f"{name}.{key}"] for key in ("modules", "sentences", "plan_score", "reference")}
    modules = part["modules"].MODULES.values()
    effects = {True: "make", False: "form"}
    domain = Domain(
        "openagi",
        tuple(
            Tool(
                module.name,
                module.description,
                module.inputs,
                module.output,
                "repair" if module.restores else effects[module.makes_content],  # type: ignore[arg-type]
                module.restores or module.translates or "",
            )
            for module in modules
        ),
        {"text": "English"},
    )
    goals = []
    for _, goal in part["sentences"].sentences():
        inputs = tuple(Input(item.type, item.defects) for item in goal.inputs)
        content: Content = 0 if goal.core is None else (goal.core, goal.operands())
        goals.append((Goal(inputs, content, goal.output, goal.language), goal))
    return domain, goals, part["plan_score"].score_plan, part["reference"]


def _drawn(seed: int) -> tuple[Domain, Goal] | None:
    worded = domains.draw(seed, 0, "train")
    drawn = tasks.draw(worded, random.Random(seed))
    return None if drawn is None else (worded.domain, drawn.goal)


def test_the_search_finds_the_reference_plan_of_every_openagi_task() -> None:
    domain, goals, _, reference = _openagi()
    assert len(goals) == 185
    for ours, theirs in goals:
        assert best_plan(domain, ours) == reference.flat(theirs)


def test_both_plan_machines_score_alike() -> None:
    domain, goals, score, reference = _openagi()
    rng = random.Random(0)
    names = [tool.name for tool in domain.tools]
    compared = 0
    for ours, theirs in goals:
        plan = list(reference.flat(theirs))
        broken: list[Sequence[str]] = [plan, plan[1:], plan[:-1], plan[::-1]]
        broken += [[*plan[:at], rng.choice(names), *plan[at:]] for at in range(len(plan) + 1)]
        broken += [rng.choices(names, k=rng.randint(1, 5)) for _ in range(4)]
        for other in broken:
            if other:
                assert judge(domain, ours, other).score == pytest.approx(score(theirs, tuple(other)).value), other
                compared += 1
    assert compared > 2000


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_a_found_plan_is_right_and_none_of_its_steps_is_spare(seed: int) -> None:
    drawn = _drawn(seed)
    if drawn is None:
        return
    domain, goal = drawn
    plan = best_plan(domain, goal)
    if plan is None:
        return
    assert not plan or judge(domain, goal, plan).score == 1.0
    for at in range(len(plan)):
        assert judge(domain, goal, (*plan[:at], *plan[at + 1 :])).score < 1.0


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 30), max_size=6))
def test_no_plan_breaks_the_machine_and_scores_stay_in_range(seed: int, picks: list[int]) -> None:
    drawn = _drawn(seed)
    if drawn is None:
        return
    domain, goal = drawn
    plan = [domain.tools[pick % len(domain.tools)].name for pick in picks]
    assert 0.0 <= judge(domain, goal, plan).score <= 1.0
    assert judge(domain, goal, [*plan, "no such tool"]).score == 0.0


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_domain_and_goal_survive_json(seed: int) -> None:
    drawn = _drawn(seed)
    if drawn is None:
        return
    domain, goal = drawn
    assert domain_from_json(domain_to_json(domain)) == domain
    assert goal_from_json(goal_to_json(goal)) == goal
