"""No file of the repository names one machine or one registry."""

import re
import subprocess
from pathlib import Path

import pytest

# Written in pieces, so that this file passes its own check.
_ROOTS = "|".join(("home", "Users", "root", "work", "mnt", "private"))
_MACHINE = re.compile(r"(?<![\w.:$}~-])/(" + _ROOTS + r")/\w")
_REGISTRY = re.compile("--(extra-)?index" + "-url|PIP_INDEX" + "_URL")


def _files(root: Path) -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [root / name for name in done.stdout.split("\0") if name]


def _texts(root: Path) -> list[tuple[Path, str]]:
    found = []
    for path in _files(root):
        if path.is_file():
            found.append((path.relative_to(root), path.read_bytes().decode("utf-8", "replace")))
    return found


def test_no_file_names_a_path_of_one_machine(root: Path) -> None:
    assert [f"{path}: {match.group()}" for path, text in _texts(root) for match in _MACHINE.finditer(text)] == []


def test_no_file_names_a_package_registry(root: Path) -> None:
    assert [str(path) for path, text in _texts(root) if _REGISTRY.search(text)] == []


def test_a_machine_path_would_be_found() -> None:
    assert _MACHINE.search("see /ho" + "me/ann/project")
    assert not _MACHINE.search("https://example.org/ho" + "me/ann")
