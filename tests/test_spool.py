"""A spool is a list whose items are not in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow import spool
from autoflow.core.json import canonical, digest, digest_with
from autoflow.core.task import Task
from autoflow.spool import Spool

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(JSON, max_size=8), st.integers(-9, 9), st.slices(9))
def test_a_spool_reads_as_the_list_of_its_items(items: list[object], index: int, part: slice) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "FIRST", 3)
        found = Spool(items)
    assert list(found) == items
    assert len(found) == len(items)
    assert list(found[part]) == items[part]
    assert list(found[part][::-1]) == items[part][::-1]
    if -len(items) <= index < len(items):
        assert found[index] == items[index]
    else:
        with pytest.raises(IndexError):
            found[index]


def test_what_is_too_large_for_memory_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    monkeypatch.setattr(spool, "FIRST", 3)
    found: Spool[Task] = Spool()
    for number in range(50):
        found.append(Task(str(number), "x" * number, {"a": (number, [None])}))
        assert found[number // 2].id == str(number // 2)
    assert [task.context["a"] for task in found] == [(number, [None]) for number in range(50)]
    both = zip(found, found[10:], strict=False)
    assert all(int(later.id) - int(task.id) == 10 for task, later in both)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(), st.lists(JSON, max_size=4))
def test_a_digest_made_in_pieces_is_that_of_the_whole(value: dict[str, object], key: str, items: list[object]) -> None:
    value.pop(key, None)
    assert digest_with(value, key, map(canonical, items)) == digest({**value, key: items})
