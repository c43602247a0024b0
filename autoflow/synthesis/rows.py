"""A row of a data set: the exact conversation with the generator, the answer to learn, and where it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from autoflow.core.json import Json, digest
from autoflow.core.model import Message
from autoflow.generator.draft import Form
from autoflow.synthesis.exercise import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Row:
    """One example."""

    id: str
    split: Split
    prompt: tuple[Message, ...]
    completion: str
    form: Form | Literal["label"]
    """How the completion is written: a workflow in the generator's form, or the label of a decision."""

    domain: str
    operator_set: str
    operators: tuple[str, ...]
    """Their names, in the order shown."""

    tasks: tuple[str, ...]
    """Ids of the tasks that the workflow was run on."""

    texts: tuple[str, ...]
    """Their texts."""

    score: float
    """Mean over those tasks."""

    source: str
    """`search`, the teacher's `provider/model`, or `rule` for decisions."""

    fingerprint: str
    """Of the workflow."""

    @property
    def canonical(self) -> str:
        """Equal for rows that teach the same: the operators in any order, the task in any case, the workflow."""
        texts = [" ".join(text.casefold().split()) for text in self.texts]
        return digest([self.operator_set, sorted(texts), self.fingerprint])

    def to_json(self) -> dict[str, Json]:
        """As a line of the data set; `prompt` and `completion` are trl's conversational prompt-completion."""
        return {
            "prompt": [{"role": turn.role, "content": turn.text} for turn in self.prompt],
            "completion": [{"role": "assistant", "content": self.completion}],
            "id": self.id,
            "split": self.split,
            "form": self.form,
            "domain": self.domain,
            "operator_set": self.operator_set,
            "operators": list(self.operators),
            "tasks": list(self.tasks),
            "texts": list(self.texts),
            "score": self.score,
            "source": self.source,
            "fingerprint": self.fingerprint,
        }


def from_json(value: Mapping[str, Json]) -> Row:
    """The inverse of `Row.to_json`."""
    data = cast("dict[str, Any]", value)
    return Row(
        id=data["id"],
        split=data["split"],
        prompt=tuple(Message(turn["role"], turn["content"]) for turn in data["prompt"]),
        completion=data["completion"][0]["content"],
        form=data["form"],
        domain=data["domain"],
        operator_set=data["operator_set"],
        operators=tuple(data["operators"]),
        tasks=tuple(data["tasks"]),
        texts=tuple(data["texts"]),
        score=data["score"],
        source=data["source"],
        fingerprint=data["fingerprint"],
    )


def distinct(rows: Iterable[Row]) -> list[Row]:
    """The first of each canonical form, those of `train` before all others."""
    seen: set[str] = set()
    found = []
    for row in sorted(rows, key=lambda row: SPLITS.index(row.split)):
        if row.canonical not in seen:
            seen.add(row.canonical)
            found.append(row)
    return found


def mentions(row: Row, names: Sequence[str]) -> str | None:
    """The first of the names that stands anywhere in the row, whatever its case; `None`: none does."""
    text = "\n".join([*(turn.text for turn in row.prompt), row.completion]).casefold()
    return next((name for name in names if name.casefold() in text), None)


def leaks(rows: Sequence[Row]) -> list[str]:
    """What is in two splits that should be in one, a line each; empty where held out means unseen.

    No task text is in two splits. Between `train` (with `validation_tasks`), `validation` and `test` no operator's
    name, operator set or domain is shared.
    """
    found = []
    sides = {"train": "train", "validation_tasks": "train", "validation": "validation", "test": "test"}
    kinds: list[tuple[str, Any, Any]] = [
        ("task", lambda row: row.split, lambda row: [" ".join(text.casefold().split()) for text in row.texts]),
        ("domain", lambda row: sides[row.split], lambda row: [row.domain]),
        ("operator set", lambda row: sides[row.split], lambda row: [row.operator_set]),
        ("operator", lambda row: sides[row.split], lambda row: [name.casefold() for name in row.operators]),
    ]
    for kind, side_of, things_of in kinds:
        where: dict[str, str] = {}
        for row in rows:
            side = side_of(row)
            for thing in things_of(row):
                if where.setdefault(thing, side) != side:
                    found.append(f"{kind} {thing!r} is in {where[thing]} and in {side}")
    return found
