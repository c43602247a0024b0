"""Code in a parameter is parsed, never run, and never breaks the reader."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow.language.python_code import MAX_CHARS, fault_of_code


@pytest.mark.parametrize(
    "code",
    [
        "def run(results): return 1",
        "class run: pass",
        "run = len",
        "from math import floor as run",
        "try:\n    import a\nexcept ImportError:\n    def run(x): pass",
        "x = '\\d'\ndef run(x): pass",
    ],
)
def test_code_that_defines_the_function_is_sound(code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fault_of_code(code, "run") is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def run(:", "line 1: invalid syntax"),
        ("x = 1\n  y = 2", "line 2: unexpected indent"),
        ("def go(): pass", "it defines no function run()"),
        ("def go():\n    def run(): pass", "it defines no function run()"),
        ("async def run(x): pass", "it defines no function run()"),
        ("\0", "null bytes"),
        ("\ud800", "cannot be read as Python"),
        ("1+" * 40_000 + "1", "cannot be read as Python"),
        ("(" * 90_000, "too many nested parentheses"),
        ("-" * 90_000 + "1", "cannot be read as Python"),
        ("#" * (MAX_CHARS + 1), f"at most {MAX_CHARS} are read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(code: str, said: str) -> None:
    fault = fault_of_code(code, "run")
    assert fault is not None
    assert said in fault
    assert "\n" not in fault


@given(st.text(max_size=60))
def test_any_text_is_read(code: str) -> None:
    fault_of_code(code, "run")


def test_nothing_of_the_code_is_run() -> None:
    assert fault_of_code("raise SystemExit\ndef run(): pass", "run") is None
    assert fault_of_code("1 / 0") is None
