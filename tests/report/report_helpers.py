"""A recorded run to report on, written through the ledger that real runs use."""

from pathlib import Path

from autoflow.core.model import Message, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.strategy import Proposal, Trial
from autoflow.core.trace import Call, StepRecord, Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.runs.folder import RunFolder
from autoflow.runs.ledger import Place

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"

FIRST = Workflow(
    "first",
    (
        Step("draft", "process", "Draft an answer.", next="check"),
        Step(
            "check",
            "decision",
            f"Is it good? {HOSTILE}",
            branches={"yes": "done", "no": "draft"},
            max_visits=2,
            otherwise="done",
        ),
        Step("done", "terminal", "Answer."),
    ),
)
SECOND = Workflow("second", (Step("done", "terminal", "Answer at once."),))


def improve_run(path: Path, tasks: int) -> Path:
    """An `improve` run of two workflows and a draft that was none, with `tasks` tasks on train and validation each."""
    config = {
        "kind": "improve",
        "benchmark": "made up",
        "scorer": "made score",
        "seed": 0,
        "command": "autoflow improve",
    }
    with RunFolder.open(path, config) as run:
        for name, workflow, parent in (("hand-written", FIRST, None), ("r1c1", SECOND, "hand-written")):
            run.ledger.add_trial(Trial(name, 0 if parent is None else 1, Proposal(workflow, name, "because", parent)))
            for split in ("train", "validation"):
                for number in range(tasks):
                    _record(run, workflow, split, number)
        run.ledger.add_trial(
            Trial("r1c2", 1, Proposal(None, HOSTILE, "it tried", "hand-written", ("line 1: no YAML",)))
        )
        run.end("complete")
    return path


def _record(run: RunFolder, workflow: Workflow, split: str, number: int) -> None:
    names = ["draft", "check", "done"] if workflow is FIRST else ["done"]
    steps = []
    for place, name in enumerate(names):
        key = f"{workflow.name}/{split}/{number}/{name}"
        text = f"Task {number}. {'The same context in every prompt. ' * 20}{workflow.step(name).instruction}"
        run.ledger.add_reply(
            key,
            Request((Message("system", "You carry out one step."), Message("user", text)), purpose="step"),
            Reply(f"reply {number} {HOSTILE}", "made/up", Usage(200, 20, cost_usd=0.0), 0.1),
            role="interpreter",
        )
        call = Call(key, "made/up", "step", Usage(200, 20, cost_usd=0.0), 0.1)
        target = names[place + 1] if place + 1 < len(names) else None
        steps.append(
            StepRecord(
                name, 1, "generate", f"reply {number}", "yes" if name == "check" else None, target, calls=(call,)
            )
        )
    value = None if number % 10 == 9 else float(number % 3 == 0)
    trace = Trace(workflow.fingerprint(), f"t{number}", tuple(steps), f"answer {number} {HOSTILE}", seconds=0.3)
    run.ledger.add_result(
        Place(workflow.fingerprint(), split, f"t{number}", 0), Score(value, "" if value == 1 else "wrong"), trace
    )
