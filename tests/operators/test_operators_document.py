"""docs/operators.md says what there is, and its example works."""

import re
from pathlib import Path
from typing import Any

import pytest
from operator_helpers import invocation

from autoflow import resources
from autoflow.benchmarks import operator_sets
from autoflow.core.operator import Counted
from autoflow.core.task import Task
from autoflow.errors import OperatorError
from autoflow.interpreter.run import Interpreter
from autoflow.language.document import parse
from autoflow.language.lint import lint
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.asking import SAMPLING_PARAMETERS
from autoflow.operators.library import library


@pytest.fixture
def text(root: Path) -> str:
    return (root / "docs" / "operators.md").read_text(encoding="utf-8")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_operator_is_in_the_table_with_its_type_calls_and_parameters(text: str) -> None:
    rows = {
        cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
        for cells in (line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `"))
        if len(cells) == 5
    }
    assert set(rows) == set(library())
    for name, operator in library().items():
        _, gives, calls, parameters = rows[name]
        assert isinstance(operator, Counted)
        least, most = operator.calls({})
        assert gives == operator.card.output
        assert calls == (str(least) if least == most else f"{least}-{most}")
        own = [parameter for parameter in operator.card.parameters if parameter not in SAMPLING_PARAMETERS]
        assert re.findall(r"`(\w+)`", parameters) == own, name
        assert (name == "python") != (set(SAMPLING_PARAMETERS) <= set(operator.card.parameters))


def test_every_set_is_named(text: str) -> None:
    section = text.partition("## Operator sets")[2].partition("\n## ")[0]
    named = {
        name for line in section.splitlines() if line.startswith("| `") for name in re.findall(r"`([a-z-]+)`", line)
    }
    assert named == set(operator_sets.names())


async def test_the_workflow_in_it_is_sound_and_runs(text: str) -> None:
    document = parse(_blocks(text, "yaml")[0])
    assert lint(document, {name: operator.card for name, operator in library().items()}) == []
    codes = [f"```python\ndef solve():\n    return {value}\n```" for value in (-3, 4)]
    trace = await Interpreter(Scripted([Rule(tuple(codes))]), library()).run(document.workflow, Task("t", "2 + 2?"))
    assert trace.answer == "4"


async def test_the_example_operator_works(text: str) -> None:
    (source,) = _blocks(text, "python")
    names: dict[str, Any] = {}
    exec(source, names)
    operator = names["PLUGIN"]
    assert await operator.run(invocation(None, {"least": 3}, inputs={"a": "one two three of"})) == 3
    with pytest.raises(OperatorError):
        await operator.run(invocation(None))
    flow = (
        "autoflow: 1\nname: count\nsteps:\n"
        "  - {name: write, type: process, instruction: Write., next: count}\n"
        "  - {name: count, type: terminal, operator: word-count}\n"
    )
    reach = {**library(), "word-count": operator}
    assert lint(parse(flow), {name: item.card for name, item in reach.items()}) == []
    trace = await Interpreter(Scripted([Rule(("a b c",))]), reach).run(parse(flow).workflow, Task("t", "T"))
    assert trace.answer == 3


def test_bundled_workflows_use_most_of_the_library() -> None:
    used = {
        step.operator
        for file in resources.folder("workflows").rglob("*.yaml")
        for step in parse(file.read_bytes(), str(file)).workflow.steps
    }
    # `custom` is generate with a bare prompt, `diversity` is shown by debate.
    assert set(library()) - used <= {"custom", "diversity"}
