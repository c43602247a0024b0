"""Every path, flag, command, rule and error code that a document names exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup

from autoflow import config, errors
from autoflow.cli import table
from autoflow.language.document import parse
from autoflow.language.lint import RULES, lint

_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#:\s]+)\)")
_FLAG = re.compile(r"^--[a-z][a-z-]*$")


def _documents(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md")), *sorted((root / "benchmarks").rglob("*.md"))]


def _blocks(text: str) -> Iterator[str]:
    """The lines of fenced code, with continued lines joined."""
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from re.sub(r"\\\n\s*", "", block).splitlines()
    yield from re.findall(r"^ {4}(autoflow .*)$", text, re.MULTILINE)


def _spans(text: str) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return _INLINE.findall(prose)


def _flags(command: str) -> set[str]:
    found = table.command(command)
    commands = [found, *(found.commands.values() if isinstance(found, TyperGroup) else ())]
    parameters = [parameter for item in commands for parameter in item.params]
    return {flag for item in parameters for flag in (*item.opts, *item.secondary_opts)} | {"--help"}


def _command_lines(text: str) -> Iterator[list[str]]:
    for line in [*_blocks(text), *_spans(text)]:
        if re.match(r"^(\$ )?(\.venv/bin/)?autoflow( |$)", line):
            yield shlex.split(line.removeprefix("$ ").split(" | ")[0].split(" > ")[0].replace("...", ""), comments=True)


@pytest.fixture
def texts(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in _documents(root)}


def test_every_path_named_in_a_document_exists(root: Path, texts: dict[str, str]) -> None:
    top = {path.name for path in root.iterdir()}
    missing = []
    for document, text in texts.items():
        made = set(re.findall(r'^```.*title="([^"]+)"$', text, re.MULTILINE))  # the document has the reader save these
        for span in _spans(text):
            token = span.split(" ")[0].split(":")[0]
            if token in made or token.split("/")[0] not in top or ("/" not in token and "." not in token):
                continue
            if token.split("/")[0] not in {"runs", ".venv"} and not list(root.glob(token.rstrip("/"))):
                missing.append(f"{document}: {token}")
        for link in _LINK.findall(text):
            if not ((root / document).parent / link).exists():
                missing.append(f"{document}: {link}")
    assert missing == []


def test_every_command_line_in_a_document_fits_the_program(texts: dict[str, str]) -> None:
    wrong = []
    for document, text in texts.items():
        for words in _command_lines(text):
            if len(words) < 2 or words[1] in {"--help", "--version", "--install-completion", "--show-completion"}:
                continue
            if words[1] not in table.names():
                wrong.append(f"{document}: no command {words[1]}")
                continue
            flags = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
            wrong += [f"{document}: {words[1]} has no {flag}" for flag in sorted(flags - _flags(words[1]))]
    assert wrong == []


def test_every_make_target_in_a_document_exists(root: Path, texts: dict[str, str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        word
        for text in texts.values()
        for line in [*_blocks(text), *_spans(text)]
        if line.startswith("make ")
        for word in line.split("#")[0].split()[1:]
        if "=" not in word
    }
    assert named
    assert named <= targets


def test_every_flag_named_in_a_document_belongs_to_a_command(texts: dict[str, str]) -> None:
    known = set().union(*(_flags(name) for name in table.names()), {"--version", "--install-completion"})
    known |= {"--show-completion"}
    named = {
        (document, span.split(" ")[0].split("=")[0])
        for document, text in texts.items()
        for span in _spans(text)
        if _FLAG.match(span.split(" ")[0].split("=")[0])
    }
    assert sorted(item for item in named if item[1] not in known) == []


def _fenced(texts: dict[str, str], language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return [block for text in texts.values() for block in re.findall(pattern, text, re.MULTILINE | re.DOTALL)]


def test_every_workflow_in_a_document_is_sound(texts: dict[str, str]) -> None:
    found = [block for block in _fenced(texts, "yaml") if block.startswith("autoflow: 1")]
    assert found
    for block in found:
        assert lint(parse(block)) == []


def test_every_configuration_in_a_document_can_be_read(texts: dict[str, str], tmp_path: Path) -> None:
    found = _fenced(texts, "toml")
    assert found
    for block in found:
        (tmp_path / config.FILE).write_text(block)
        assert config.load(tmp_path).endpoints


def _codes() -> set[str]:
    found, waiting = set(), [errors.AutoflowError]
    while waiting:
        item = waiting.pop()
        found.add(item.code)
        waiting += item.__subclasses__()
    return found


def test_errors_document_has_a_section_for_each_code_and_rule_and_no_other(texts: dict[str, str]) -> None:
    headings = set(re.findall(r"^### `([A-Za-z0-9-]+)`", texts["docs/errors.md"], re.MULTILINE))
    assert headings == _codes() | set(RULES)
    missing = [
        rule.id for rule in RULES.values() if f"{rule.title.rstrip('.')}. {rule.why}" not in texts["docs/errors.md"]
    ]
    assert missing == []


def test_errors_document_states_each_exit_code(texts: dict[str, str]) -> None:
    stated = dict(re.findall(r"^### `([A-Za-z0-9-]+)` · exit (\d+)", texts["docs/errors.md"], re.MULTILINE))
    waiting = [errors.AutoflowError]
    while waiting:
        item = waiting.pop()
        assert stated[item.code] == str(item.exit_code)
        waiting += item.__subclasses__()


def test_every_example_in_a_help_text_fits_the_program() -> None:
    wrong = []
    for name in table.names():
        found = table.command(name)
        commands = [found, *(found.commands.values() if isinstance(found, TyperGroup) else ())]
        epilogs = [item.epilog for item in commands if not isinstance(item, TyperGroup)]
        assert all(epilogs), f"{name} shows no example"
        for line in "\n".join(filter(None, epilogs)).splitlines():
            words = shlex.split(line.strip(), comments=True)
            if words[:1] == ["autoflow"]:
                assert words[1] in table.names()
                wrong += [f"{line}: {word}" for word in words if word.startswith("--") and word not in _flags(words[1])]
    assert wrong == []
