"""Whatever is imported is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]) for requirement in requirements}


@cache
def _distributions() -> dict[str, set[str]]:
    return {module: {_normal(name) for name in names} for module, names in packages_distributions().items()}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def _undeclared(files: list[Path], declared: set[str], own: set[str]) -> list[str]:
    found = set()
    for path in files:
        for module in _imports(path):
            if module in sys.stdlib_module_names or module in own or module == "autoflow":
                continue
            if not _distributions().get(module, {_normal(module)}) & declared:
                found.add(f"{path.name}: {module}")
    return sorted(found)


@pytest.fixture
def declared(root: Path) -> dict[str, set[str]]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: _names(items) for name, items in project["optional-dependencies"].items()}
    return {"": _names(project["dependencies"]), **extras}


def test_every_import_of_the_package_is_declared(root: Path, declared: dict[str, set[str]]) -> None:
    measurements = set((root / "benchmarks" / "performance").rglob("*.py"))
    files = [*(root / "autoflow").rglob("*.py"), *(set((root / "benchmarks").rglob("*.py")) - measurements)]
    allowed = set().union(*(names for extra, names in declared.items() if extra != "dev"))
    # Scripts that measure use the made-up runs and servers of the tests.
    folders = ("tests", "benchmarks/performance", "benchmarks/strategies", "benchmarks/training")
    helpers = {path.stem for folder in folders for path in (root / folder).rglob("*.py")}
    assert _undeclared(files, allowed, {"benchmark", *helpers}) == []


def test_every_import_of_tests_and_measurements_is_declared(root: Path, declared: dict[str, set[str]]) -> None:
    scripts = [root / "benchmarks" / folder for folder in ("performance", "strategies", "training")]
    files = [file for folder in (root / "tests", *scripts) for file in folder.rglob("*.py")]
    own = {path.stem for path in files}
    assert _undeclared(files, set().union(*declared.values()), own) == []


def test_an_undeclared_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text("import json, rich\nfrom yaml import nodes\n")
    assert _undeclared([tmp_path / "example.py"], {"pyyaml"}, set()) == ["example.py: rich"]
