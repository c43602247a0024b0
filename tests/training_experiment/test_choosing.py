"""Rules choose among drafts without seeing a score; drafts are read back from the record of a run."""

import json
from pathlib import Path

import choosing
import pytest
from choosing import RULES, Drawn
from hypothesis import given
from hypothesis import strategies as st

from autoflow.bench import BenchConfig, bench
from autoflow.benchmarks import held_out, loader
from autoflow.models.scripted import Rule, Scripted
from autoflow.zero_shot import PLACEHOLDER, Writing

A, B, AB, BA = ("a",), ("b",), ("a", "b"), ("b", "a")
PLANS = st.lists(st.sampled_from([A, B, AB, BA, None]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("plans", "places"),
    [
        ([A], (0, 0, 0, 0)),
        ([A, B, B], (0, 1, 1, 1)),
        ([AB, A, AB, A], (0, 0, 0, 1)),  # equals go to the earlier, or to the shorter
        ([None, None, A], (0, 0, 2, 2)),
        ([None, None], (0, 0, 0, 0)),
        ([AB, AB, AB, A], (0, 0, 0, 0)),  # once is less than half of three times
        ([AB, AB, A], (0, 0, 0, 2)),
        ([AB, AB, AB, A, A, B, B, B], (0, 0, 0, 5)),  # of the short ones the more frequent
    ],
)
def test_what_each_rule_takes(plans: list[tuple[str, ...] | None], places: tuple[int, ...]) -> None:
    assert tuple(rule(plans) for rule in RULES.values()) == places


@given(PLANS)
def test_what_is_taken_is_most_frequent_and_a_workflow_where_there_is_one(plans: list[tuple[str, ...] | None]) -> None:
    assert plans.count(plans[choosing.most_frequent(plans)]) == max(map(plans.count, plans))
    valid = [plan for plan in plans if plan is not None]
    for rule in (choosing.most_frequent_valid, choosing.shortest_frequent):
        assert (plans[rule(plans)] is None) == (not valid)
        # The first of its kind: no draft that is equal to it was drawn earlier.
        assert plans.index(plans[rule(plans)]) == rule(plans)
    if valid:
        assert valid.count(plans[choosing.most_frequent_valid(plans)]) == max(map(valid.count, valid))


def test_the_rule_is_the_best_on_the_tasks_given_and_the_plainest_of_equals() -> None:
    short_is_right = [Drawn(AB, 0.0), Drawn(AB, 0.0), Drawn(A, 1.0)]
    rule, means = choosing.best_rule([short_is_right, [Drawn(B, 1.0)] * 3])
    assert rule == "shortest frequent"
    assert means == {"first": 0.5, "most frequent": 0.5, "most frequent valid": 0.5, "shortest frequent": 1.0}
    assert choosing.best_rule([[Drawn(B, 0.5)] * 3])[0] == "first"


async def test_drafts_are_read_back_in_the_order_drawn(tmp_path: Path) -> None:
    task = held_out.load_split("openagi", "test")[0]
    right = list(task.reference["derived_plan"])  # type: ignore[call-overload]
    replies = tuple(json.dumps({"steps": [["", name] for name in plan], "answer": ""}) for plan in (right, right[:1]))
    rules = [Rule((replies[0], "nothing", replies[1])), Rule(("nothing",), purpose="draft-repair")]
    rules[0] = Rule(rules[0].replies, purpose="draft")
    writer = Scripted(rules, name="scripted/writer", features=frozenset({"schema", "grammar"}))
    config = BenchConfig(
        "openagi", "scripted/silent", epochs=3, limit=1, concurrency=1, writing=Writing("scripted/writer")
    )
    report = await bench(
        config, PLACEHOLDER, loader.load("openagi"), Scripted([]), runs=tmp_path, open_model=lambda _: writer
    )
    found = choosing.read(report.folder, "test", 3)
    assert list(found) == [task.id]
    drafts = found[task.id]
    assert {drawn.plan for drawn in drafts} == {tuple(right), None, tuple(right[:1])}
    assert [drawn.score for drawn in drafts] == list(report.rows[0].epochs)
    assert next(drawn.score for drawn in drafts if drawn.plan == tuple(right)) == 1.0
    # A task that lacks a draft is no task of fewer draws.
    assert choosing.read(report.folder, "test", 4) == {}
