"""`math-equivalence`: formulas compared by math-verify in a child process that may be killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoflow import plugins
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, MissingDependencyError, SandboxError
from autoflow.scorers import math_equivalence
from autoflow.scorers.math_equivalence import compare, formula
from autoflow.scorers.wording import boxed

pytest.importorskip("math_verify")


async def _judge(gold: object, answer: object, **parameters: object) -> Score:
    judge = plugins.load("scorers", "math-equivalence")(parameters)
    task = Task("t", "?", reference={"answer": gold})  # type: ignore[dict-item]
    return await judge.score(task, Trace("w", "t", (), answer))  # type: ignore[no-any-return, arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{\frac{1}{2}} and \boxed{\{1, {2}\}}.", r"\{1, {2}\}"),
        (r"\fbox{3}", "3"),
        (r"\boxed 7", "7"),
        (r"\boxed{5", None),
        (r"\boxed{4} \boxed{5", "4"),
        (r"\boxedx{5}", None),
        ("none", None),
    ],
)
def test_box_is_the_last_balanced_one(text: str, found: str | None) -> None:
    assert boxed(text) == found


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (r"x \boxed{ 3 } y", "3"),
        ("The answer is $x+1$.\nGoodbye.", "$x+1$"),
        ("First this.\n\n**7**\n", "7"),
        ("", ""),
    ],
)
def test_formula_is_looked_for_in_the_box_then_after_answer_is_then_in_the_last_line(answer: str, found: str) -> None:
    assert formula(answer) == found


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        (r"\frac{1}{2}", r"\boxed{0.5}", 1),
        (r"\frac{3}{4}", r"\boxed{3/4}", 1),
        (r"x^2+2x+1", r"\boxed{(x+1)^2}", 1),
        (r"\sqrt{2}", r"\boxed{2^{1/2}}", 1),
        (r"It is \boxed{16\pi}.", r"The answer is $16 \pi$.", 1),
        (r"(1,2)", r"\boxed{\left( 1,\, 2 \right)}", 1),
        (r"\text{Evelyn}", r"\boxed{\text{Evelyn}}", 1),
        (r"[1,2]", r"\boxed{[1,2)}", 0),
        ("5", r"\boxed{6}", 0),
        ("5", r"\boxed{}", 0),
        ("5", "", 0),
        ("5", None, 0),
        ("5", r"\boxed{}{", 0),
        (["5", "6"], r"\boxed{6}", 1),
        ("12", 12, 1),
        ("1", r"\boxed{__import__('os').getpid()}", 0),
        ("1", r"\boxed{" + "x+" * 5000 + "1}", 0),
    ],
)
async def test_equal_formulas_score_1(gold: object, answer: object, value: float) -> None:
    assert (await _judge(gold, answer)).value == value


async def test_formula_that_takes_too_long_scores_0_and_the_next_is_judged_in_a_fresh_child() -> None:
    assert await compare("1", "2/2") == "equal"
    slow = await _judge("9", r"\boxed{9^{9^{9^{9}}}}", timeout_s=0.5)
    assert (slow.value, slow.reason) == (0.0, "timeout")
    assert await compare("1", "2/2") == "equal"


async def test_child_that_dies_is_started_again() -> None:
    assert await compare("1", "2/2") == "equal"
    process = math_equivalence._child._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert await compare("1", "2/2") == "equal"
    assert math_equivalence._child._process is not process


async def test_one_child_answers_everything() -> None:
    await compare("1", "2")
    process = math_equivalence._child._process
    await _judge("x", r"\boxed{y}")
    assert math_equivalence._child._process is process


async def test_model_text_is_never_evaluated(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    for text in (f"__import__('os').system('touch {target}')", f"open('{target}','w')"):
        assert await compare("1", text) != "equal"
    assert not target.exists()


def test_our_own_process_never_imports_the_library() -> None:
    code = (
        "import asyncio, sys\n"
        "from autoflow.scorers.math_equivalence import compare\n"
        "print(asyncio.run(compare('1', '2/2')), 'sympy' in sys.modules, 'math_verify' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "equal False False\n"


async def test_child_that_cannot_start_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_equivalence, "_child", math_equivalence._Child())
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError, match="the process that compares formulas did not start"):
        await _judge("5", r"\boxed{6}")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxError, match="cannot be started"):
        await _judge("5", r"\boxed{6}")


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'autoflow\[math\]'"):
        plugins.load("scorers", "math-equivalence")({})


def test_time_limit_must_be_one() -> None:
    with pytest.raises(ConfigError, match="timeout_s must lie between 0 and 600 seconds"):
        plugins.load("scorers", "math-equivalence")({"timeout_s": 0})


def test_child_answers_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "autoflow.scorers.math_child"],
        input='["1/2", "0.5"]\n["1", "2"]\n["{", "}"]\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ready\ntrue\nfalse\nfalse\n"
