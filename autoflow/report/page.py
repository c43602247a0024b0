"""One HTML file of a run, which needs no network and no server: data, style and script are inside.

Whatever models wrote is inserted as text by the script, never as markup. Traces are kept gzipped in blocks and opened
when somebody looks at one, so that ten thousand of them stay light.
"""

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoflow import __version__
from autoflow.core.json import Json
from autoflow.core.trace import Call, StepRecord, Trace
from autoflow.language.diff import diff
from autoflow.report.evidence import PICTURE_TYPES, Candidate, Evidence, Source, against, pictures, plain
from autoflow.report.graph import drawing
from autoflow.runs.ledger import Ledger, Result

BLOCK = 50
"""Traces in one block."""

_ANSWER_CHARS = 200
_PICTURES_BYTES = 8_000_000
# Pictures are kept as they are; beyond this the page names them instead.


@dataclass(slots=True)
class _Travelled:
    """How often runs came through each step and took each way."""

    visits: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, trace: Trace) -> None:
        for record in trace.steps:
            self.visits[record.step] += 1
            if record.target is not None:
                self.moves[record.step, record.target] += 1


def page(evidence: Evidence) -> Iterator[str]:
    """The file, part by part; joined they are the HTML text."""
    assets = Path(__file__).parent / "assets"
    style, script = ((assets / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'"
    )
    head, tail = (assets / "page.html").read_text(encoding="utf-8").split("<!-- data -->")
    yield (
        head.replace("<!-- policy -->", policy)
        .replace("<!-- title -->", _markup(evidence.folder.name))
        .replace("/* style */", style)
    )
    gathered = _Gathered(evidence)
    for number, block in enumerate(gathered.blocks()):
        packed = base64.b64encode(gzip.compress(json.dumps(block).encode(), 6, mtime=0)).decode()
        yield f'<script type="application/gzip" id="block-{number}">{packed}</script>\n'
    # After the blocks: what stands in the data is counted while they are made.
    yield f'<script type="application/json" id="data">{_inside_script(gathered.data())}</script>\n'
    yield tail.replace("/* script */", script)


class _Gathered:
    """Everything that the page shows."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._texts = evidence.texts()
        self._tasks: dict[str, int] = {}
        self._rows: list[list[Json]] = []
        self._travelled: dict[str, _Travelled] = {}
        self._splits: dict[str, dict[str, Json]] = {}

    def blocks(self) -> Iterator[list[Json]]:
        """Blocks of traces, in the order of the rows."""
        block: list[Json] = []
        for source in self._evidence.sources():
            travelled = self._travelled.setdefault(source.candidate.id, _Travelled())
            self._splits.setdefault(source.candidate.id, {})[source.split] = _measured(source, self._evidence.seed)
            for result in source.results():
                trace = source.trace(result)
                if trace is not None:
                    travelled.add(trace)
                self._rows.append(self._row(source, result))
                block.append(None if trace is None else _trace(trace, source.ledger))
                if len(block) == BLOCK:
                    yield block
                    block = []
        if block:
            yield block

    def data(self) -> dict[str, Json]:
        """All but the traces."""
        evidence = self._evidence
        report: Mapping[str, Any] = evidence.report or {}
        return {
            "autoflow": __version__,
            "run": evidence.folder.name,
            "kind": evidence.kind,
            "state": evidence.info.state,
            "score": evidence.label,
            "best": evidence.best,
            "verdict": report.get("verdict"),
            "command": evidence.config.get("command"),
            "notes": [*report.get("notes", ()), *([evidence.gap] if evidence.gap else ())],
            "answered": list(report.get("answered", ())),
            "config": {key: value for key, value in evidence.config.items() if key != "command"},
            "seconds": evidence.info.seconds,
            "spend": _spend(evidence),
            "against_hand_written": {row["id"]: against(row["against_hand_written"]) for row in report.get("test", ())},
            "references": list(_references(report)),
            "candidates": [self._candidate(candidate) for candidate in evidence.candidates],
            "tasks": [[task, *self._texts.get(task, ("", ""))] for task in self._tasks],
            "rows": self._rows,
            "block": BLOCK,
            "pictures": list(_pictures(evidence.folder)),
        }

    def _row(self, source: Source, result: Result) -> list[Json]:
        task = self._tasks.setdefault(result.place.task, len(self._tasks))
        answer = plain(result.answer)
        return [
            source.candidate.id,
            source.split,
            task,
            result.place.epoch,
            result.score.value,
            result.score.reason,
            result.spend.calls,
            result.spend.tokens,
            round(result.seconds, 3),
            answer if len(answer) <= _ANSWER_CHARS else f"{answer[:_ANSWER_CHARS]}…",
            # A scorer that keeps a picture of the task's results names it.
            str(result.score.details.get("pictures") or ""),
        ]

    def _candidate(self, candidate: Candidate) -> dict[str, Json]:
        parent = next((item for item in self._evidence.candidates if item.id == candidate.parent), None)
        changes = ""
        if candidate.workflow is not None and parent is not None and parent.workflow is not None:
            changes = diff(parent.workflow, candidate.workflow).to_text()
        return {
            "id": candidate.id,
            "round": candidate.round,
            "parent": candidate.parent,
            "reason": candidate.reason,
            "valid": candidate.workflow is not None,
            "errors": list(candidate.errors),
            "duplicate_of": candidate.duplicate_of,
            "text": candidate.text,
            "changes": changes,
            "splits": self._splits.get(candidate.id, {}),
            "graph": self._graph(candidate),
        }

    def _graph(self, candidate: Candidate) -> Json:
        if candidate.workflow is None or not candidate.workflow.steps:
            return None
        travelled = self._travelled.get(candidate.id, _Travelled())
        drawn = drawing(candidate.workflow)
        return {
            "layers": drawn.layers,
            "width": drawn.width,
            "spots": [
                {
                    "name": spot.step.name,
                    "type": spot.step.type,
                    "operator": spot.step.operator,
                    "instruction": spot.step.instruction,
                    "layer": spot.layer,
                    "position": spot.position,
                    "visits": travelled.visits[spot.step.name],
                }
                for spot in drawn.spots
            ],
            "ways": [
                {
                    "source": way.source,
                    "target": way.target,
                    "label": way.label,
                    "returning": way.returning,
                    "count": travelled.moves[way.source, way.target],
                }
                for way in drawn.ways
            ],
        }


def _measured(source: Source, seed: int) -> dict[str, Json]:
    interval = source.interval(seed)
    scores = source.by_task()
    results = list(source.results())
    return {
        "mean": None if interval is None else interval.mean,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": 0 if interval is None else interval.n,
        "unscored": sum(value is None for value in scores.values()),
        "calls": sum(result.spend.calls for result in results),
        "tokens": sum(result.spend.tokens for result in results),
        "usd": None if any(result.spend.unpriced for result in results) else sum(r.spend.usd for r in results),
        "seconds": sum(result.seconds for result in results),
    }


def _references(report: Mapping[str, Any]) -> Iterator[dict[str, Json]]:
    """The reference methods with what the chosen workflow is against each."""
    rows = report.get("references", ())
    for row in rows:
        yield {
            "id": row["id"],
            "note": row["note"],
            **{key: row[key] for key in ("mean", "low", "high", "n", "unscored", "calls", "usd", "unpriced")},
            "tokens": row["input_tokens"] + row["output_tokens"],
            "against": against(row["best_against_it"], len(rows)),
        }


def _trace(trace: Trace, ledger: Ledger) -> dict[str, Json]:
    failure = trace.failure
    return {
        "answer": plain(trace.answer),
        "failure": None if failure is None else f"{failure.reason}: {failure.message}",
        "steps": [_step(record, ledger) for record in trace.steps],
    }


def _step(record: StepRecord, ledger: Ledger) -> dict[str, Json]:
    return {
        "step": record.step,
        "visit": record.visit,
        "operator": record.operator,
        "result": plain(record.result),
        "label": record.label,
        "target": record.target,
        "seconds": round(record.seconds, 3),
        "failure": None if record.failure is None else f"{record.failure.reason}: {record.failure.message}",
        "tools": list(record.tools),
        "calls": [_call(call, ledger) for call in record.calls],
    }


def _call(call: Call, ledger: Ledger) -> dict[str, Json]:
    request, reply = ledger.request(call.key), ledger.reply(call.key)
    return {
        "model": call.model,
        "purpose": call.purpose,
        "cached": call.cached,
        "error": call.error,
        "tokens": [call.usage.input_tokens, call.usage.output_tokens],
        "seconds": round(call.seconds, 3),
        "messages": [] if request is None else [[message.role, message.text] for message in request.messages],
        "reply": None if reply is None else reply.text,
    }


def _spend(evidence: Evidence) -> dict[str, Json]:
    spend = evidence.info.spend
    if spend is None:
        return {}
    return {
        "calls": spend.calls,
        "input_tokens": spend.input_tokens,
        "output_tokens": spend.output_tokens,
        "usd": spend.usd,
        "unpriced": spend.unpriced,
    }


def _pictures(folder: Path) -> Iterable[dict[str, Json]]:
    left = _PICTURES_BYTES
    for path in pictures(folder):
        name = path.relative_to(folder).as_posix()
        size = path.stat().st_size
        if size > left:
            yield {"name": name, "data": None}
            continue
        left -= size
        content = base64.b64encode(path.read_bytes()).decode()
        yield {"name": name, "data": f"data:{PICTURE_TYPES[path.suffix]};base64,{content}"}


def _inside_script(value: Json) -> str:
    # Neither the end of the element nor the beginning of a comment may stand in it.
    return json.dumps(value).replace("<", "\\u003c")


def _markup(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
