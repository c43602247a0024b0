"""DROP's rows as tasks. What benchmark.yaml cannot say."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from autoflow.core.json import Json
from autoflow.core.task import Task


def task(row: Mapping[str, Any], index: int, file: str) -> Task | None:
    """A question after its passage. In AFlow's files an answer of several spans is one text joined by "and", and `|`
    parts answers that are right as well; the hub lists the spans. A row of the hub that is not in AFlow's splits is
    left out."""
    if "ref_text" in row:
        # "Passage: ... Question: ... Answer:"; the last line is for a model that continues text.
        text = row["context"].strip().removesuffix("Answer:").strip()
        golds = [gold for gold in row["ref_text"].split("|") if gold]
        return Task(str(row["id"]), text, _context(text), {"answers": golds})
    text = f"Passage: {row['passage']}\nQuestion: {row['question']}"
    identity = _ids().get(_digest(text))
    spans = row["answers_spans"]["spans"]
    return None if identity is None or not spans else Task(identity, text, _context(text), {"answers": [spans]})


def _context(text: str) -> dict[str, Json]:
    """The passage, for steps that search it; it stands in the text too."""
    return {"documents": [text.removeprefix("Passage:").rpartition("Question:")[0].strip()]}


@cache
def _ids() -> dict[str, str]:
    """Digest of a question with its passage -> AFlow's id; of a question that is there twice, the first."""
    ids: dict[str, str] = {}
    for line in Path(__file__).with_name("aflow.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            identity, digest = line.split()
            ids.setdefault(digest, identity)
    return ids


def _digest(text: str) -> str:
    letters = "".join(character for character in text.casefold() if character.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()[:10]
