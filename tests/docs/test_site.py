"""The site has all commands with all flags, and is built without a warning."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup

from autoflow.cli import table


def _page(root: Path) -> str:
    spec = importlib.util.spec_from_file_location("command_reference", root / "docs/site/command_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.page())


def test_reference_has_every_command_with_every_flag(root: Path) -> None:
    page = _page(root)
    for name in table.names():
        found = table.command(name)
        commands = {name: found}
        if isinstance(found, TyperGroup):
            commands = {f"{name} {child}": item for child, item in found.commands.items()}
        for path, command in commands.items():
            section = page.partition(f"# autoflow {path}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
            assert section, path
            missing = [
                flag
                for parameter in command.params
                if parameter.param_type_name == "option"
                for flag in (*parameter.opts, *parameter.secondary_opts)
                if flag not in section
            ]
            assert missing == [], path


@pytest.mark.slow
def test_site_is_built_without_a_warning(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path / "site"],
        cwd=root / "docs/site",
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    errors = (tmp_path / "site/errors/index.html").read_text(encoding="utf-8")
    assert 'id="unknown-name"' in errors
    assert 'id="af205"' in errors
