"""A workflow file: its workflow, its text, and where in the text each step and key stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoflow.core.workflow import Workflow
from autoflow.errors import WorkflowError
from autoflow.language.nodes import MAX_BYTES, UNREADABLE, compose, decode
from autoflow.language.reader import Place, read


@dataclass(frozen=True, slots=True)
class Document:
    """What `parse` made of a text. Lines and columns count from 1."""

    workflow: Workflow
    file: str | None
    text: str
    marks: Mapping[Place, tuple[int, int]] = field(repr=False)

    def place(
        self, step: int | None = None, key: str | None = None, item: str | int | None = None
    ) -> tuple[int, int] | None:
        """Line and column of a key of a step (by index; `None`: of the workflow), or of a label or list item under it.

        What does not stand in the text is placed at what holds it; `None` only where the document has no text.
        """
        for place in ((step, key, item), (step, key, None), (step, None, None), (None, None, None)):
            if place in self.marks:
                return self.marks[place]
        return None


def parse(text: str | bytes, file: str | None = None) -> Document:
    """Read a workflow's YAML text; `file` is what errors call it.

    Nothing is run and nothing is constructed: booleans are YAML 1.2's, duplicate keys, tags and merge keys are
    errors, and size, depth and what aliases stand for are bounded (`autoflow.language.nodes`).

    Raises:
        WorkflowError: With line, column and a hint, for any text that is not a well-typed workflow.
    """
    decoded = decode(text, file)
    workflow, marks = read(compose(decoded, file), file)
    return Document(workflow, file, decoded, marks)


def load(path: Path) -> Document:
    """Read a workflow file.

    Raises:
        WorkflowError: As `parse`, and if the file cannot be read.
    """
    return parse(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """The file's content, at most one byte more than a workflow may have.

    Raises:
        WorkflowError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL in it.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WorkflowError(
            f"cannot read the file: {reason}", file=str(path), rule=UNREADABLE, hint="give the path of a workflow file"
        ) from error
