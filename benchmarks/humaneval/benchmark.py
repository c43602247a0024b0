"""HumanEval's rows as tasks. What benchmark.yaml cannot say."""

from collections.abc import Mapping
from typing import Any

from autoflow.benchmarks.visible_tests import KEY, examples
from autoflow.core.task import Task

ASK = "Complete this Python function. Answer with the whole function, imports included, and nothing else."


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A row of the published file; the id is the number in `HumanEval/17`.

    The docstring's examples are tests that a workflow may run; the loader drops those that are hidden tests too.
    """
    return Task(
        id=str(row["task_id"]).removeprefix("HumanEval/"),
        text=f"{ASK}\n\n{row['prompt'].strip()}",
        # What the text holds too, where steps find it.
        context={
            KEY: examples(row["prompt"], row["entry_point"]),
            "entry_point": row["entry_point"],
            "prompt": row["prompt"],
        },
        reference={"test": row["test"], "entry_point": row["entry_point"], "prompt": row["prompt"]},
    )
