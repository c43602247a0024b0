"""The files that commands are given: a path, `-` for stdin, or the name of a bundled workflow."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoflow import resources
from autoflow.errors import UsageError

if TYPE_CHECKING:
    from autoflow.core.operator import Card, Operator
    from autoflow.language.document import Document

STDIN = "-"
CORE_SUFFIXES = (".txt", ".core")


def bundled() -> list[str]:
    """The workflows that come with autoflow, as `workflows/...` paths."""
    root = resources.folder("workflows")
    return sorted(f"workflows/{path.relative_to(root).as_posix()}" for path in root.rglob("*.yaml"))


def resolve(name: str) -> Path:
    """The workflow file of that path or bundled name (`workflows/openagi/manual.yaml`, `openagi/manual`).

    Raises:
        UsageError: Listing the bundled workflows.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise UsageError(f"{name} is a folder, not a workflow file", hint=f"its files: {name.rstrip('/')}/*.yaml")
    root = resources.folder("workflows")
    relative = name.removeprefix("workflows/")
    for candidate in (root / relative, root / f"{relative}.yaml"):
        # A name never leads out of the bundled folder.
        if candidate.is_file() and candidate.resolve().is_relative_to(root.resolve()):
            return candidate
    raise UsageError(f"there is no workflow file {name}", hint=f"bundled: {', '.join(bundled()) or 'none'}")


def read(name: str) -> tuple[bytes, str]:
    """The bytes of a workflow file or of stdin, and the name that messages call it by.

    Raises:
        WorkflowError, UsageError: If it cannot be read.
    """
    from autoflow.language.document import read_bytes
    from autoflow.language.nodes import MAX_BYTES

    if name == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>"
    path = resolve(name)
    return read_bytes(path), name if Path(name).is_file() else str(path)


def rewrite(name: str, text: str) -> None:
    """Put a new text in the place of a workflow file's, whole or not at all.

    Raises:
        UsageError: For a bundled workflow: it is found by name from anywhere, but belongs to the installation.
    """
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"{name} is bundled with autoflow and stays as it is", hint="copy it first")
    # Written beside and moved over: an interrupted write leaves the old file whole.
    beside = path.with_name(f".{path.name}.autoflow")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.chmod(path.stat().st_mode & 0o7777)
    beside.replace(path)


def text_of(data: bytes, file: str) -> str:
    """The bytes as text.

    Raises:
        WorkflowError: If they are not UTF-8.
    """
    from autoflow.language.nodes import decode

    return decode(data, file)


def load(name: str) -> "Document":
    """Parse a workflow file: YAML, or CoRE text by its suffix.

    Raises:
        WorkflowError, UsageError: If it cannot be read.
    """
    data, file = read(name)
    if is_core(name):
        from autoflow.language.core_text import parse_core

        return parse_core(data, file).document
    from autoflow.language import document

    return document.parse(data, file)


def is_core(name: str) -> bool:
    """Whether the name says that the file is CoRE text."""
    return Path(name).suffix.lower() in CORE_SUFFIXES


def operators_of(name: str, benchmarks: Sequence[str]) -> "Mapping[str, Operator]":
    """The operators a workflow may use: the library's, those of the named benchmarks, and, for a bundled workflow,
    those of the benchmark that its folder is called after.
    """
    from autoflow.operators.library import library

    found = dict(library())
    for benchmark in [*implied(name), *benchmarks]:
        from autoflow.benchmarks import loader

        found.update(loader.load(benchmark).operators)
    return found


def cards_of(name: str, benchmarks: Sequence[str], needed: Iterable[str] | None = None) -> "Mapping[str, Card]":
    """The cards of `operators_of`. Where the library has all that are `needed`, no benchmark is read."""
    from autoflow.operators.library import library

    known: Mapping[str, Operator] = library()
    if benchmarks or needed is None or not set(needed) <= set(known):
        known = operators_of(name, benchmarks)
    return {key: operator.card for key, operator in known.items()}


def implied(name: str) -> list[str]:
    """The benchmark that a bundled workflow's folder is called after, if there is one."""
    if name == STDIN:
        return []
    path = resolve(name).resolve()
    root = resources.folder("workflows").resolve()
    if not path.is_relative_to(root) or path.parent == root:
        return []
    from autoflow.benchmarks import loader

    folder = path.relative_to(root).parts[0]
    return [folder] if folder in loader.names() else []
