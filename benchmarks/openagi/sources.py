"""The data sets that the paper's data is built from, read through `datasets` from what the user has of them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoflow.errors import DataError, MissingDependencyError, UnknownNameError, UsageError

from .expert import Picture


@dataclass(frozen=True, slots=True)
class Record:
    """One sample of a source; what a source has none of is `None`."""

    picture: Picture | None = None
    text: str | None = None
    """What is read: an article, a review, a caption, a context."""

    query: str | None = None
    label: str | None = None
    """What is right: a class, a summary, a sentiment, an answer."""

    objects: str | None = None
    """The names of all objects in the picture, joined by commas."""


@dataclass(frozen=True, slots=True)
class Source:
    """One data set."""

    name: str
    title: str
    licence: str
    hub: str | None
    """Where the hub has it, as `owner/name` or `owner/name:configuration`; `None` where only the user can."""

    split: str
    columns: tuple[str, ...]
    read: Callable[[Any], Record]
    """A row of the data set -> record."""


def _image(row: Mapping[str, Any]) -> Picture:
    import numpy as np

    return np.asarray(row["image"].convert("RGB"))


def _labelled(row: Mapping[str, Any]) -> str:
    """The label in words, as the data set names it."""
    return str(row["label"])


def _first(answers: Any) -> str:
    """The first right answer: a list's, or that of SQuAD's `{text: [...]}`."""
    return str(answers["text"][0] if isinstance(answers, Mapping) else answers[0])


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "imagenet", "ImageNet-1k, validation", "non-commercial research", "ILSVRC/imagenet-1k", "validation",
            # Restoration needs no label: pictures without classes do.
            ("image",),
            lambda row: Record(picture=_image(row), label=_labelled(row) if "label" in row else None),
        ),
        Source(
            "coco", "COCO 2017, validation", "annotations CC BY 4.0, pictures Flickr's", None, "validation",
            ("image", "caption", "objects"),
            lambda row: Record(picture=_image(row), text=str(row["caption"]), objects=str(row["objects"])),
        ),
        Source(
            "cnn_dailymail", "CNN/DailyMail 3.0.0, test", "Apache-2.0", "abisee/cnn_dailymail:3.0.0", "test",
            ("article", "highlights"), lambda row: Record(text=str(row["article"]), label=str(row["highlights"])),
        ),
        Source(
            "sst2", "SST-2, validation", "not stated", "stanfordnlp/sst2", "validation",
            ("sentence", "label"), lambda row: Record(text=str(row["sentence"]), label=_labelled(row)),
        ),
        Source(
            "textvqa", "TextVQA, validation", "CC BY 4.0", "lmms-lab/textvqa", "validation",
            ("image", "question", "answers"),
            lambda row: Record(picture=_image(row), query=str(row["question"]), label=_first(row["answers"])),
        ),
        Source(
            "squad", "SQuAD 1.1, validation", "CC BY-SA 4.0", "rajpurkar/squad", "validation",
            ("context", "question", "answers"),
            lambda row: Record(text=str(row["context"]), query=str(row["question"]), label=_first(row["answers"])),
        ),
    )
}  # fmt: skip
"""By the name that `--source` takes."""


def parse(given: Sequence[str]) -> dict[str, str]:
    """`name=place` pairs, a place being a folder, a file or a name on the hub.

    Raises:
        UsageError: For what is no pair.
        UnknownNameError: For a source that does not exist.
    """
    found = {}
    for pair in given:
        name, equals, place = pair.partition("=")
        if not equals or not place:
            raise UsageError(f"--source takes name=place, not {pair!r}", hint=f"names are: {', '.join(SOURCES)}")
        if name not in SOURCES:
            raise UnknownNameError("source of openagi's data", name, list(SOURCES))
        found[name] = place
    return found


def open_source(name: str, place: str, count: int) -> list[Record]:
    """The first `count` records of a source, in its own order.

    `place` is a folder that `datasets` saved, a file or folder that it reads (Parquet, JSON lines, CSV; for ImageNet a
    folder a class, or pictures alone where no task asks for a label), for COCO the folder with `val2017/` and
    `annotations/`, or a name on the hub, which reaches the network. Nothing is fetched otherwise.

    Raises:
        MissingDependencyError: If `datasets` is not installed.
        DataError: If the place cannot be read as that source; with the columns it has.
    """
    source = SOURCES[name]
    rows = list(_coco(Path(place), count)) if _is_coco(name, place) else list(_rows(source, place, count))
    if len(rows) < count:
        raise DataError(f"{place}: {source.title} has {len(rows)} samples there, {count} are needed")
    found = []
    for number, row in enumerate(rows):
        missing = [column for column in source.columns if column not in row]
        if missing:
            raise DataError(
                f"{place}: row {number}: {source.title} has no column {missing[0]!r}; it has: {', '.join(row)}"
            )
        found.append(source.read(row))
    return found


def _rows(source: Source, place: str, count: int) -> Iterator[dict[str, Any]]:
    data = _opened(source, place)
    named = {column: item.names for column, item in data.features.items() if hasattr(item, "names")}
    words = {column: _words(names, place) for column, names in named.items()}
    for row in data.select(range(min(count, len(data)))):
        # A class is stored as a number, and named by the data set.
        yield {column: words[column][value] if column in words else value for column, value in row.items()}


def _words(names: Sequence[str], place: str) -> Sequence[str]:
    """The classes in words. ImageNet's folders are called by WordNet ids, in the order of its classes."""
    if not all(re.fullmatch(r"n\d{8}", name) for name in names):
        return names
    from .local.classification import class_names

    words = class_names()
    if len(names) != len(words):
        raise DataError(
            f"{place}: its {len(names)} classes are WordNet ids, which have names only where all {len(words)} are there"
        )
    return words


