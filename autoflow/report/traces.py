"""What a run did on one task, step by step, as text."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from autoflow.core.trace import Call, Trace
from autoflow.errors import UnknownNameError
from autoflow.report.evidence import Evidence, Source, plain
from autoflow.runs.ledger import Ledger, Result


@dataclass(frozen=True, slots=True)
class Travelled:
    """One trace with its judgement."""

    source: Source
    result: Result
    trace: Trace

    def to_json(self) -> dict[str, Any]:
        """All of it, prompts and replies by their key in the ledger."""
        return {
            "workflow": self.source.candidate.id,
            "split": self.source.split,
            "epoch": self.result.place.epoch,
            "score": asdict(self.result.score),
            "trace": asdict(self.trace),
        }

    def to_text(self, *, prompts: bool = False) -> str:
        """A paragraph a step; with `prompts`, every call in full."""
        return "".join(f"{line}\n" for line in self._lines(prompts))

    def _lines(self, prompts: bool) -> Iterator[str]:
        result, trace = self.result, self.trace
        epoch = f", epoch {result.place.epoch + 1}" if result.place.epoch else ""
        score = "unscored" if result.score.value is None else f"{result.score.value:.3f}"
        why = f", {result.score.reason}" if result.score.reason else ""
        yield f"task {result.place.task}, {self.source.candidate.id} on {self.source.split}{epoch}: {score}{why}"
        for number, step in enumerate(trace.steps, 1):
            visit = f", visit {step.visit}" if step.visit > 1 else ""
            calls = f"{len(step.calls)} call{'' if len(step.calls) == 1 else 's'}"
            yield f"{number}. {step.step}{visit} ({step.operator}, {calls}, {step.seconds:.2f} s)"
            if prompts:
                for call in step.calls:
                    yield from _call(call, self.source.ledger)
            said = f"failed: {step.failure.message}" if step.failure is not None else plain(step.result)
            yield from _indented(said)
            if step.target is not None:
                yield f"   {f'{step.label} ' if step.label else ''}-> {step.target}"
        if trace.failure is not None:
            yield f"no answer: {trace.failure.reason}: {trace.failure.message}"
        else:
            yield "answer:"
            yield from _indented(plain(trace.answer))
        if result.score.details:
            yield f"judged: {json.dumps(dict(result.score.details), ensure_ascii=False)}"
        yield ""


def of_task(evidence: Evidence, task: str, candidate: str | None = None) -> list[Travelled]:
    """The traces of a task, of every workflow or of one.

    Raises:
        UnknownNameError: If there is none, listing what the run holds.
    """
    sources = evidence.sources()
    known = list(dict.fromkeys(source.candidate.id for source in sources))
    if candidate is not None and candidate not in known:
        raise UnknownNameError("workflow in this run", candidate, known)
    found = []
    tasks: dict[str, None] = {}
    for source in sources:
        if candidate is not None and source.candidate.id != candidate:
            continue
        for result in source.results():
            tasks.setdefault(result.place.task)
            if result.place.task == task:
                trace = source.trace(result)
                if trace is not None:
                    found.append(Travelled(source, result, trace))
    if not found:
        names = list(tasks)
        shown = names if len(names) <= 20 else [*names[:20], f"and {len(names) - 20} more"]
        raise UnknownNameError("task in this run", task, shown)
    return found


def _call(call: Call, ledger: Ledger) -> Iterator[str]:
    request, reply = ledger.request(call.key), ledger.reply(call.key)
    yield f"   [{call.purpose}, {call.model}{', from the record' if call.cached else ''}]"
    for message in request.messages if request is not None else ():
        yield f"   {message.role}:"
        yield from _indented(message.text, 6)
    yield "   reply:"
    yield from _indented(call.error or ("not recorded" if reply is None else reply.text), 6)


def _indented(text: str, columns: int = 3) -> list[str]:
    return [f"{' ' * columns}{line}" for line in text.splitlines() or [""]]
