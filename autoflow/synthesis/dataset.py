"""A data set on disk: a JSON Lines file a split, a card that Hugging Face's libraries read, and the domains.

FOLDER/
    README.md               the card; `datasets.load_dataset(FOLDER)` reads the splits by it
    train.jsonl ...         a row a line (`rows.Row.to_json`)
    synthesis.json          the configuration and the counts
    environments/<domain>/  each made-up domain as a benchmark folder, its tasks in the split they are in
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoflow import __version__
from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import DataError, UsageError
from autoflow.synthesis import environment
from autoflow.synthesis.exercise import SPLITS, Exercise
from autoflow.synthesis.rows import Row, from_json
from autoflow.synthesis.synthesize import Kept
from autoflow.synthesis.world import Domain

_ENVIRONMENT_SPLIT = {"validation_tasks": "validation"}
# What a benchmark calls a split; the others keep their names.


def write(
    folder: Path,
    kept: Kept,
    domains: Sequence[Domain],
    exercises: Sequence[Exercise],
    config: Mapping[str, Json],
) -> None:
    """Write the data set into a folder that is new or empty.

    Raises:
        UsageError: If there is something in it.
    """
    check_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = [row for row in kept.rows if row.split == split]
        if rows:
            text = "".join(json.dumps(row.to_json(), ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    for domain in domains:
        tasks: dict[str, list[Task]] = {}
        for exercise in exercises:
            if exercise.domain == domain.id:
                tasks.setdefault(_ENVIRONMENT_SPLIT.get(exercise.split, exercise.split), []).extend(exercise.tasks)
        environment.write_folder(folder / "environments" / domain.id, domain, tasks)
    counts = {split: sum(row.split == split for row in kept.rows) for split in SPLITS}
    record = {"autoflow": __version__, "config": dict(config), "rows": counts, "refused": dict(kept.refused)}
    (folder / "synthesis.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(kept, config), encoding="utf-8")


def check_empty(folder: Path) -> None:
    """Make sure that nothing would be overwritten.

    Raises:
        UsageError: If there is something in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and not empty", hint="name another folder, or remove this one")


def read(folder: Path, split: str) -> list[Row]:
    """The rows of a split, in order.

    Raises:
        DataError: If the file is not there or is no data set's.
    """
    file = folder / f"{split}.jsonl"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}:{number}: is no row of a data set: {error}") from error
    return rows


def card(kept: Kept, config: Mapping[str, Json]) -> str:
    """The data set's card, with the header that Hugging Face's libraries read."""
    present = [split for split in SPLITS if any(row.split == split for row in kept.rows)]
    files = "\n".join(f"  - split: {split}\n    path: {split}.jsonl" for split in present)
    lengths = Counter(_steps(row) for row in kept.rows if row.form != "label")
    lines = [
        "---",
        "pretty_name: Workflows for operators that were never seen",
        "language: en",
        "license: apache-2.0",
        "task_categories: [text-generation]",
        "configs:",
        "- config_name: default",
        "  data_files:",
        files,
        "---",
        "",
        "# Synthetic workflows",
        "",
        "Each row is a conversation with a generator of workflows (`prompt`) and the workflow to write (`completion`).",
        "A row was kept because its workflow lints, runs, and scores as stated when it is executed.",
        *_on_decisions(kept),
        "",
        "| split | rows | operator sets | tasks are | operators are |",
        "|---|---|---|---|---|",
    ]
    said = {
        "train": ("learnt from", "learnt from"),
        "validation_tasks": ("unseen", "those of train"),
        "validation": ("unseen", "unseen, made of concepts that train never mentions"),
        "test": ("unseen", "unseen, of others again"),
    }
    for split in present:
        rows = [row for row in kept.rows if row.split == split]
        tasks, operators = said[split]
        lines.append(f"| {split} | {len(rows)} | {len({row.operator_set for row in rows})} | {tasks} | {operators} |")
    sources = Counter(row.source for row in kept.rows)
    lines += [
        "",
        f"Written by: {', '.join(f'{name} ({count})' for name, count in sorted(sources.items()))}.",
        f"Form: {config.get('form')}.",
        f"Steps before the answer: {', '.join(f'{steps}: {count}' for steps, count in sorted(lengths.items()))}.",
        f"Refused: {', '.join(f'{reason} {count}' for reason, count in kept.refused.items()) or 'nothing'}.",
        f"Made with autoflow {__version__}:",
        "",
        f"    {config.get('command')}",
        "",
        "## Limits",
        "",
        "The domains are made up: what a tool does is known by definition, and none runs. Sentences come from a small",
        "set of frames, in English. Plans are straight: no decisions, no loops.",
    ]
    return "\n".join(lines) + "\n"


def _on_decisions(kept: Kept) -> list[str]:
    count = sum(row.form == "label" for row in kept.rows)
    if not count:
        return []
    return [
        f"{count} rows, of the form `label`, are an interpreter's instead: a decision, and the label that is right."
    ]


def _steps(row: Row) -> int:
    if row.form == "outline":
        return len(json.loads(row.completion)["steps"])
    return row.completion.count("operator")
