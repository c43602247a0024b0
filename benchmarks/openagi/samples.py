"""The samples of a task: bundled ones for the tasks that the local set covers, or those of a folder of prepared data.

A prepared folder has, for each task id: `inputs/` with `images/0.jpg` ..., `text.txt`, `captions.txt`, `questions.txt`,
`context.txt`, and `outputs/` with `images/`, `labels.txt`, `answers.txt`; one text a line, in the order of the samples.
"""

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from autoflow.errors import DataError

from . import degrade
from .expert import Picture, Value
from .goal import Goal

DATA_SEED = 0
"""Of the noise on bundled pictures."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One input of a task with its right answer."""

    name: str
    inputs: tuple[Value, ...]
    """As `Goal.inputs` orders them."""

    answers: tuple[str, ...] = ()
    """Right texts; empty where the output is a picture."""

    original: Picture | None = None
    """The picture before it was damaged: of an image task, the right output."""


class Samples(Protocol):
    """Where samples come from."""

    def covers(self, goal: Goal, task: str) -> bool:
        """Whether it has samples for the task, judged without loading them."""
        ...

    def load(self, goal: Goal, task: str, limit: int | None) -> Sequence[Sample]:
        """The first `limit` samples, always the same.

        Raises:
            DataError: If they are absent or malformed; with file and line.
        """
        ...

    def missing(self, goal: Goal, task: str) -> list[str]:
        """Files that the task needs and that are not there."""
        ...

    @property
    def description(self) -> str:
        """For the report."""
        ...


class Bundled:
    """scikit-image's bundled pictures, resized to 256 x 256 and then degraded, and English texts of our own."""

    description = (
        "10 bundled pictures of scikit-image (5 with class labels by hand), 16 sentiments, 10 summaries, 12 questions"
    )

    def __init__(self) -> None:
        self._folder = Path(__file__).parent / "data"

    def covers(self, goal: Goal, task: str) -> bool:
        """See `Samples`. No clozed texts, no grayscale pictures, no captions, objects or German references."""
        damaged = {defect for item in goal.inputs for defect in item.defects}
        return (
            not damaged & {"clozed", "grayscale"}
            and goal.language != "German"
            and (goal.core, goal.output) in _BUNDLED_KINDS
        )

    def missing(self, goal: Goal, task: str) -> list[str]:
        """See `Samples`."""
        uses_pictures = any(item.type == "image" for item in goal.inputs)
        return ["scikit-image's pictures"] if uses_pictures and _pictures_folder() is None else []

    def load(self, goal: Goal, task: str, limit: int | None) -> Sequence[Sample]:
        """See `Samples`."""
        if goal.core in _BUNDLED_TEXTS:
            found = _texts(self._folder / _BUNDLED_TEXTS[goal.core], [item.role for item in goal.inputs])
        else:
            found = self._pictures(goal, task)
        return found[:limit]

    def _pictures(self, goal: Goal, task: str) -> list[Sample]:
        folder = _pictures_folder()
        if folder is None:
            raise DataError("the bundled pictures come with scikit-image, which is not installed")
        listed = json.loads((self._folder / "pictures.json").read_text(encoding="utf-8"))["pictures"]
        found = []
        for index, entry in enumerate(listed):
            if goal.core is not None and not entry["labels"]:
                continue
            original = degrade.load((folder / entry["file"]).read_bytes())
            damaged = degrade.degrade(original, goal.inputs[0].defects, degrade.generator(DATA_SEED, task, index))
            answers = tuple(entry["labels"]) if goal.core is not None else ()
            found.append(Sample(Path(entry["file"]).stem, (degrade.load(damaged),), answers, original))
        return found


_BUNDLED_TEXTS: dict[str | None, str] = {
    "Sentiment Analysis": "sentiment.jsonl",
    "Text Summarization": "summaries.jsonl",
    "Question Answering": "questions.jsonl",
}
_BUNDLED_KINDS = {(None, "image"), ("Image Classification", "text"), *((core, "text") for core in _BUNDLED_TEXTS)}


def _pictures_folder() -> Path | None:
    found = importlib.util.find_spec("skimage")
    return Path(found.origin).parent / "data" if found is not None and found.origin is not None else None


def _texts(file: Path, roles: list[Any]) -> list[Sample]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [
        Sample(f"{file.stem} {number}", tuple(row[role] for role in roles), tuple(row["answers"]))
        for number, row in enumerate(rows, 1)
    ]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder made by `autoflow openagi prepare`, or laid out as such."""

    folder: Path

    @property
    def description(self) -> str:
        """See `Samples`."""
        return f"prepared data, {fingerprint(self.folder)[:16]}"

    def covers(self, goal: Goal, task: str) -> bool:
        """See `Samples`: every task; what is not there is missing, not uncovered."""
        return True

    def missing(self, goal: Goal, task: str) -> list[str]:
        """See `Samples`."""
        return [str(path) for path in self._needed(goal, task) if not path.exists()]

    def load(self, goal: Goal, task: str, limit: int | None) -> Sequence[Sample]:
        """See `Samples`."""
        columns = [
            _images(path) if path.is_dir() or path.name == "images" else _lines(path)
            for path in self._needed(goal, task)
        ]
        *inputs, outputs = columns
        if goal.core == "Text to Image Generation":
            inputs, outputs = columns, [None] * len(columns[0])
        for path, column in zip(self._needed(goal, task), columns, strict=True):
            if len(column) != len(columns[0]):
                raise DataError(f"{path}: has {len(column)} samples, the first of the task's files {len(columns[0])}")
        found = []
        for index, output in list(enumerate(outputs))[:limit]:
            given = tuple(column[index] for column in inputs)
            picture = None if output is None or isinstance(output, str) else output
            answers = (output,) if isinstance(output, str) else ()
            found.append(Sample(str(index), given, answers, picture))
        if not found:
            raise DataError(f"{self.folder / task}: has no samples")
        return found

    def _needed(self, goal: Goal, task: str) -> list[Path]:
        """The files of each input, then of the output, which text-to-image has none of."""
        base = self.folder / task
        needed = [base / "inputs" / input_file(goal, index) for index in range(len(goal.inputs))]
        output = output_file(goal)
        return needed if output is None else [*needed, base / "outputs" / output]


def input_file(goal: Goal, index: int) -> str:
    """Where the samples of an input lie, below `inputs`."""
    role = goal.inputs[index].role
    if role == "image":
        return "images"
    if role == "query":
        return "questions.txt"
    if role == "document":
        return "context.txt"
    return "captions.txt" if goal.core == "Text to Image Generation" else "text.txt"


def output_file(goal: Goal) -> str | None:
    """Where the right outputs lie, below `outputs`; `None` where the input itself is the measure."""
    if goal.core == "Text to Image Generation":
        return None
    if goal.output == "image":
        return "images"
    return "answers.txt" if len(goal.inputs) == 2 else "labels.txt"


def fingerprint(folder: Path) -> str:
    """Hash of a prepared folder's content: names and bytes of the files below numbered folders."""
    total = hashlib.sha256()
    tasks = [path for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    for task in sorted(tasks, key=lambda path: int(path.name)):
        for path in sorted(path for path in task.rglob("*") if path.is_file()):
            total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _images(folder: Path) -> list[Any]:
    found = []
    for index in range(len(list(folder.glob("*.jpg")))):
        path = folder / f"{index}.jpg"
        try:
            found.append(degrade.load(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error
    return found


def _lines(path: Path) -> list[Any]:
    try:
        # Not splitlines: a text may hold characters that it takes for line ends.
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
