"""`code-tests`: HumanEval's and MBPP's rule, and pass@k."""

from typing import Any

import pytest
from scipy.stats import hypergeom

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, DataError, SandboxError, UnknownNameError
from autoflow.sandbox.choose import describe
from autoflow.sandbox.program import Outcome, Program
from autoflow.scorers.code_tests import CodeTests, extract, pass_at_k

PROMPT = '''from typing import List


def half(x: int) -> int:
    return x // 2


def total(numbers: List[int]) -> int:
    """Sum of the halves.
    >>> total([2, 4])
    3
    """
'''
BODY = "    return sum(half(number) for number in numbers)\n"
WHOLE = "def total(numbers: List[int]) -> int:\n" + BODY
CHECK = "def check(candidate):\n    assert candidate([2, 4]) == 3\n    assert candidate([half(8)]) == 2\n"
REFERENCE = {"prompt": PROMPT, "test": CHECK, "entry_point": "total"}


async def _score(answer: Json, reference: dict[str, Any] = REFERENCE, **parameters: Json) -> Score:
    if not any(boundary.works for boundary in describe()):
        pytest.skip("no sandbox works on this machine")
    judge = plugins.load("scorers", "code-tests")(parameters)
    found = await judge.score(Task("t", "?", reference=reference), Trace("w", "t", (), answer))
    assert isinstance(found, Score)
    return found


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        BODY,
        PROMPT + BODY,
        f"Here it is:\n\n```python\n{WHOLE}```\nDone.",
        f"```\n{BODY}```",
        f"```python\n{WHOLE}",
        f"```python\nprint(total([1]))\n```\nwhich uses\n```py\n{WHOLE}```\nso run\n```bash\npython x.py\n```",
        f"```python\ndef total(n): return 0\n```\nNo, better:\n```python\n{WHOLE}```",
    ],
)
async def test_right_answer_in_any_form_scores_1(answer: str) -> None:
    assert await _score(answer) == Score(1.0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (WHOLE.replace("half(number)", "number"), "assertion"),
        ("def total(numbers): return None", "assertion"),
        ("def total(numbers): return missing", "error"),
        ("def other(numbers): return 3", "no_function"),
        ("I cannot do that.", "syntax"),
        ("import os\nos._exit(0)", "crash"),
        ("print('passed')\nraise SystemExit(0)", "load_error"),
        ("", "empty_answer"),
        ("  \n", "empty_answer"),
        (None, "empty_answer"),
        ({"code": WHOLE}, "no_text"),
    ],
)
async def test_wrong_answer_scores_0_and_says_why(answer: Json, reason: str) -> None:
    found = await _score(answer)
    assert (found.value, found.reason) == (0.0, reason)


async def test_time_and_memory_are_parameters() -> None:
    slow = await _score("import time\ndef total(n): time.sleep(60)", timeout_s=0.5)
    assert (slow.value, slow.reason) == (0.0, "timeout")
    large = await _score("def total(n): return len(bytearray(200_000_000))", memory_mb=100)
    assert (large.value, large.reason) == (0.0, "error")
    assert "MemoryError" in str(large.details["detail"])


async def test_list_of_asserts_with_imports_is_run_as_mbpp_has_it() -> None:
    reference = {
        "test": ["assert math.isclose(area(1), 3.14159, rel_tol=0.001)", "assert area(0) == 0"],
        "setup": ["import math"],
        "entry_point": "area",
    }
    assert await _score("def area(r): return math.pi * r * r", reference) == Score(1.0)
    assert (await _score("def area(r): return 3 * r * r", reference)).value == 0.0


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({}, "task t: its reference has no tests under 'test'"),
        ({"test": " "}, "has no tests"),
        ({"test": 3}, "task t: 'test' in its reference must be source or a list of statements, not 3"),
        ({"test": CHECK, "entry_point": 3}, "task t: entry_point must be a name, not 3"),
        ({"test": CHECK, "prompt": "Write a function"}, "task t: its prompt is not Python"),
        ({"test": "assert total("}, "task t: the tests cannot be run"),
    ],
)
async def test_fault_of_the_data_is_an_error_and_no_score(reference: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        await _score("def total(n): return 3", reference)


async def test_fault_of_the_sandbox_is_an_error_and_no_score() -> None:
    class Broken:
        name = "broken"
        enforced = True

        async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
            import os

            for fd in fds:
                os.close(fd)
            raise SandboxError("no namespaces")

    with pytest.raises(SandboxError, match="no namespaces"):
        await CodeTests(sandbox=Broken()).score(Task("t", "?", reference=REFERENCE), Trace("w", "t", (), WHOLE))


def test_parameters_are_checked() -> None:
    make = plugins.load("scorers", "code-tests")
    with pytest.raises(UnknownNameError, match="'unsafe'; there are: timeout_s, memory_mb"):
        make({"unsafe": True})
    for value in (True, "15", 0, -1):
        with pytest.raises(ConfigError, match="timeout_s must be a positive number"):
            make({"timeout_s": value})


def test_extraction_keeps_what_is_not_fenced() -> None:
    assert extract("    return 1") == "    return 1"
    assert extract("```js\nx\n```", "f") == "```js\nx\n```"
    assert extract("```python\na = 1\n```\n```python\nb = 2\n```", "f") == "a = 1\n\nb = 2\n"
    assert extract("```python title='x'\nf = 3\n```", "f") == "f = 3\n"


@pytest.mark.parametrize(("n", "c", "k"), [(1, 0, 1), (1, 1, 1), (10, 3, 1), (10, 3, 5), (10, 8, 5), (200, 17, 100)])
def test_pass_at_k_is_the_chance_that_a_draw_without_replacement_holds_a_pass(n: int, c: int, k: int) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(1 - hypergeom.pmf(0, n, c, k))


def test_pass_at_k_of_an_impossible_draw_does_not_exist() -> None:
    for n, c, k in ((1, 2, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)):
        with pytest.raises(ValueError, match="does not exist"):
            pass_at_k(n, c, k)
