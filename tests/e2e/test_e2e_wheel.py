"""The wheel carries everything that running needs.

The clean environment is a fresh venv that holds the wheel alone; the dependencies come from the environment that
runs the tests, through a path file. So the test needs no network and takes seconds, and still sees whatever the
wheel lacks: a path file inside a folder named by a path file is not read, so an editable install stays invisible.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

SCRIPT = '- replies: ["It is done.", "It is done."]\n'


def _left_out(names: list[str], *, top: bool) -> list[str]:
    # By name at the top alone: the package has a folder `runs` too.
    unwanted = {".git", ".venv", "runs", "dist", "build"} if top else set()
    return [name for name in names if name in unwanted or name == "__pycache__" or name.endswith("_cache")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(__file__).resolve().parents[2]
    out = tmp_path_factory.mktemp("wheel")
    # A copy: building must not leave files in the checkout, nor pick up stray ones.
    source = out / "source"
    shutil.copytree(root, source, ignore=lambda folder, names: _left_out(names, top=Path(folder) == root))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source],
        check=True,
        capture_output=True,
        text=True,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(home, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return home / "bin" / "python"


def _run(python: Path, cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AUTOFLOW"))}
    return subprocess.run(
        [python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_wheel_carries_prompts_workflows_benchmarks_and_adapters(python: Path, tmp_path: Path) -> None:
    probe = (
        "import json, autoflow; from autoflow import resources\n"
        "print(json.dumps([autoflow.__file__, *(str(resources.folder(name)) for name in "
        "('prompts', 'workflows', 'benchmarks', 'adapters'))]))"
    )
    done = _run(python, tmp_path, "-c", probe)
    assert done.returncode == 0, done.stderr
    package, *folders = map(Path, json.loads(done.stdout))
    assert package.is_relative_to(python.parent.parent)
    for folder in folders:
        assert folder.parent == package.parent / "_bundled"
        assert any(folder.rglob("*"))


def test_wheel_carries_every_module_and_every_bundled_file(wheel: Path, root: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(root).as_posix() for path in (root / "autoflow").rglob("*.py")}
    assert modules <= names
    for folder in ("prompts", "workflows", "benchmarks", "adapters"):
        files = [path for path in (root / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert {f"autoflow/_bundled/{path.relative_to(root).as_posix()}" for path in files} <= names


def test_wheel_has_no_tests_and_a_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith("tests/")]
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert "autoflow/py.typed" in names


def test_installed_wheel_runs_a_bundled_workflow_with_the_scripted_model(python: Path, tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text(SCRIPT)
    done = _run(
        python,
        tmp_path,
        "-m",
        "autoflow",
        "run",
        "workflows/chain_of_thought.yaml",
        "What is 2 + 2?",
        "--interpreter",
        "scripted/script.yaml",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] == "It is done."


def test_installed_wheel_lints_its_own_workflows(python: Path, tmp_path: Path) -> None:
    listing = _run(python, tmp_path, "-c", "from autoflow.cli.files import bundled; print(*bundled())")
    done = _run(python, tmp_path, "-m", "autoflow", "lint", *listing.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr


def test_installed_wheel_has_its_operator_sets(python: Path, tmp_path: Path) -> None:
    done = _run(python, tmp_path, "-m", "autoflow", "operators", "--set", "aflow-code", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [item["name"] for item in document["operators"]] == [
        "generate",
        "custom",
        "code-generate",
        "ensemble",
        "test",
    ]
    assert "metaflow" in document["sets"]
