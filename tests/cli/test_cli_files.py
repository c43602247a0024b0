"""lint, fmt, show, diff, convert, schema: commands that read workflow files and call no model."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autoflow.cli import files
from autoflow.cli.main import main

SOUND = """\
autoflow: 1
name: answer
steps:
  - name: think
    type: process
    instruction: Think about the task.
    next: done
  - name: done
    type: terminal
    instruction: Answer it.
"""

UNSOUND = SOUND.replace("next: done", "next: elsewhere")

CORE = """\
think:::process:::Think about the task.:::next::done
done:::terminal:::Answer it.:::
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sound.yaml").write_text(SOUND)
    (tmp_path / "unsound.yaml").write_text(UNSOUND)
    (tmp_path / "flow.txt").write_text(CORE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _stdin(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_lint_of_a_sound_file_prints_nothing_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "sound.yaml"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "files 1, errors 0, warnings 0\n"


def test_lint_names_file_line_and_column_and_ends_with_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "sound.yaml", "unsound.yaml"]) == 4
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("unsound.yaml:7:")
    assert "elsewhere" in first


def test_lint_goes_on_after_a_file_that_cannot_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.yaml").write_text("autoflow: [1\n")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert main(["lint", "broken.yaml", "binary.yaml", "unsound.yaml"]) == 4
    shown = capsys.readouterr().out
    assert "broken.yaml:" in shown
    assert "binary.yaml:" in shown
    assert "unsound.yaml:7:" in shown


def test_lint_as_json_is_one_document_with_a_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--format", "json", "unsound.yaml"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.lint/1"
    assert document["files"] == ["unsound.yaml"]
    finding = document["findings"][0]
    assert (finding["file"], finding["line"], finding["severity"]) == ("unsound.yaml", 7, "error")


def test_lint_as_sarif_describes_the_rules_it_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--format", "sarif", "unsound.yaml", "sound.yaml"]) == 4
    run = json.loads(capsys.readouterr().out)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "unsound.yaml"


def test_lint_as_github_annotations_cannot_be_injected_into(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SOUND.replace("next: done", 'next: "x\\n::error file=a,line=1::injected"')
    (folder / "bad,name.yaml").write_text(text)
    assert main(["lint", "--format", "github", "bad,name.yaml"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("::error file=bad%2Cname.yaml,", "::warning file=bad%2Cname.yaml,")) for line in lines)


def test_lint_refuses_an_unknown_format(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--format", "xml", "sound.yaml"]) == 2
    assert "unknown format 'xml'; there are: text, json, sarif, github" in capsys.readouterr().err


def test_lint_reads_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _stdin(monkeypatch, UNSOUND)
    assert main(["lint", "-"]) == 4
    assert capsys.readouterr().out.startswith("<stdin>:7:")


def test_lint_knows_a_benchmarks_operators_when_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SOUND.replace("    type: process\n", "    type: process\n    operator: Fill Mask\n")
    (folder / "tool.yaml").write_text(text)
    assert main(["lint", "tool.yaml"]) == 4
    assert "Fill Mask" in capsys.readouterr().out
    main(["lint", "tool.yaml", "--operators", "openagi"])
    assert "unknown operator" not in capsys.readouterr().out


def test_lint_of_core_text_names_its_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "flow.txt"]) == 0
    (folder / "flow.txt").write_text(CORE.replace("next::done", "next::nowhere"))
    assert main(["lint", "flow.txt"]) == 4
    assert "flow.txt:1:" in capsys.readouterr().out
    (folder / "flow.txt").write_text("nothing here\n")
    assert main(["lint", "flow.txt"]) == 4


def test_a_missing_file_lists_the_bundled_workflows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "missing.yaml"]) == 2
    message = capsys.readouterr().err
    assert "there is no workflow file missing.yaml" in message
    assert "workflows/openagi/manual.yaml" in message


def test_a_folder_is_refused_with_the_pattern_that_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(folder)]) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["workflows/openagi/manual.yaml", "openagi/manual.yaml", "openagi/manual"])
def test_bundled_workflows_are_found_by_name_from_anywhere(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workflow"]["name"] == "openagi-manual"


def test_a_bundled_name_never_leads_out_of_the_bundled_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "workflows/../benchmarks/openagi/benchmark.yaml"]) == 2


def test_every_bundled_workflow_passes_lint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(files.bundled()) >= 6
    assert main(["lint", *files.bundled()]) == 0, capsys.readouterr().out