def _opened(source: Source, place: str) -> Any:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "preparing data needs the package datasets", hint="pip install 'autoflow[openagi]'"
        ) from error
    datasets.disable_progress_bars()
    path = Path(place).expanduser()
    try:
        if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(str(path))
        elif path.is_file():
            kind = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}.get(path.suffix)
            if kind is None:
                raise DataError(f"{path}: must be a .parquet, .jsonl, .json or .csv file")
            found = datasets.load_dataset(kind, data_files=str(path), split="train")
        elif path.is_dir():
            kind = "imagefolder" if _has_classes(path) else str(path)
            arguments = {"data_dir": str(path)} if kind == "imagefolder" else {}
            found = datasets.load_dataset(kind, **arguments)
        else:
            name, _, configuration = place.partition(":")
            found = datasets.load_dataset(name, configuration or None)
    except DataError:
        raise
    except Exception as error:  # boundary: datasets raises whatever its readers raise
        raise DataError(f"{place}: cannot be read as {source.title}: {type(error).__name__}: {error}") from error
    if hasattr(found, "features") and not isinstance(found, Mapping):
        return found
    wanted = source.split if source.split in found else next(iter(found)) if len(found) == 1 else None
    if wanted is None:
        raise DataError(f"{place}: has no split {source.split!r}; it has: {', '.join(found)}")
    return found[wanted]


def _has_classes(path: Path) -> bool:
    folders = [folder for folder in path.iterdir() if folder.is_dir()]
    return any(item.suffix.lower() in (".jpg", ".jpeg", ".png") for folder in folders for item in folder.iterdir())


def _is_coco(name: str, place: str) -> bool:
    return name == "coco" and (Path(place).expanduser() / "annotations").is_dir()


def _coco(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """COCO as it is distributed, in the order of picture ids."""
    from PIL import Image

    folder = folder.expanduser()
    captions = _annotations(folder, "captions_val2017.json")
    instances = _annotations(folder, "instances_val2017.json")
    names = {item["id"]: item["name"] for item in instances["categories"]}
    first: dict[int, str] = {}
    for item in captions["annotations"]:
        first.setdefault(item["image_id"], item["caption"])
    objects: dict[int, list[str]] = {}
    for item in instances["annotations"]:
        objects.setdefault(item["image_id"], []).append(names[item["category_id"]])
    # A picture without an object has no name to find.
    usable = [item for item in captions["images"] if item["id"] in first and item["id"] in objects]
    for item in sorted(usable, key=lambda item: int(item["id"]))[:count]:
        path = folder / "val2017" / item["file_name"]
        try:
            with Image.open(path) as image:
                picture = image.convert("RGB")
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        yield {"image": picture, "caption": first[item["id"]].strip(), "objects": ", ".join(objects[item["id"]])}


def _annotations(folder: Path, name: str) -> Any:
    path = folder / "annotations" / name
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
