"""Every block of the README and of the guides works, in order, as a reader would type it.

By default the models are scripted: commands, files and everything that does not depend on a model are checked. The slow
tests type the same with the embedded model, and the page on training with a tiny one.
"""

from pathlib import Path

import page_blocks
import pytest

from autoflow.models import weights

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")) if "adr" not in path.parts),
]

NOT_RUN = {
    "README.md": 5,
    "docs/past_one_machine.md": 3,
    "docs/synthetic_workflows.md": 4,
    "docs/training.md": 1,
    "docs/tutorials/add_a_strategy.md": 1,
    "docs/tutorials/add_an_operator.md": 2,
    "docs/tutorials/improve_on_your_data.md": 2,
    "docs/tutorials/reproduce_openagi.md": 3,
    "docs/tutorials/train_a_generator.md": 3,
    "docs/tutorials/write_a_workflow.md": 3,
}
"""How many blocks of a page cannot run here; each has its reason before it."""

SCRIPT = """\
- replies: ["yes"]
"""


def _read(page: str) -> list[page_blocks.Block]:
    return page_blocks.blocks((ROOT / page).read_text(encoding="utf-8"))


def _follow(page: str, folder: Path, *, alone: bool = False, leave_out: tuple[str, ...] = ()) -> None:
    found = _read(page)
    reader = page_blocks.Reader(ROOT, folder, found, alone=alone, leave_out=leave_out)
    for block in found:
        if block.reason is None and block.runner is None:
            reader.follow(block)


TRAINING = "docs/tutorials/train_a_generator.md"


@pytest.mark.parametrize("page", [page for page in PAGES if _read(page) and page != TRAINING])
def test_page_works_as_written(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(page, tmp_path, monkeypatch)
    _follow(page, tmp_path)


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_training_works_as_written_with_a_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "trl", "peft"):
        pytest.importorskip(package, reason="needs the extra train")
    from training_helpers import make_model

    # In the place of the embedded model's own weights. It has no GGUF file, so what exports one is left out.
    make_model(tmp_path / "cache/weights/smollm2-135m-instruct", letters=None)
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "page").mkdir()
    _script(TRAINING, tmp_path / "page", monkeypatch)
    _follow(TRAINING, tmp_path / "page", leave_out=("autoflow adapters ",))


def _script(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every model that a command does not name answer by a script."""
    script = Path(__file__).parent / "scripts" / f"{Path(page).stem}.yaml"
    (folder / ".script.yaml").write_text(script.read_text(encoding="utf-8") if script.is_file() else SCRIPT)
    monkeypatch.setenv("AUTOFLOW_INTERPRETER", "scripted/.script.yaml")
    for command in ("GENERATE", "IMPROVE"):
        monkeypatch.setenv(f"AUTOFLOW_{command}_GENERATOR", "scripted/.script.yaml")


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.parametrize("page", [page for page in PAGES if _read(page)])
def test_page_works_with_the_embedded_model(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == TRAINING:
        pytest.importorskip("trl", reason="needs the extra train")
    # What a page leaves in the cache is not for the cache of this machine.
    file = weights.ensure_weights()
    (tmp_path / "cache/weights").mkdir(parents=True)
    (tmp_path / "cache/weights" / file.name).symlink_to(file)
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "page").mkdir()
    _follow(page, tmp_path / "page", alone=True)


def test_blocks_that_are_not_run_are_counted() -> None:
    counted = {page: sum(block.reason is not None for block in _read(page)) for page in PAGES}
    assert {page: count for page, count in counted.items() if count} == NOT_RUN


def test_blocks_that_another_test_runs_name_it() -> None:
    named = {block.runner for page in PAGES for block in _read(page)} - {None}
    assert [path for path in named if not (ROOT / str(path)).is_file()] == []


# -- what the reader sees


@pytest.mark.parametrize(
    ("shown", "output", "lacks"),
    [
        (["mean 0.25, n = 3"], "noise\nmean   0.5, n = 12\n", None),
        (["a", "b"], "b\na\n", "b"),
        (["so ... end"], "so it came to an end\n", None),
        (["so it is"], "so it was\n", "so it is"),
        (["...", ""], "", None),
    ],
)
def test_shown_lines_are_compared_but_for_numbers(shown: list[str], output: str, lacks: str | None) -> None:
    assert page_blocks.missing(shown, output) == lacks


def test_a_page_that_is_wrong_is_found(tmp_path: Path) -> None:
    def follow(text: str) -> None:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        found = page_blocks.blocks(text)
        reader = page_blocks.Reader(ROOT, folder, found)
        for block in found:
            reader.follow(block)

    flow = '```yaml title="a.yaml"\nautoflow: 1\nname: a\nsteps: [{name: s, type: terminal, instruction: Do.}]\n```\n'
    follow(
        f"{flow}```console\n$ autoflow lint a.yaml\nfiles 1, errors 0\n```\n".replace("0\n```", "0, warnings 0\n```")
    )
    follow("```console\nautoflow lint nowhere.yaml # exit 2\n```\n")
    for wrong, said in {
        "```console\nautoflow lint a.yaml --nothing\n```\n": "ended with 2, not 0",
        "```console\n$ autoflow lint a.yaml\nerrors 0\n```\n": "does not show",
        "```console\nfalse | cat && false\n```\n": "ended with 1",
        "```python\n1 / 0\n```\n": "ZeroDivisionError",
        "```yaml\nname: x\n```\n": "nothing checks",
    }.items():
        with pytest.raises(AssertionError, match=said):
            follow(flow + wrong)