def test_fmt_writes_one_layout_and_keeps_comments(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "loose.yaml"
    path.write_text("# why\n" + SOUND.replace("  - name: think", "  - name:   think  # first"))
    assert main(["fmt", "--check", "loose.yaml"]) == 4
    assert "loose.yaml: would be formatted" in capsys.readouterr().err
    assert main(["fmt", "--diff", "loose.yaml"]) == 0
    assert "--- loose.yaml" in capsys.readouterr().out
    path.chmod(0o640)
    assert main(["fmt", "loose.yaml"]) == 0
    after = path.read_text()
    assert "# why" in after
    assert "# first" in after
    assert path.stat().st_mode & 0o777 == 0o640
    assert main(["fmt", "--check", "loose.yaml"]) == 0
    assert [item.name for item in folder.iterdir() if item.name.startswith(".")] == []


def test_fmt_of_a_file_in_layout_touches_nothing(folder: Path) -> None:
    main(["fmt", "sound.yaml"])
    before = (folder / "sound.yaml").stat().st_mtime_ns
    assert main(["fmt", "sound.yaml"]) == 0
    assert (folder / "sound.yaml").stat().st_mtime_ns == before


def test_fmt_of_stdin_writes_to_stdout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _stdin(monkeypatch, SOUND)
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out.startswith("autoflow: 1\n")


def test_fmt_refuses_text_that_is_no_workflow_and_leaves_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.yaml").write_text("autoflow: [1\n")
    assert main(["fmt", "broken.yaml"]) == 4
    assert (folder / "broken.yaml").read_text() == "autoflow: [1\n"
    (folder / "binary.yaml").write_bytes(b"\xff")
    assert main(["fmt", "binary.yaml"]) == 4


def test_fmt_does_not_change_bundled_workflows_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = folder / "installation" / "theirs.yaml"
    bundled.parent.mkdir()
    bundled.write_text(SOUND.replace("  - name: think", "  - name:   think"))
    monkeypatch.setattr("autoflow.resources.folder", lambda _: bundled.parent)
    assert main(["fmt", "theirs"]) == 2
    assert "bundled with autoflow" in capsys.readouterr().err
    assert "- name:   think" in bundled.read_text()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("table", "Think about the task."),
        ("text", "1. think (process)\n   Think about the task.\n   -> done\n"),
        ("mermaid", "flowchart TD"),
        ("core", "think:::Process:::Think about the task."),
        ("yaml", SOUND),
    ],
)
def test_show_prints_each_form(form: str, expected: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "sound.yaml", "--format", form]) == 0
    assert expected in capsys.readouterr().out


def test_show_text_names_branches_bounds_and_operators(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "loop.yaml").write_text(
        """\
autoflow: 1
name: loop
description: Tries again.
steps:
  - name: try
    type: process
    operator: ensemble
    instruction: Try.
    reads: []
    next: check
  - name: check
    type: decision
    instruction: Is it good?
    branches: {"yes": done, "no": try}
    max_visits: 3
    otherwise: done
  - name: done
    type: terminal
"""
    )
    assert main(["show", "loop.yaml", "--format", "text"]) == 0
    shown = capsys.readouterr().out
    assert "loop: Tries again." in shown
    assert "1. try (process, ensemble)" in shown
    assert "yes -> done" in shown
    assert "otherwise (after 3 visits) -> done" in shown


def test_show_refuses_an_unknown_format(folder: Path) -> None:
    assert main(["show", "sound.yaml", "--format", "png"]) == 2


