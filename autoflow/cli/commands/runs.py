"""List recorded runs, show, resume, merge, pass on and clear them away."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from autoflow.core.strategy import Evaluation, Trial
    from autoflow.runs.folder import RunInfo

ROOT = "runs"

app = new_app()

Root = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="The folder that holds the runs.")]


@app.callback()
def runs() -> None:
    """List recorded runs, show, resume, merge, pass on and clear them away."""


@app.command("list", epilog=examples("autoflow runs list", "autoflow runs list --root elsewhere/runs --json"))
def list_command(root: Root = Path(ROOT), as_json: AsJson = False) -> None:
    """List the runs in a folder, oldest first."""
    from autoflow.runs.folder import list_runs

    found = list_runs(root)
    if as_json:
        from autoflow.cli.output import emit

        emit("runs", {"root": str(root), "runs": [_record(run) for run in found]})
        return
    if not found:
        print(f"no runs in {root}")
        return
    from autoflow.cli.output import new_table, stdout

    table = new_table("run", "kind", "state", "started", "seconds", "calls")
    for run in found:
        calls = "-" if run.spend is None else str(run.spend.calls)
        kind = str((run.config or {}).get("kind", "-"))
        table.add_row(run.name, kind, run.state, _time(run.started), _seconds(run.seconds), calls)
    stdout().print(table)


@app.command(
    epilog=examples("autoflow runs show improve-openagi-1a2b3c4d", "autoflow runs show runs/demo --json"),
)
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or its folder.")],
    root: Root = Path(ROOT),
    as_json: AsJson = False,
) -> None:
    """Show a run: how it ended, what it took, its candidates and its report. Works while the run goes on."""
    from autoflow.runs.folder import find, info
    from autoflow.runs.ledger import Ledger

    path = find(run, root)
    found = info(path)
    with Ledger.reading(path / "ledger.sqlite") as ledger:
        trials = ledger.trials()
    spend = found.spend
    assert spend is not None  # noqa: S101  only a damaged run has none, and that is refused above
    report = path / "report.txt"
    if as_json:
        from dataclasses import asdict

        from autoflow.cli.output import emit

        document = {"run": _record(found), "spend": asdict(spend), "trials": [_trial(trial) for trial in trials]}
        emit("run-folder", document)
        return
    print(f"{found.path}: {found.state}")
    print(f"started {_time(found.started)}, {_seconds(found.seconds)} s, {spend.calls} calls, {spend.tokens} tokens")
    command = None if found.config is None else found.config.get("command")
    if isinstance(command, str):
        print(f"command: {command}")
    for trial in trials:
        scores = [_score(evaluation) for evaluation in (trial.train, trial.validation) if evaluation is not None]
        state = ", ".join(scores) or ("invalid draft" if trial.proposal.workflow is None else "not scored")
        print(f"  {trial.id}: {state}; {trial.proposal.reason}")
    if report.is_file():
        print()
        print(report.read_text(encoding="utf-8"), end="")


@app.command(epilog=examples("autoflow runs resume demo"))
def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or its folder.")],
    root: Root = Path(ROOT),
) -> int:
    """Give the command of a run again, which goes on where it stopped. Call it in the folder where the run began."""
    import shlex

    from autoflow.cli.main import main
    from autoflow.cli.output import say
    from autoflow.runs.folder import find, info

    found = info(find(run, root))
    command = str((found.config or {}).get("command") or "")
    program, *arguments = shlex.split(command) or [""]
    if program != "autoflow" or "***" in command:
        why = "it held a secret, which is not written down" if "***" in command else "it was not started by a command"
        raise UsageError(f"{found.path} does not say how it was started: {why}", hint="give its command yourself")
    say(f"resuming: {command}")
    return main(arguments)


@app.command(
    epilog=examples(
        "autoflow runs merge runs/first runs/second -o runs/whole",
        "autoflow runs merge runs/a runs/b runs/c -o runs/all --benchmark elsewhere/mine.yaml",
    )
)
def merge(
    ctx: typer.Context,
    parts: Annotated[list[str], typer.Argument(metavar="RUN...", help="Every shard: a run's name, or its folder.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The merged run; a new folder.")],
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark", metavar="PATH", help="The benchmark, where it is no longer where the run found it."
        ),
    ] = None,
    scorer: options.Scorer = None,
    data: options.Data = None,
    root: Root = Path(ROOT),
    as_json: AsJson = False,
) -> int:
    """Make one run of the shards of autoflow bench --shard i/n, with the report of an unsharded run. Asks no model."""
    from autoflow.cli import interrupt
    from autoflow.cli.output import emit, printable, say
    from autoflow.merge import MergeConfig
    from autoflow.merge import merge as put_together
    from autoflow.runs.folder import find

    command = interrupt.without_secrets(interrupt.command_line(ctx))
    found = tuple(find(part, root) for part in parts)
    merged = put_together(MergeConfig(found, output, benchmark, scorer, data, command))
    report = merged.report
    say(f"run folder: {report.folder}")
    if merged.paid_again:
        say(f"{merged.paid_again} of the calls were made by more than one shard; the report counts each once")
    if as_json:
        document = {key: item for key, item in report.to_json().items() if key != "schema"}
        emit("bench", {"reports": [{"folder": str(report.folder), **document}]})
    else:
        print(printable(report.to_text(), sys.stdout), end="")
    return report.exit_code


@app.command(epilog=examples("autoflow runs export demo -o demo.zip"))
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or its folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: RUN.zip here.")
    ] = None,
    root: Root = Path(ROOT),
) -> None:
    """Pack a run into a ZIP file: all its records, none of its secrets, to be unpacked as a run folder elsewhere."""
    from autoflow.cli.output import say
    from autoflow.runs import keeping
    from autoflow.runs.folder import find

    folder = find(run, root)
    file = keeping.export(folder, output or Path(f"{folder.resolve().name}.zip"))
    say(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")


@app.command(epilog=examples("autoflow runs trajectories improve-openagi-1a2b3c4d -o turns.jsonl"))
def trajectories(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run of the strategy w4s: its name, or its folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The JSON Lines file to write.")],
    malus: Annotated[
        float, typer.Option("--malus", min=0.0, help="Taken off the reward where the score is below 0.3.")
    ] = 0.0,
    root: Root = Path(ROOT),
) -> None:
    """Write what a run of w4s tried, turn by turn with its rewards, for `autoflow train rlao`."""
    from autoflow.cli.output import say
    from autoflow.runs.folder import find
    from autoflow.training import trajectories as rows

    found = rows.of_run(find(run, root), malus)
    rows.write(found, output)
    say(f"wrote {output} ({len(found)} actions)")


@app.command(
    epilog=examples(
        "autoflow runs prune --older-than 30",
        "autoflow runs prune --older-than 7 --state failed --state killed --yes",
    )
)
def prune(
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, metavar="DAYS", help="Runs that began at least so long ago.")
    ],
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Of these alone; may be repeated.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only listed.")] = False,
    root: Root = Path(ROOT),
) -> None:
    """Delete old runs. Lists what would go, and deletes nothing without --yes; a running one is never touched."""
    import time
    from typing import cast, get_args

    from autoflow.cli.output import say
    from autoflow.runs import keeping
    from autoflow.runs.folder import State

    known = [name for name in get_args(State) if name != "running"]
    for name in state or []:
        if name not in known:
            raise UnknownNameError("state", name, known)
    states = cast("list[State]", state or known)
    found = keeping.prunable(root, states, older_than * 86_400, time.time())
    for run in found:
        if yes:
            keeping.remove(run)
        print(f"{'deleted' if yes else 'would delete'} {run.path} ({run.state}, {_time(run.started)})")
    if found and not yes:
        say("nothing is deleted without --yes")
    if not found:
        say(f"no such runs in {root}")


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _score(evaluation: "Evaluation") -> str:
    mean = "unscored" if evaluation.mean is None else f"{evaluation.mean:.3f}"
    unscored = f", {evaluation.unscored} unscored" if evaluation.unscored else ""
    return f"{evaluation.split} {mean} (n {len(evaluation.values)}{unscored})"


def _record(run: "RunInfo") -> Mapping[str, object]:
    return {
        "name": run.name,
        "path": str(run.path),
        "state": run.state,
        "started": run.started,
        "seconds": run.seconds,
        "calls": None if run.spend is None else run.spend.calls,
        "problem": run.problem,
        "config": run.config,
    }


def _evaluation(evaluation: "Evaluation | None") -> Mapping[str, object] | None:
    if evaluation is None:
        return None
    return {"mean": evaluation.mean, "n": len(evaluation.values), "unscored": evaluation.unscored}


def _trial(trial: "Trial") -> Mapping[str, object]:
    workflow = trial.proposal.workflow
    return {
        "id": trial.id,
        "round": trial.round,
        "parent": trial.proposal.parent,
        "reason": trial.proposal.reason,
        "errors": trial.proposal.errors,
        "workflow": None if workflow is None else workflow.fingerprint(),
        "train": _evaluation(trial.train),
        "validation": _evaluation(trial.validation),
    }
