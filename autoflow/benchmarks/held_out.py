"""The one way to tasks that nothing may learn from. Strategies, generator and objective may not import this module."""

from collections.abc import Iterable, Mapping, Sequence

from autoflow.benchmarks import folder as folders
from autoflow.core.json import Json
from autoflow.core.task import Task


def load_split(name_or_path: str, split: str | None, *, options: Mapping[str, Json] | None = None) -> Sequence[Task]:
    """The tasks of any split, also of test, in the order of the definition; each is read when it is asked for. `None`:
    every task, in the data's order.

    Raises:
        UnknownNameError: For an unknown benchmark, split or option, listing what exists.
        DataError: If definition, data or code is at fault; with file and line.
    """
    opened = folders.open_folder(name_or_path, options or {})
    return opened.rows.tasks if split is None else opened.split(split)


def splits(name_or_path: str, *, options: Mapping[str, Json] | None = None) -> dict[str, int]:
    """The benchmark's splits in the order of the definition, each with its number of tasks."""
    opened = folders.open_folder(name_or_path, options or {})
    return {name: len(opened.ids(name)) for name in opened.placed.definition.splits}


def list_tasks(
    name_or_path: str, tasks: Iterable[Task], *, options: Mapping[str, Json] | None = None
) -> list[dict[str, Json]]:
    """What `load_split` gave, to be shown: `id`, `splits` that it is in, `category`, `text`."""
    opened = folders.open_folder(name_or_path, options or {})
    members = {name: set(opened.ids(name)) for name in opened.placed.definition.splits}
    return [
        {
            "id": task.id,
            "splits": [name for name, ids in members.items() if task.id in ids],
            "category": task.category,
            "text": task.text,
        }
        for task in tasks
    ]