def test_diff_says_what_changed_and_ignores_layout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.yaml").write_text(SOUND.replace("Answer it.", "Answer it in German."))
    (folder / "layout.yaml").write_text("# note\n" + SOUND)
    assert main(["diff", "sound.yaml", "other.yaml"]) == 0
    assert "German" in capsys.readouterr().out
    assert main(["diff", "sound.yaml", "layout.yaml"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["diff", "sound.yaml", "other.yaml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.diff/1"
    assert document["changes"][0]["kind"] == "reworded"


def test_convert_there_and_back_keeps_the_workflow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "flow.txt", "--output", "flow.yaml"]) == 0
    assert main(["convert", "flow.yaml", "--output", "again.txt"]) == 0
    assert main(["convert", "again.txt", "--output", "again.yaml"]) == 0
    capsys.readouterr()
    assert main(["show", "flow.yaml", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["fingerprint"]
    assert main(["show", "again.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == first


def test_convert_writes_to_stdout_and_takes_formats_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["convert", "sound.yaml"]) == 0
    assert capsys.readouterr().out.startswith("think:::Process:::")
    _stdin(monkeypatch, CORE)
    assert main(["convert", "--from", "core", "--to", "yaml", "-"]) == 0
    assert capsys.readouterr().out.startswith("autoflow: 1")
    assert main(["convert", "--to", "json", "sound.yaml"]) == 2


@pytest.mark.parametrize("command", [["lint"], ["run", "--interpreter", "scripted/none.yaml"]])
def test_every_step_says_what_is_wrong_with_it(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "faulty.yaml").write_text(
        "autoflow: 1\nname: f\nsteps:\n  - {name: a, type: proces, instruction: Do.}\n"
        "  - {name: b, type: terminal}\n  - {name: c, type: terminal, max_visits: no}\n"
    )
    assert main([*command, "faulty.yaml", *(["x"] if command[0] == "run" else [])]) == 4
    shown = capsys.readouterr()
    lines = [line for line in (shown.out + shown.err).splitlines() if line.startswith("faulty.yaml:")]
    assert [line.split(": ")[0] for line in lines] == ["faulty.yaml:4:21", "faulty.yaml:6:43"]


def test_convert_says_what_core_text_cannot_and_leaves_it_out_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bounded.yaml").write_text(
        "autoflow: 1\nname: b\nsteps:\n  - {name: a, type: process, instruction: Do., next: a, max_visits: 2, "
        "otherwise: z}\n  - {name: z, type: terminal, instruction: End.}\n"
    )
    assert main(["convert", "bounded.yaml", "--to", "core"]) == 4
    message = capsys.readouterr().err
    assert message.startswith("bounded.yaml: error ")
    assert "--lossy" in message
    assert main(["convert", "bounded.yaml", "--to", "core", "--lossy"]) == 0
    assert capsys.readouterr().out.startswith("a:::Process:::Do.:::")


def test_convert_minds_no_interpreter_that_is_set_for_all_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    Path("autoflow.toml").write_text('[defaults]\ninterpreter = "openai/x"\n')
    assert main(["convert", "sound.yaml"]) == 0
    monkeypatch.setenv("AUTOFLOW_INTERPRETER", "openai/y")
    assert main(["convert", "sound.yaml"]) == 0
    assert main(["convert", "sound.yaml", "--interpreter", "openai/z"]) == 2
    assert "--interpreter is for --to agent-spec" in capsys.readouterr().err


def test_convert_keeps_an_existing_file_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "flow.txt", "--output", "sound.yaml"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", "flow.txt", "--output", "sound.yaml", "--overwrite"]) == 0


def test_convert_reports_faults_of_core_text_by_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "flow.txt").write_text(CORE + "lost:::process:::Never reached.:::next::done\n")
    assert main(["convert", "flow.txt"]) == 0
    assert "flow.txt:3:" in capsys.readouterr().err


def test_schema_is_draft_07_and_lists_operators(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--operators", "openagi"]) == 0
    shown = capsys.readouterr().out
    assert "draft-07" in json.loads(shown)["$schema"]
    assert "Fill Mask" in shown
    assert main(["schema", "--any-operator"]) == 0
    assert "Fill Mask" not in capsys.readouterr().out


def test_lint_fix_mends_the_file_and_judges_what_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "case.yaml").write_text(SOUND.replace("next: done", "next: Done"))
    assert main(["lint", "case.yaml"]) == 4
    assert "--fix mends 1 of them" in capsys.readouterr().err
    assert main(["lint", "--fix", "case.yaml", "unsound.yaml"]) == 4
    shown = capsys.readouterr()
    assert "case.yaml: mended 1" in shown.err
    assert "case.yaml" not in shown.out
    assert (folder / "case.yaml").read_text() == SOUND
    assert (folder / "unsound.yaml").read_text() == UNSOUND


def test_lint_fix_refuses_what_it_cannot_write(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--fix", "flow.txt"]) == 2
    assert "--fix writes YAML" in capsys.readouterr().err
    assert (folder / "flow.txt").read_text() == CORE


def test_diff_works_as_a_diff_driver_of_git(folder: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    git("init", "-q")
    git("config", "diff.autoflow.command", f"{sys.executable} -m autoflow diff")
    (folder / ".gitattributes").write_text("*.yaml diff=autoflow\n")
    git("add", ".")
    git("commit", "-qm", "first")
    (folder / "sound.yaml").write_text(SOUND.replace("Think about", "Think hard about"))
    (folder / "unsound.yaml").write_text("autoflow: [\n")
    (folder / "new.yaml").write_text(SOUND)
    git("add", "-N", "new.yaml")
    shown = git("diff")
    assert 'step "think" reworded' in shown
    assert "-autoflow: 1" in shown
    assert "+autoflow: [" in shown
    assert "+name: answer" in shown


def test_schema_sets_up_an_editor_and_keeps_its_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".vscode").mkdir()
    (folder / ".vscode" / "settings.json").write_text('{"editor.rulers": [120]}')
    assert main(["schema", "--vscode", "--files", "flows/*.yaml"]) == 0
    settings = json.loads((folder / ".vscode" / "settings.json").read_text())
    ((schema, glob),) = settings["yaml.schemas"].items()
    assert settings["editor.rulers"] == [120]
    assert glob == "flows/*.yaml"
    assert "draft-07" in json.loads((folder / schema).read_text())["$schema"]
    commented = '{// mine\n"editor.rulers": [120]}'
    (folder / ".vscode" / "settings.json").write_text(commented)
    assert main(["schema", "--vscode"]) == 0
    assert (folder / ".vscode" / "settings.json").read_text() == commented
    assert '"yaml.schemas"' in capsys.readouterr().err


def test_the_hooks_for_pre_commit_call_commands_that_exist() -> None:
    hooks = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        program, command = hook["entry"].split()
        assert program == "autoflow"
        assert main([command, "--help"]) == 0
