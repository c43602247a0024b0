"""Shards part the tasks, whatever their order, and every task is in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow.core.task import Task
from autoflow.errors import UsageError
from autoflow.shard import Shard


@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=40), st.integers(1, 12), st.randoms())
def test_shards_part_the_tasks_evenly_in_any_order(ids: list[str], of: int, random: object) -> None:
    tasks = [Task(name, "") for name in ids]
    of = min(of, len(ids))
    parts = [[task.id for task in Shard(number, of).part(tasks)] for number in range(1, of + 1)]
    assert sorted(name for part in parts for name in part) == sorted(ids)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    shuffled = list(tasks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [{task.id for task in Shard(number, of).part(shuffled)} for number in range(1, of + 1)] == list(
        map(set, parts)
    )


@pytest.mark.parametrize("text", ["", "2", "0/3", "4/3", "1/0", "-1/2", "1/2/3", "a/b", "1 / 2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a shard is written i/n"):
        Shard.parse(text)


def test_a_shard_without_a_task_is_refused() -> None:
    with pytest.raises(UsageError, match=r"shard 2/3 has no task: there are only 1"):
        Shard.parse("2/3").part([Task("only", "")])
