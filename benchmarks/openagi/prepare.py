"""Builds the paper's data from the data sets it was made of, by the published procedure.

For each task the first samples of its source, in the source's order; pictures damaged at their own size and kept as
JPEG; one random word of a clozed text masked; German references by T5. Ours: draws seeded by (seed, task, sample), line
breaks within a text become spaces, and clozed summarization, which the published script leaves out, is there too.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from autoflow.errors import DataError

from . import degrade
from .goal import Goal, Input
from .samples import input_file, output_file
from .sentences import sentences
from .sources import SOURCES, Record

PROCEDURE = 1
"""Version of what is made; in `prepared.json`."""

Translate: TypeAlias = Callable[[list[str]], list[str]]
"""English texts -> German ones."""

_SOURCES: dict[str | None, str] = {
    "Image Classification": "imagenet",
    "Image Captioning": "coco",
    "Object Detection": "coco",
    "Text to Image Generation": "coco",
    "Text Summarization": "cnn_dailymail",
    "Sentiment Analysis": "sst2",
    "Visual Question Answering": "textvqa",
    "Question Answering": "squad",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was done."""

    made: tuple[str, ...]
    """Ids of the tasks made."""

    kept: tuple[str, ...]
    """Of those that were there already."""


def source_of(goal: Goal) -> str:
    """The source of a task's samples, a key of `SOURCES`."""
    if goal.core is None:
        return "imagenet" if goal.output == "image" else "coco"
    return _SOURCES[goal.core]


def needed(tasks: Sequence[int]) -> list[str]:
    """The sources of these tasks, each once, in the order of `SOURCES`."""
    wanted = {source_of(sentences()[task][1]) for task in tasks}
    return [name for name in SOURCES if name in wanted]


def german(tasks: Sequence[int]) -> bool:
    """Whether any of these tasks needs German references."""
    return any(sentences()[task][1].language == "German" for task in tasks)


def prepare(
    folder: Path,
    records: Mapping[str, Sequence[Record]],
    tasks: Sequence[int],
    *,
    seed: int = 0,
    translate: Translate | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Write the samples of `tasks` into `folder`; a task that is there is kept.

    Args:
        records: Source -> its records, as many as samples are wanted.
        translate: Needed where a task's references are German.

    Raises:
        DataError: If the folder holds data of another procedure, seed or size.
    """
    count = min(len(found) for found in records.values())
    _settle(folder, {"procedure": PROCEDURE, "seed": seed, "samples": count})
    made, kept = [], []
    for task in tasks:
        goal = sentences()[task][1]
        path = folder / str(task)
        if path.is_dir():
            kept.append(str(task))
            continue
        say(f"task {task}: {sentences()[task][0]}")
        new = folder / f"{task}.new"
        shutil.rmtree(new, ignore_errors=True)
        rngs = [degrade.generator(seed, str(task), index) for index in range(count)]
        _task(new, goal, records[source_of(goal)][:count], rngs, translate)
        # Whole or not at all: a task that was cut off is made again.
        new.rename(path)
        made.append(str(task))
    return Prepared(tuple(made), tuple(kept))


def cloze(text: str, rng: Any) -> str:
    """The text with one of its words, parted by spaces, as `[MASK]`."""
    words = text.split(" ")
    words[int(rng.integers(len(words)))] = "[MASK]"
    return " ".join(words)


def _settle(folder: Path, settings: dict[str, int]) -> None:
    """Write down what the folder is made by; refuse one made by something else."""
    file = folder / "prepared.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found != settings:
            raise DataError(f"{folder} was prepared with {found}, not {settings}", hint="name another folder: --out")
        return
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{json.dumps(settings)}\n", encoding="utf-8")


def _task(
    folder: Path, goal: Goal, records: Sequence[Record], rngs: Sequence[Any], translate: Translate | None
) -> None:
    for place, item in enumerate(goal.inputs):
        path = folder / "inputs" / input_file(goal, place)
        if item.type == "image":
            path.mkdir(parents=True)
            for index, (record, rng) in enumerate(zip(records, rngs, strict=True)):
                (path / f"{index}.jpg").write_bytes(degrade.degrade(_picture(record), item.defects, rng))
        else:
            texts = [_text(goal, item, record) for record in records]
            if "clozed" in item.defects:
                texts = [cloze(text, rng) for text, rng in zip(texts, rngs, strict=True)]
            _write(path, texts)
    output = output_file(goal)
    if output == "images":
        path = folder / "outputs" / output
        path.mkdir(parents=True)
        for index, record in enumerate(records):
            (path / f"{index}.jpg").write_bytes(degrade.degrade(_picture(record), (), rngs[index]))
    elif output is not None:
        _write(folder / "outputs" / output, _references(goal, records, translate))


def _references(goal: Goal, records: Sequence[Record], translate: Translate | None) -> list[str]:
    texts = [_line(_reference(goal, record)) for record in records]
    if goal.language != "German":
        return texts
    if translate is None:
        raise DataError("German references need a translator")
    return [_line(text) for text in translate(texts)]


def _picture(record: Record) -> Any:
    assert record.picture is not None
    return record.picture


def _text(goal: Goal, item: Input, record: Record) -> str:
    found = record.query if item.role == "query" else record.text
    assert found is not None, goal
    return _line(found)


def _reference(goal: Goal, record: Record) -> str:
    """What the task's answer is, in English."""
    found = {"Object Detection": record.objects, "Image Captioning": record.text, None: record.text}.get(
        goal.core, record.label
    )
    if found is None:
        raise DataError(f"a task asks for what {SOURCES[source_of(goal)].title} has not got there: {goal.core}")
    return found


def _line(text: str) -> str:
    return " ".join(text.split())


def _write(path: Path, texts: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
