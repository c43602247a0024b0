"""Compare two workflows by what they do."""

import difflib
from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app
from autoflow.errors import UsageError, WorkflowError

_OF_GIT = 7
# What git hands to an external diff: path, then file, hash and mode of the old version and of the new one.
_OF_GIT_RENAMED = 9

app = new_app()


@app.command(
    epilog=examples(
        "autoflow diff plan.yaml better-plan.yaml",
        "autoflow diff --json a.yaml b.yaml",
        "# in git diff, for the workflows of this repository:",
        "git config diff.autoflow.command 'autoflow diff'",
        "echo 'workflows/**/*.yaml diff=autoflow' >> .gitattributes",
    )
)
def diff(
    workflows: Annotated[
        list[str], typer.Argument(metavar="BEFORE AFTER", help="Two workflow files; or what git gives a diff driver.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say which steps were added, removed, reworded or rewired. Layout and comments do not count.

    Works as git's external diff (see the examples): a version that is no workflow is then shown as text.
    """
    if len(workflows) in (_OF_GIT, _OF_GIT_RENAMED):
        _for_git(workflows[0], Path(workflows[1]), Path(workflows[4]))
        return
    if len(workflows) != 2:
        raise UsageError(f"diff compares two files, not {len(workflows)}", hint="autoflow diff BEFORE AFTER")
    before, after = workflows
    from autoflow.cli import files
    from autoflow.cli.output import say
    from autoflow.language.diff import diff as compare

    found = compare(files.load(before).workflow, files.load(after).workflow)
    if as_json:
        from autoflow.cli.output import emit

        emit("diff", {"before": before, "after": after, "changes": found.to_json()})
        return
    print(found.to_text(), end="")
    if not found:
        say("the two do the same")


def _for_git(name: str, before: Path, after: Path) -> None:
    from autoflow.language import document
    from autoflow.language.diff import diff as compare

    print(f"diff --autoflow {name}")
    try:
        found = compare(document.load(before).workflow, document.load(after).workflow)
    except WorkflowError:
        # Added, deleted, or broken in one version: git must show something, whatever the file holds.
        old, new = _lines(before), _lines(after)
        print("".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")), end="")
        return
    print(found.to_text() if found else "only layout or comments\n", end="")


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return [f"{line}\n" for line in text.splitlines()]
