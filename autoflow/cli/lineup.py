"""From file names and names of reference methods to what is measured side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoflow.errors import UsageError

if TYPE_CHECKING:
    from autoflow.core.benchmark import Benchmark
    from autoflow.lineup import Entry
    from autoflow.zero_shot import Writing


def entries(
    workflows: Sequence[str],
    baselines: Sequence[str],
    loaded: "Benchmark",
    max_steps: int,
    writing: "Writing | None" = None,
) -> "list[Entry]":
    """The workflows, those written for each task, then the reference methods, all that is known of them linted; without
    any of these, the hand-written workflow.

    Raises:
        WorkflowError: If a workflow is not sound.
        UsageError: If nothing is left, or a baseline does not fit.
    """
    from autoflow import baselines as known
    from autoflow.cli import files
    from autoflow.language.lint import check
    from autoflow.lineup import Entry
    from autoflow.operators.library import library

    cards = {name: operator.card for name, operator in {**library(), **loaded.operators}.items()}
    documents = {name: files.load(name) for name in workflows}
    for document in documents.values():
        check(document, cards)
    names = [document.workflow.name for document in documents.values()]
    found = [
        # Two files may call their workflow the same.
        Entry(document.workflow.name if names.count(document.workflow.name) == 1 else name, document.workflow)
        for name, document in documents.items()
    ]
    if writing is not None:
        from autoflow.zero_shot import PLACEHOLDER

        found.append(Entry(f"written by {writing.generator}", PLACEHOLDER, writing=writing))
    for asked in dict.fromkeys(baselines):
        baseline = known.find(asked, loaded, max_steps)
        if baseline.equal and not found:
            raise UsageError(
                f"--baseline {asked} equals the calls of a workflow, and none stands before it",
                hint="name one: --workflow FILE, or another baseline first",
            )
        check(baseline.workflow, cards)
        found.append(Entry(asked, baseline.workflow, baseline))
    if not found:
        if loaded.baseline is None:
            raise UsageError(f"{loaded.name} has no hand-written workflow", hint="name one: --workflow FILE")
        check(loaded.baseline, cards)
        found.append(Entry(loaded.baseline.name, loaded.baseline))
    return found
