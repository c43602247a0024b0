"""The passages of a task that can be searched: its documents, cut into pieces of a few sentences."""

import re
from collections.abc import Iterator, Mapping

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import DataError

WORDS = 150
"""About how long a passage is at most; a paragraph up to this length stays whole."""


def passages(task: Task) -> list[str]:
    """The documents under `documents` in the task's context; of a task without them, its own text.

    A document is a text or `{title, text}`; the title stands before each of its passages.

    Raises:
        DataError: If the documents are something else.
    """
    found = task.context.get("documents")
    documents = task.text if found is None else found
    listed = documents if isinstance(documents, list | tuple) else [documents]
    return [passage for document in listed for passage in _of(task, document)]


def _of(task: Task, document: Json) -> Iterator[str]:
    title, text = "", document
    if isinstance(document, Mapping):
        title, text = str(document.get("title") or ""), document.get("text")
    if not isinstance(text, str):
        raise DataError(f"task {task.id}: a document in its context must be a text or {{title, text}}, not {text!r}")
    for passage in cut(text):
        yield f"{title}: {passage}" if title else passage


def cut(text: str, words: int = WORDS) -> Iterator[str]:
    """The text's paragraphs; those longer than `words` in pieces, cut between sentences where there are any."""
    for paragraph in re.split(r"\n\s*\n", text):
        piece: list[str] = []
        for sentence in re.split(r"(?<=[.!?])\s+", paragraph.strip()):
            parts = sentence.split()
            while parts:
                if piece and len(piece) + len(parts) > words:
                    yield " ".join(piece)
                    piece = []
                room = words - len(piece)
                piece += parts[:room]
                parts = parts[room:]
        if piece:
            yield " ".join(piece)
