"""Compare two recorded bench runs, task by task."""

from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError

app = new_app()

WORSE = 3
"""The exit code where the second run is significantly worse: as of a threshold that was not met."""


@app.command(
    epilog=examples(
        "autoflow compare bench-openagi-1a2b3c4d bench-openagi-5e6f7a8b",
        "autoflow compare runs/before runs/after --json",
    )
)
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="The bench run to compare with: its name or folder.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The bench run that is judged.")],
    *,
    root: Annotated[Path, typer.Option("--root", metavar="FOLDER", help="The folder that holds the runs.")] = Path(
        "runs"
    ),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the intervals and of the permutation test.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Say whether RUN_B is better or worse than RUN_A on the tasks scored in both. Ends with 3 if it is worse.

    Both must have scored the same split of the same benchmark with the same scorer; whatever else differs is listed.
    """
    import sys

    from autoflow.cli.output import emit, printable, say
    from autoflow.compare import compare as measure
    from autoflow.statistics import verdict

    report = measure(_folder(run_a, root), _folder(run_b, root), seed=seed)
    if as_json:
        emit("compare", report.to_json())
    else:
        print(printable(report.to_text(), sys.stdout), end="")
    if report.worse:
        say(f"{run_b} is {verdict(report.comparison)}, compared with {run_a}")
        return WORSE
    return 0


def _folder(run: str, root: Path) -> Path:
    found = next((path for path in (root / run, Path(run)) if path.is_dir()), None)
    if found is None:
        from autoflow.runs.folder import list_runs

        known = [
            item.name for item in list_runs(root) if item.config is not None and item.config.get("kind") == "bench"
        ]
        raise UnknownNameError("run", run, known, hint="see: autoflow runs list")
    return found
