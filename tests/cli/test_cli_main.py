"""The command line as a whole: exit codes, messages, environment, configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoflow import __version__
from autoflow.cli import table
from autoflow.cli.main import main


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"autoflow {__version__}\n"


def test_help_lists_every_command_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in table.names():
        assert table.help_line(name)
        assert f"{name} {table.help_line(name)}" in shown


@pytest.mark.parametrize("name", ["adapters", "init", "openagi", "runs"])
def test_help_of_a_group_says_what_each_of_its_commands_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    before, commands = shown.split("Commands:")
    assert len(before.split("Options:")[0].strip().splitlines()) > 1
    assert "..." not in commands.replace("embedded/...", "")


def test_no_command_prints_the_help_and_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_help_line_is_the_modules_first_sentence() -> None:
    for name in table.names():
        line = table.help_line(name)
        assert line.endswith(".")
        assert len(line) < 80


def test_unknown_command_lists_the_commands_and_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lnt"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error[unknown-name]: unknown command 'lnt'; there are: adapters, bench, ")
    assert "did you mean 'lint'?" in message


def test_unknown_flag_is_a_usage_error_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--frobnicate", "x"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error[usage]:")
    assert "--frobnicate" in message
    assert "autoflow lint --help" in message
    assert "Traceback" not in message


def test_missing_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint"]) == 2
    assert "error[usage]" in capsys.readouterr().err


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOFLOW_DEBUG", "1")
    assert main(["lint", "no-such-file.yaml"]) == 2
    message = capsys.readouterr().err
    assert "Traceback" in message
    assert "there is no workflow file no-such-file.yaml" in message


def test_an_unexpected_exception_says_that_it_is_a_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(table, "run", broken)
    assert main(["lint", "x"]) == 1
    message = capsys.readouterr().err
    assert "this is a bug in autoflow" in message
    assert "Traceback" in message


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (["init", "benchmark", "{}/deep/x.yaml"], "deep"),
        (["schema", "--vscode"], ".vscode"),
        (["convert", "chain_of_thought.yaml", "-o", "{}/deep/x.core"], "deep/x.core"),
        (["export", "chain_of_thought.yaml", "-o", "{}/file/app"], "file/app"),
    ],
)
def test_a_place_that_cannot_be_written_is_no_bug(
    command: list[str],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file", ".vscode"):
        Path(name).write_text("no folder")
    Path("chain_of_thought.yaml").write_text(
        "autoflow: 1\nname: c\nsteps: [{name: a, type: terminal, instruction: Do.}]\n"
    )
    assert main([part.format(tmp_path) for part in command]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error[usage]: ")
    assert place in message
    assert "Traceback" not in message


def test_a_file_of_our_own_that_is_missing_is_a_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "run", lambda *_: Path(table.__file__).with_name("missing.txt").read_text())
    assert main(["lint", "x"]) == 1
    assert "this is a bug in autoflow" in capsys.readouterr().err


def test_interrupt_outside_of_a_run_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(table, "run", interrupted)
    assert main(["lint", "x"]) == 130


def test_environment_names_are_made_from_command_and_flag() -> None:
    assert table.environment("improve", "--max-cost") == ["AUTOFLOW_IMPROVE_MAX_COST", "AUTOFLOW_MAX_COST"]
    assert table.environment("runs list", "--json") == ["AUTOFLOW_RUNS_LIST_JSON", "AUTOFLOW_JSON"]


def test_the_folder_of_published_data_is_no_benchmarks_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTOFLOW_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "benchmark"]) == 0
    assert main(["bench", "mytasks.yaml", "--list"]) == 0
    assert "[test]" in capsys.readouterr().out


def test_every_flag_has_an_environment_variable() -> None:
    for name in table.names():
        for parameter in table.command(name).params:
            if parameter.param_type_name == "option":
                assert parameter.envvar, f"{name} {parameter.opts}"


def test_environment_variable_sets_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.yaml").write_text("autoflow: 1\n")
    monkeypatch.setenv("AUTOFLOW_FORMAT", "json")
    assert main(["lint", str(tmp_path / "w.yaml")]) == 4
    assert '"schema": "autoflow.lint/1"' in capsys.readouterr().out
    monkeypatch.setenv("AUTOFLOW_LINT_FORMAT", "text")
    assert main(["lint", str(tmp_path / "w.yaml")]) == 4
    assert "schema" not in capsys.readouterr().out


def test_configuration_file_sets_defaults_and_flags_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autoflow.toml").write_text('[defaults.lint]\nformat = "json"\n')
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "w.yaml").write_text("autoflow: 1\n")
    monkeypatch.chdir(tmp_path / "below")
    assert main(["lint", "w.yaml"]) == 4
    assert '"schema": "autoflow.lint/1"' in capsys.readouterr().out
    assert main(["lint", "w.yaml", "--format", "text"]) == 4
    assert "schema" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[defaults.lint]\nformet = 'json'\n", "lint has no flag 'formet'; it has: "),
        ("[defaults.lnt]\nformat = 'json'\n", "[defaults.lnt]: there is no such command"),
        ("[endpoint.x]\n", "unknown section 'endpoint'; there are: defaults, endpoints"),
        ("defaults = 3\n", "'defaults' must be a table"),
        ("[endpoints.x]\nbase_url = 'ftp://x'\n", "endpoints.x: base_url must be an http"),
        ("[endpoints.x]\nbase_url = 'http://x'\napi_key = 'k'\n", "unknown key 'api_key'"),
        ("[endpoints.x]\nbase_url = 'http://x'\napi_key_env = 3\n", "api_key_env must be the name"),
        ("[endpoints.x]\nbase_url = 'http://x'\nmodels = 'm'\n", "models must be a list"),
        ("[prices.gpt]\ninput = 1\noutput = 2\n", "is no model"),
        ("[prices.openai/gpt]\ninput = 1\n", "autoflow.toml:1:15: "),
        ('[prices."a/b"]\ninput = 1\n', 'prices."a/b": output is missing'),
        (
            '[prices."a/b"]\ninput = 1\noutput = -2\n',
            "output must be a number of US dollars per million tokens, not -2",
        ),
        ('[prices."a/b"]\ninput = true\noutput = 2\n', "input must be a number"),
        ('[prices."a/b"]\ninput = 1\noutput = 2\ncache = 1\n', "unknown key 'cache'; there are: input, output, cached"),
        ("prices = 3\n", "'prices' must be a table"),
        ("not toml", "autoflow.toml:1:5: "),
    ],
)
def test_faults_of_the_configuration_file_name_it_and_what_exists(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autoflow.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["lint", "w.yaml"]) == 2
    message = capsys.readouterr().err
    assert "autoflow.toml" in message
    assert complaint in message


def test_defaults_for_all_commands_apply_where_the_flag_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autoflow.toml").write_text('[defaults]\nformat = "json"\ninterpreter = "scripted/x.yaml"\n')
    (tmp_path / "w.yaml").write_text("autoflow: 1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["lint", "w.yaml"]) == 4
    assert '"schema": "autoflow.lint/1"' in capsys.readouterr().out


def test_completion_offers_the_commands(root: Path) -> None:
    environment = {**os.environ, "_AUTOFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "autoflow li", "COMP_CWORD": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("autoflow")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["lint"]


def test_piped_output_carries_no_escape_sequences(root: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "GITHUB_ACTIONS": "true", "TERM": "xterm-256color"}
    for arguments in (["--help"], ["lint", "--help"], ["show", "workflows/chain_of_thought.yaml"], ["lnt"]):
        done = subprocess.run(
            [sys.executable, "-m", "autoflow", *arguments], env=environment, cwd=root, capture_output=True, check=False
        )
        assert b"\x1b" not in done.stdout + done.stderr
