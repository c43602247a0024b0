"""A run's report as Markdown for people, JSON for programs, JUnit XML for continuous integration."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from autoflow.report.evidence import Evidence, Source, against
from autoflow.statistics import Interval


def markdown(evidence: Evidence) -> Iterator[str]:
    """Title, verdict, a row a workflow and split, the tasks below full score, and the command."""
    report = evidence.report or {}
    yield f"# {cell(evidence.folder.name)}\n\n{cell(evidence.label)}, {evidence.kind}, {evidence.info.state}.\n\n"
    if report.get("verdict"):
        yield f"{cell(report['verdict'])}\n\n"
    sources = evidence.sources()
    yield "| workflow | split | mean | 95 % interval | n | unscored | calls | tokens |\n"
    yield "|---|---|---|---|---|---|---|---|\n"
    for source in sources:
        interval = source.interval(evidence.seed)
        unscored = sum(value is None for value in source.by_task().values())
        results = list(source.results())
        row = [
            source.candidate.id + (" (best)" if source.candidate.id == evidence.best else ""),
            source.split,
            *_numbers(interval),
            str(unscored),
            str(sum(result.spend.calls for result in results)),
            str(sum(result.spend.tokens for result in results)),
        ]
        yield f"| {' | '.join(cell(item) for item in row)} |\n"
    yield from _references(report, evidence.best)
    invalid = [candidate for candidate in evidence.candidates if candidate.workflow is None]
    if invalid:
        yield f"\nInvalid drafts: {len(invalid)} of {sum(item.round > 0 for item in evidence.candidates)}.\n"
    texts = evidence.texts()
    for source in sources:
        below = [(task, value) for task, value in source.by_task().items() if value is None or value < 1]
        yield f"\n## {cell(source.candidate.id)} on {source.split}: {len(below)} tasks below full score\n\n"
        yield "| task | score | text |\n|---|---|---|\n" if below else ""
        for task, value in below:
            shown = "unscored" if value is None else f"{value:.3f}"
            yield f"| {cell(task)} | {shown} | {cell(texts.get(task, ('', ''))[0])} |\n"
    for note in (*report.get("notes", ()), *([evidence.gap] if evidence.gap else ())):
        yield f"\nNote: {cell(note)}\n"
    spend = evidence.info.spend
    if spend is not None:
        unpriced = f" and {spend.unpriced} calls without a price" if spend.unpriced else ""
        tokens = f"{spend.input_tokens} tokens in, {spend.output_tokens} out"
        yield f"\n{spend.calls} calls, {tokens}, ${spend.usd:.4f}{unpriced}.\n"
    if evidence.config.get("command"):
        yield f"\n```\n{evidence.config['command']}\n```\n"


def _references(report: Mapping[str, Any], best: str | None) -> Iterator[str]:
    rows = report.get("references", ())
    if not rows:
        return
    yield "\nReference methods on the same test tasks:\n\n"
    yield f"| method | mean | n | calls | {cell(best or '')} against it |\n|---|---|---|---|---|\n"
    for row in rows:
        mean = "–" if row["mean"] is None else f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        said = "; ".join(part for part in (against(row["best_against_it"], len(rows)), row["note"]) if part)
        yield f"| {cell(row['id'])} | {mean} | {row['n']} | {row['calls']} | {cell(said)} |\n"


def document(evidence: Evidence) -> Iterator[str]:
    """The run's own report where it has one, with the results of every workflow on every split."""
    results = [
        {
            "workflow": source.candidate.id,
            "split": source.split,
            "task": result.place.task,
            "epoch": result.place.epoch,
            "score": result.score.value,
            "reason": result.score.reason,
            "calls": result.spend.calls,
            "tokens": result.spend.tokens,
            "seconds": result.seconds,
        }
        for source in evidence.sources()
        for result in source.results()
    ]
    value = {
        "schema": "autoflow.report/1",
        "run": evidence.folder.name,
        "kind": evidence.kind,
        "state": evidence.info.state,
        "report": evidence.report,
        "results": results,
    }
    yield json.dumps(value, indent=1) + "\n"


def junit(evidence: Evidence) -> Iterator[str]:
    """A suite a workflow and split, a case a task: failed below full score, an error where it has none."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
    for source in evidence.sources():
        yield from suite(source, f"{source.candidate.id} on {source.split}")
    yield "</testsuites>\n"


def suite(source: Source, name: str) -> Iterator[str]:
    """The results of a source as one suite."""
    scores = source.by_task()
    failures = sum(value is not None and value < 1 for value in scores.values())
    errors = sum(value is None for value in scores.values())
    yield f"<testsuite name={_quoted(name)} tests='{len(scores)}' failures='{failures}' errors='{errors}'>\n"
    reasons: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for result in source.results():
        reasons.setdefault(result.place.task, result.score.reason)
        seconds[result.place.task] = seconds.get(result.place.task, 0.0) + result.seconds
    for task, value in scores.items():
        opening = f"<testcase name={_quoted(task)} classname={_quoted(name)} time='{seconds[task]:.3f}'"
        why = _quoted(reasons[task] or "below full score")
        if value is None:
            yield f"{opening}><error message={why}/></testcase>\n"
        elif value < 1:
            yield f"{opening}><failure message={why}>{escape(f'score {value:.3f}')}</failure></testcase>\n"
        else:
            yield f"{opening}/>\n"
    yield "</testsuite>\n"


def _numbers(interval: Interval | None) -> tuple[str, str, str]:
    if interval is None:
        return "–", "–", "0"
    return f"{interval.mean:.3f}", f"{interval.low:.3f} to {interval.high:.3f}", str(interval.n)


def cell(text: str) -> str:
    """A text as it stands in a Markdown table or paragraph."""
    # Neither a line break nor a pipe may end the cell, nor a model's words become markup.
    line = " ".join(str(text).split())
    return "".join(f"\\{letter}" if letter in "\\|<>`*_[]" else letter for letter in line)


def _quoted(text: str) -> str:
    # Characters that XML cannot hold at all are shown as what stands for them.
    return quoteattr("".join(c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff") else "�" for c in text))
