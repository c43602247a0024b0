"""Passing a run on and clearing runs away."""

import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from autoflow.errors import RunError
from autoflow.runs.folder import RunInfo, State, info, list_runs

_LEFT_OUT = ("lock", ".new", "-wal", "-shm")
# Of this machine and moment: the lock, half-written files, and what the copied database already holds.


def export(folder: Path, file: Path) -> Path:
    """Pack a run into a ZIP file that unpacks as a run folder, also while another process works on it.

    Raises:
        RunError: If it is no run, or the file is in the folder itself.
    """
    info(folder)
    if file.resolve().is_relative_to(folder.resolve()):
        raise RunError(f"{file} is inside the run that it would hold", hint="give a place outside the folder")
    new = file.with_name(f".{file.name}.new")
    with tempfile.TemporaryDirectory() as beside, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.name.endswith(_LEFT_OUT):
                continue
            name = f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}"
            packed.write(_copied(path, Path(beside)) if path.suffix == ".sqlite" else path, name)
    new.replace(file)
    return file


def _copied(database: Path, beside: Path) -> Path:
    # A database that is being written is whole only in a copy that SQLite itself makes.
    copy = beside / "copy.sqlite"
    copy.unlink(missing_ok=True)
    source = sqlite3.connect(f"file:{database.absolute()}?mode=ro", uri=True)
    with closing(source), closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def prunable(root: Path, states: Sequence[State], older_than_s: float, now: float) -> list[RunInfo]:
    """The runs in those states that began at least `older_than_s` seconds before `now`; never one that is running."""
    found = []
    for run in list_runs(root):
        old = run.started is not None and now - run.started >= older_than_s
        if run.state in states and run.state != "running" and old:
            found.append(run)
    return found


def remove(run: RunInfo) -> None:
    """Delete a run folder and all that is in it."""
    shutil.rmtree(run.path)
