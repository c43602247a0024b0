"""Runs a page of the documentation as a reader would: block after block, in one folder.

A fence with `title="NAME"` is a file to save. A `console` fence is typed in: where a line begins with `$ `, the lines
that do not are what it shows, else every line is a command. Shown lines must come in this order; numbers and spaces are
not compared, and `...` stands for anything. A `python` fence without a title is a script. Other fences are checked
where they are a workflow or a configuration, and else need a reason. A saved YAML file that no command of the page
names is checked too, as what it is: a workflow, a benchmark or a configuration of training.

A comment before a fence says why it is not run, `<!-- not run: REASON -->`, or which test runs it,
`<!-- run by: PATH -->`. A command that is meant to fail ends with `# exit N`.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoflow import config
from autoflow.benchmarks import loader
from autoflow.cli.main import main
from autoflow.language.document import parse
from autoflow.language.lint import lint
from autoflow.training import config as training
from autoflow.training.config import METHODS

_FENCE = re.compile(
    r"^(?:<!-- (?P<why>not run|run by): (?P<reason>[^\n]+?) -->\n)?"
    r"^(?P<ticks>```+)(?P<language>\w*)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=ticks)$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_SHELL = re.compile(r"[|<>;&$*]")
_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True)
class Block:
    """One fence of a page."""

    line: int
    language: str
    title: str | None
    body: str
    reason: str | None
    """Why it is not run here."""

    runner: str | None
    """The test that runs it."""


def blocks(text: str) -> list[Block]:
    """Every fence, in order."""
    found = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["info"])
        found.append(
            Block(
                line=text.count("\n", 0, match.start("ticks")) + 1,
                language=match["language"],
                title=title[1] if title else None,
                body=match["body"],
                reason=match["reason"] if match["why"] == "not run" else None,
                runner=match["reason"] if match["why"] == "run by" else None,
            )
        )
    return found


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a `console` block with the lines that it is said to show."""
    lines = re.sub(r"\\\n\s*", "", body).splitlines()
    if not any(line.startswith("$ ") for line in lines):
        yield from ((line, []) for line in lines if line.strip())
        return
    command, shown = None, []
    for line in lines:
        if line.startswith("$ "):
            if command is not None:
                yield command, shown
            command, shown = line[2:], []
        else:
            shown.append(line)
    if command is not None:
        yield command, shown


def missing(shown: list[str], output: str) -> str | None:
    """The first shown line that the output does not have, after those before it; `None` if it has all."""
    rest = iter(output.splitlines())
    for line in shown:
        if line.strip() in {"", "..."}:
            continue
        pattern = re.compile(_pattern(line))
        if not any(pattern.fullmatch(" ".join(item.split())) for item in rest):
            return line
    return None


def _pattern(line: str) -> str:
    parts = []
    for part in re.split(r"(\s*\.\.\.\s*|\d[\d,.]*)", " ".join(line.split())):
        if part.strip() == "...":
            parts.append(".*")
        elif _NUMBER.fullmatch(part):
            parts.append(r"\d[\d,.]*")
        else:
            parts.append(re.escape(part))
    return "".join(parts)


class Reader:
    """Follows a page in `folder`, which looks like a fresh clone.

    Commands run in this process, unless the page adds to the package, or `alone` is set: then each runs in its own.
    Those that begin like one of `leave_out` are not run.
    """

    def __init__(
        self, root: Path, folder: Path, page: list[Block], *, alone: bool = False, leave_out: tuple[str, ...] = ()
    ) -> None:
        self._leave_out = leave_out
        self.folder = folder
        self.ran = 0
        self._typed = "\n".join(block.body for block in page if block.language == "console" and block.reason is None)
        parts = ("autoflow", "prompts", "workflows", "benchmarks")
        added = {block.title.split("/")[0] for block in page if block.title is not None}
        # What it writes there is no part of this process, but of the copy that the others run.
        self._alone = alone or bool(added & set(parts))
        for name in parts:
            if name in added or (name == "autoflow" and self._alone):
                shutil.copytree(root / name, folder / name)
            else:
                (folder / name).symlink_to(root / name)
        programs = folder / ".programs"
        programs.mkdir()
        for name, line in {"autoflow": "-m autoflow ", "python": "", "python3": ""}.items():
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {line}"$@"\n')
            script.chmod(0o755)

    def follow(self, block: Block) -> None:
        """Do what the block asks for.

        Raises:
            AssertionError: If it does not work, or shows something else.
        """
        if block.title is not None:
            target = self.folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
            if target.suffix == ".yaml" and target.name not in self._typed:
                self._read(target)
        elif block.language == "console":
            for command, shown in commands(block.body):
                if not command.startswith(self._leave_out):
                    self._type(command, shown)
        elif block.language == "python":
            self._check([sys.executable, "-c", block.body], "the script", [], 0)
        elif block.language == "yaml" and block.body.startswith("autoflow: 1"):
            assert lint(parse(block.body)) == []
        elif block.language == "toml":
            with tempfile.TemporaryDirectory() as elsewhere:
                (Path(elsewhere) / config.FILE).write_text(block.body)
                config.load(Path(elsewhere))
        else:
            raise AssertionError(f"line {block.line}: a {block.language or 'nameless'} block that nothing checks")

    def _read(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        with contextlib.chdir(self.folder):
            if text.startswith("autoflow: 1"):
                assert lint(parse(text)) == []
            elif text.startswith("name: "):
                if "benchmarks" not in file.parts[len(self.folder.parts) :]:
                    loader.load(str(file))
            else:
                method = next(method for method in METHODS if method == file.stem)
                training.load(file, method)

    def _type(self, line: str, shown: list[str]) -> None:
        expected = re.search(r"\s+# exit (\d+)$", line)
        command = line[: expected.start()] if expected else line
        code = int(expected[1]) if expected else 0
        self.ran += 1
        if self._alone or _SHELL.search(command) or not command.startswith("autoflow "):
            self._check(["bash", "-c", command], line, shown, code)
            return
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.chdir(self.folder):
            got = main(shlex.split(command, comments=True)[1:])
        self._compare(line, shown, said.getvalue(), code, got)

    def _check(self, words: list[str], line: str, shown: list[str], code: int) -> None:
        path = f"{self.folder / '.programs'}{os.pathsep}{os.environ['PATH']}"
        # Where the page adds to the package, its copy lies in the folder; elsewhere the link leads to the same.
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self._compare(line, shown, done.stdout, code, done.returncode)

    def _compare(self, line: str, shown: list[str], output: str, code: int, got: int) -> None:
        assert got == code, f"{line}\nended with {got}, not {code}:\n{output}"
        lacks = missing(shown, output)
        assert lacks is None, f"{line}\ndoes not show:\n{lacks}\nbut:\n{output}"
