"""What a command loads is checked by name, not by seconds: seconds depend on the machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Typer itself imports pydantic when it converts a command's arguments, so only the help goes without.
HEAVY = {
    "langgraph",
    "langchain_core",
    "openai",
    "torch",
    "transformers",
    "scipy",
    "numpy",
    "xllamacpp",
    "genai_prices",
    "httpx",
    "aiohttp",
}

_PROBE = """
import json, sys
from autoflow.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print(json.dumps({"code": code, "modules": sorted({name.split(".")[0] for name in sys.modules})}), file=sys.stderr)
"""


def _loaded(root: Path, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    report = json.loads(done.stderr.strip().splitlines()[-1])
    assert report["code"] == 0, done.stderr
    return set(report["modules"])


def test_help_loads_nothing_heavy(root: Path) -> None:
    loaded = _loaded(root, "--help")
    assert not loaded & (HEAVY | {"pydantic", "rich", "yaml", "jinja2", "tomllib"})


@pytest.mark.parametrize("command", ["run", "bench", "improve", "lint", "doctor"])
def test_help_of_a_command_loads_nothing_heavy(root: Path, command: str) -> None:
    assert not _loaded(root, command, "--help") & HEAVY


def test_lint_loads_nothing_heavy(root: Path) -> None:
    files = sorted(str(path.relative_to(root)) for path in (root / "workflows").rglob("*.yaml"))
    assert files
    assert not _loaded(root, "lint", *files) & HEAVY


def test_light_packages_load_nothing_heavy(root: Path) -> None:
    probe = (
        "import importlib, json, pkgutil, sys\n"
        "import autoflow.core, autoflow.language, autoflow.cli\n"
        "for package in (autoflow.core, autoflow.language, autoflow.cli):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=root, capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout)) & HEAVY
