"""`$(...)`: what is a reference, what is not, and that what is inserted stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow.errors import UnknownNameError
from autoflow.language.references import escape, fill, insertable, loose, references

_texts = st.text(st.sampled_from("$()a b\n"), max_size=20)


def test_names_are_found_in_order_each_once() -> None:
    assert references("$(b) and $( a ) and $(b) and $(task)") == ("b", "a", "task")


def test_parentheses_in_a_name_are_paired() -> None:
    assert references("$(check (final)) :)") == ("check (final)",)


@pytest.mark.parametrize("text", ["$$(a)", "$", "$(", "$()", "$( )", "(a)", "$ (a)", "$(a\nb)", "$(a", "$(a (b)"])
def test_what_is_no_reference(text: str) -> None:
    assert "a" not in references(text)


@pytest.mark.parametrize(("text", "count"), [("$(", 1), ("$() $(a $(b)", 2), ("$$(", 0), ("$(a)", 0), ("none", 0)])
def test_loose_ones_are_counted(text: str, count: int) -> None:
    assert loose(text) == count


def test_a_reference_inside_a_name_is_part_of_the_name() -> None:
    assert references("$(a $(b)) $(c)") == ("a $(b)", "c")
    assert fill("$(a $(b))!", {"a $(b)": "x"}) == "x!"


def test_what_is_inserted_is_not_looked_at_again() -> None:
    assert fill("$(a) $(b)", {"a": "$(b) $$(b)", "b": "{{ x }}"}) == "$(b) $$(b) {{ x }}"


def test_an_escape_becomes_plain() -> None:
    assert fill("$$(a) $$$(a)", {}) == "$(a) $$(a)"


def test_a_name_without_a_value_is_an_error_that_lists_those_with_one() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown result 'c'; there are: a, b"):
        fill("$(c)", {"a": "", "b": ""})


@given(_texts)
def test_an_escaped_text_comes_out_as_it_was(text: str) -> None:
    assert references(escape(text)) == ()
    assert fill(escape(text), {}) == text


@given(_texts)
def test_filling_names_with_their_own_source_changes_only_escapes(text: str) -> None:
    values = dict.fromkeys(references(text), "")
    assert isinstance(fill(text, values), str)


@pytest.mark.parametrize(("name", "can"), [("a", True), ("a (b)", True), ("task", False), ("a)", False), (" a", False)])
def test_names_that_can_be_inserted(name: str, can: bool) -> None:
    assert insertable(name) is can
