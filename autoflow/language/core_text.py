"""CoRE's text, one step a line: `name:::type:::instruction:::label::target::label::target`. Source: arXiv:2405.06907.

Reading is tolerant: what the published readers lose, crash on or misread is recovered where it is clear what was
meant, and reported with its line. Writing is strict: what CoRE cannot say is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from autoflow.core.workflow import DEFAULT_OPERATOR, STEP_TYPES, Step, StepType, Workflow
from autoflow.errors import WorkflowError
from autoflow.language import core_rules as rules
from autoflow.language.document import Document
from autoflow.language.findings import RULES, Finding
from autoflow.language.flow import Loop, Program
from autoflow.language.lint import lint
from autoflow.language.names import folded, listing, quoted
from autoflow.language.nodes import UNREADABLE, decode
from autoflow.language.reader import Place
from autoflow.language.references import escape, fill, references

MAX_LINES = 10_000
"""Most lines of one text."""

_ENDLESS, _UNREACHABLE = "AF205", "AF202"

_IMPOSSIBLE = re.compile(r"impossib|not possible|unable to|infeasible|cannot be (done|solved|completed|planned)", re.I)
_PLAN = re.compile(r"\b(list|sequence|plan|models?|tools?|order)\b", re.I)
_OUTPUT = re.compile(r"\b(output|return|report|present|print|give|provide|deliver)\b", re.I)
_NO_PLAN = re.compile(r"\b(mapping|correspondence|relationships?|analysis|verification|explanation|comparison)\b", re.I)
_MODELS = re.compile(r"\b(models?|tools?|modules?)\b", re.I)
_SELECTS = re.compile(r"select|choos|pick|generat|creat|compos|build|assembl|compil|draft|propos|arrang", re.I)


@dataclass(frozen=True, slots=True)
class CoreImport:
    """What `parse_core` made of a text."""

    workflow: Workflow
    findings: tuple[Finding, ...]
    """In the order of the lines: faults of the text (AF5xx), and what lint says of the workflow as written."""

    document: Document
    """The workflow as written, with its lines, before anything was left out or bounded."""


@dataclass(slots=True)
class _Line:
    number: int
    source: str
    name: str
    type: StepType
    instruction: str
    branches: list[tuple[str, str]] = field(default_factory=list)


def parse_core(
    text: str | bytes, file: str | None = None, *, name: str | None = None, bound: int | None = None
) -> CoreImport:
    """Read CoRE text.

    Args:
        file: What findings and errors call the text.
        name: Of the workflow, which CoRE cannot say; else the file's stem, else "core".
        bound: For running: steps that can never run are left out, and every endless loop is bounded by
            `max_visits` = `bound` and an `otherwise` that leaves it, each of which is reported. `None` keeps the
            workflow as written; its endless loops are then warnings.

    Raises:
        WorkflowError: If the text is no text (see `autoflow.language.nodes.decode`), or holds no step.
    """
    decoded = decode(text, file)
    reader = _Reader(file)
    steps = reader.read(decoded)
    chosen = name or (PurePath(file).stem if file else "") or "core"
    document = Document(Workflow(chosen, steps), file, decoded, reader.marks)
    workflow = document.workflow
    findings = reader.findings
    for finding in lint(document):
        kept = finding.rule == _ENDLESS or (bound is not None and finding.rule == _UNREACHABLE)
        findings.append(replace(finding, severity="warning") if kept else finding)
    if bound is not None:
        if bound < 1:
            raise ValueError(f"bound must be 1 or more, not {bound}")
        workflow, notes = _bounded(workflow, bound)
        for rule, step, message, hint in notes:
            findings.append(_finding(document, rule, step, message, hint))
    order = sorted(findings, key=lambda finding: (finding.line or 0, finding.column or 0))
    return CoreImport(workflow, tuple(order), document)


def _finding(document: Document, rule: str, step: int, message: str, hint: str) -> Finding:
    line, column = document.place(step) or (None, None)
    return Finding(rule, RULES[rule].severity, message, line, column, document.workflow.steps[step].name, hint)


class _Reader:
    def __init__(self, file: str | None) -> None:
        self._file = file
        self.findings: list[Finding] = []
        self.marks: dict[Place, tuple[int, int]] = {(None, None, None): (1, 1)}

    def read(self, text: str) -> tuple[Step, ...]:
        lines = text.split("\n")
        if len(lines) > MAX_LINES:
            raise WorkflowError(
                f"more than {MAX_LINES:,} lines", file=self._file, line=MAX_LINES, rule=UNREADABLE, hint="split it"
            )
        # Names first: whether a field is a target can only be told with all of them.
        names = {folded(line.split(":::", 1)[0]) for line in lines if ":::" in line}
        found = [self._line(number, line.strip("\r"), names) for number, line in enumerate(lines, 1) if line.strip()]
        kept = [line for line in found if line is not None]
        if not kept:
            raise WorkflowError(
                "the text holds no CoRE step",
                file=self._file,
                line=1,
                column=1,
                rule=rules.FIELDS,
                hint="a step is `name:::type:::instruction:::label::target`",
            )
        self._rename(kept)
        for line in kept:
            self._shape(line)
        self._resolve(kept)
        self._texts(kept)
        return tuple(self._step(index, line) for index, line in enumerate(kept))

    def _report(
        self, rule: str, line: int, message: str, hint: str, *, step: str | None = None, column: int = 1
    ) -> None:
        self.findings.append(Finding(rule, RULES[rule].severity, message, line, column, step, hint))

    def _line(self, number: int, source: str, names: set[str]) -> _Line | None:
        # A text that ends in a colon, then `:::`: the last three are the delimiter.
        fields = re.sub(r"(?<!:):{4}(?!:)", ": :::", source).split(":::")
        if len(fields) < 4:
            fields = self._few(number, source, fields)
            if not fields:
                return None
        name, kind = fields[0].strip(), fields[1].strip()
        instruction, rest = self._split(number, name, kind, fields[2:], names)
        return _Line(number, source, name, self._type(number, name, kind, rest), escape(instruction), rest)

    def _few(self, number: int, source: str, fields: list[str]) -> list[str]:
        parts = re.split(r":{2,}", source)
        well_begun = len(fields) > 1 and _step_type(fields[1]) is not None
        if len(parts) >= 3 and _step_type(parts[1]) and not well_begun:
            self._report(
                rules.DELIMITER, number, "fields are parted by `::`", "write `:::` between the four fields", column=1
            )
            return [*parts[:3], "::".join(parts[3:])]
        hint = "write `name:::type:::instruction:::branches`; the last may be empty, its `:::` stays"
        if len(fields) < 2 or not _step_type(fields[1]):
            self._report(rules.FIELDS, number, f"no CoRE step, left out: {quoted(source.strip())}", hint)
            return []
        self._report(rules.FIELDS, number, f"{len(fields)} fields of four", hint, step=fields[0].strip())
        if len(fields) == 3 and "::" in fields[2]:
            instruction, _, branches = fields[2].partition("::")
            return [*fields[:2], instruction, branches]
        return [*fields, "", ""][:4]

    def _split(
        self, number: int, name: str, kind: str, tail: list[str], names: set[str]
    ) -> tuple[str, list[tuple[str, str]]]:
        """The instruction and the branches in what follows the type, wherever `:::` stands wrongly."""
        start = len(tail)
        while start > 1 and ("::" in tail[start - 1] or not tail[start - 1].strip()):
            start -= 1
        if start == len(tail) and _step_type(kind) != "terminal":
            # `label:::target:::label:::target`
            while start > 2 and folded(tail[start - 1]) in names:
                start -= 2
            parts = tail[start:]
        else:
            parts = [part for branch in tail[start:] if branch.strip() for part in branch.split("::")]
        if start < len(tail) and sum(bool(branch.strip()) for branch in tail[start:]) > 1:
            self._report(
                rules.DELIMITER,
                number,
                f"`:::` stands inside the branches of {quoted(name)}: published readers lose all but the "
                "first, and the decision becomes unconditional",
                "write `label::target::label::target`",
                step=name,
            )
        if start > 1:
            self._report(
                rules.TRUNCATED,
                number,
                f"`:::` stands inside the instruction of {quoted(name)}: published readers cut it off there",
                "write it in other words",
                step=name,
            )
        words = [part.strip() for part in parts]
        if len(words) % 2:
            self._report(
                rules.UNPAIRED,
                number,
                f"the label {quoted(words[-1])} of {quoted(name)} has no target, and is left out",
                "write `label::target`",
                step=name,
            )
        return ":::".join(tail[:start]).strip(), list(zip(words[::2], words[1::2], strict=False))

    def _type(self, number: int, name: str, kind: str, branches: list[tuple[str, str]]) -> StepType:
        known = _step_type(kind)
        if known is not None:
            return known
        guess = _by_branches(len(branches))
        self._report(
            rules.TYPE,
            number,
            f"step {quoted(name)} has the unknown type {quoted(kind)}, read as {guess}",
            f"types are: {listing([word.capitalize() for word in STEP_TYPES])}",
            step=name,
        )
        return guess

    def _rename(self, lines: list[_Line]) -> None:
        taken = {line.name for line in lines}
        seen: dict[str, int] = {}
        for line in lines:
            if line.name in seen:
                count = 2
                while f"{line.name} ({count})" in taken:
                    count += 1
                fresh = f"{line.name} ({count})"
                self._report(
                    rules.DUPLICATE_NAME,
                    line.number,
                    f"a second step is called {quoted(line.name)}, first on line {seen[line.name]}; "
                    f"it is read as {quoted(fresh)}",
                    "rename one of the two; published readers drop the first",
                    step=fresh,
                )
                line.name = fresh
                taken.add(fresh)
            else:
                seen[line.name] = line.number

    def _shape(self, line: _Line) -> None:
        """Make type and branches agree, as the published interpreter goes by the number of branches."""
        kept: dict[str, str] = {}
        for label, target in line.branches:
            if label in kept:
                self._report(
                    rules.DUPLICATE_LABEL,
                    line.number,
                    f"step {quoted(line.name)} has the label {quoted(label)} twice; the second is left out",
                    "word one differently",
                    step=line.name,
                )
            else:
                kept[label] = target
        line.branches = list(kept.items())
        if line.type == "terminal":
            if line.branches:
                self._report(
                    rules.TERMINAL_EXIT,
                    line.number,
                    f"terminal {quoted(line.name)} has branches; they are left out",
                    "remove them, or change its type",
                    step=line.name,
                )
                line.branches = []
            return
        actual = _by_branches(len(line.branches))
        if actual == "terminal":
            self._report(
                rules.NO_EXIT,
                line.number,
                f"{line.type} {quoted(line.name)} has no branches, so it is read as a terminal",
                "add `next::step`, or make it a terminal",
                step=line.name,
            )
        elif actual != line.type:
            count = len(line.branches)
            self._report(
                rules.WRONG_TYPE,
                line.number,
                f"{line.type} {quoted(line.name)} has {count} {'branch' if count == 1 else 'branches'}, "
                f"so it is read as a {actual}",
                "a process has one branch, a decision two or more",
                step=line.name,
            )
        elif actual == "process" and line.branches[0][0].casefold() != "next":
            self._report(
                rules.NEXT_LABEL,
                line.number,
                f"the branch of process {quoted(line.name)} is called {quoted(line.branches[0][0])}: label dropped",
                "call it next",
                step=line.name,
            )
        line.type = actual

    def _resolve(self, lines: list[_Line]) -> None:
        names = {line.name for line in lines}
        near: dict[str, str] = {}
        for line in lines:
            near.setdefault(folded(line.name), line.name)
        for line in lines:
            for position, (label, target) in enumerate(line.branches):
                if target not in names and folded(target) in near:
                    resolved = near[folded(target)]
                    self._report(
                        rules.NAME_CASE,
                        line.number,
                        f"step {quoted(line.name)} leads to {quoted(target)}, read as {quoted(resolved)}",
                        "write targets as the names are",
                        step=line.name,
                        column=line.source.rfind(target) + 1,
                    )
                    line.branches[position] = (label, resolved)

    def _texts(self, lines: list[_Line]) -> None:
        """What the flow says, as far as it can be told from words: heuristics, so warnings."""
        steps = [self._step(index, line) for index, line in enumerate(lines)]
        program = Program(Workflow("", tuple(steps)))
        about_models = any(_MODELS.search(line.instruction) for line in lines)
        selecting = [number for number, line in enumerate(lines) if _SELECTS.search(line.instruction)]
        for number, line in enumerate(lines):
            if line.type != "terminal":
                continue
            if _IMPOSSIBLE.search(line.instruction):
                self._report(
                    rules.IMPOSSIBLE,
                    line.number,
                    f"terminal {quoted(line.name)} says that the task is impossible; its text is scored as an answer",
                    "lead to a step that tries again",
                    step=line.name,
                )
            elif (
                _OUTPUT.search(line.instruction)
                and _NO_PLAN.search(line.instruction)
                and not _PLAN.search(line.instruction)
            ):
                self._report(
                    rules.NO_PLAN,
                    line.number,
                    f"terminal {quoted(line.name)} outputs something other than the plan",
                    "say that it outputs the list of models, in order",
                    step=line.name,
                )
            if about_models and number in program.reachable and not program.reachable & {*selecting}:
                where = [lines[other].number for other in selecting]
                told = f"; line {where[0]} would, but never runs" if where else ""
                self._report(
                    rules.NOTHING_SELECTED,
                    line.number,
                    f"no step that can run selects the models that terminal {quoted(line.name)} is to output{told}",
                    "add a step that selects them, or lead to the one that does",
                    step=line.name,
                )

    def _step(self, index: int, line: _Line) -> Step:
        indent = len(line.source) - len(line.source.lstrip())
        self.marks[(index, None, None)] = (line.number, indent + 1)
        for label, _ in line.branches:
            column = max(line.source.rfind(f"{label}::"), indent) + 1
            self.marks[(index, "next" if line.type == "process" else "branches", None)] = (line.number, column)
            self.marks[(index, "branches", label)] = (line.number, column)
        return Step(
            line.name,
            line.type,
            line.instruction,
            next=line.branches[0][1] if line.type == "process" else None,
            branches=dict(line.branches) if line.type == "decision" else {},
        )


def _step_type(word: str) -> StepType | None:
    return next((kind for kind in STEP_TYPES if kind == word.strip().casefold()), None)


def _by_branches(count: int) -> StepType:
    return "decision" if count > 1 else "process" if count else "terminal"


def _bounded(workflow: Workflow, bound: int) -> tuple[Workflow, list[tuple[str, int, str, str]]]:
    """The workflow without what cannot run, every loop bounded; and what was done, by index in the one given."""
    notes = []
    program = Program(workflow)
    for number, step in enumerate(workflow.steps):
        if number not in program.reachable:
            notes.append(
                (rules.LEFT_OUT, number, f"step {quoted(step.name)} never runs: left out", "lead a step to it")
            )
    original = {step.name: number for number, step in enumerate(workflow.steps)}
    steps = [step for number, step in enumerate(workflow.steps) if number in program.reachable]
    program = Program(replace(workflow, steps=tuple(steps)))
    while program.endless:
        loop = program.endless[0]
        number = loop.closing
        way_out = _way_out(program, loop)
        if way_out is None:
            break
        steps[number] = replace(steps[number], max_visits=bound, otherwise=way_out)
        notes.append(
            (
                rules.BOUNDED,
                original[steps[number].name],
                f"the loop through step {quoted(steps[number].name)} had no bound: after {bound} visits it now "
                f"leads to {quoted(way_out)}",
                "choose another bound, or the step that follows, with `max_visits` and `otherwise`",
            )
        )
        program = Program(replace(workflow, steps=tuple(steps)))
    return replace(workflow, steps=tuple(steps)), notes


def _way_out(program: Program, loop: Loop) -> str | None:
    # A bounded step keeps an edge that it had, or gains one to a terminal: no new loop can come of it.
    leaving = [
        target
        for target in program.successors[loop.closing]
        if target not in loop.steps and target in program.finishing
    ]
    terminals = [other for other, step in enumerate(program.steps) if step.type == "terminal"]
    ways = leaving or terminals
    best = [way for way in ways if not _IMPOSSIBLE.search(program.steps[way].instruction)] or ways
    return program.steps[best[0]].name if best else None


def dump_core(workflow: Workflow, *, lossy: bool = False) -> str:
    """CoRE text that `parse_core` reads back as the same steps. Name and description are not part of it.

    Args:
        lossy: Leave out what CoRE cannot say (operators, `reads`, bounds, ...), and mend texts that would break a line.

    Raises:
        WorkflowError: Naming the first thing that CoRE cannot say, unless `lossy`.
    """
    return "".join(":::".join(_fields(step, lossy)) + "\n" for step in workflow.steps)


def _fields(step: Step, lossy: bool) -> Iterator[str]:
    if not lossy:
        key = next(_beyond_core(step), None)
        if key is not None:
            raise WorkflowError(
                f"CoRE text cannot say `{key}` of step {quoted(step.name)}",
                hint="leave such things out: --lossy of autoflow convert, lossy=True in Python",
            )
    instruction = step.instruction if references(step.instruction) else fill(step.instruction, {})
    pairs = [("next", step.next)] if step.next is not None and step.type == "process" else list(step.branches.items())
    words = [word for pair in pairs for word in pair]
    yield _padded(_text(step, "name", step.name, "::", lossy))
    yield step.type.capitalize()
    yield _padded(_text(step, "instruction", instruction, ":::", lossy))
    yield "::".join(_padded(_text(step, "branches", word, "::", lossy)) for word in words)


def _beyond_core(step: Step) -> Iterator[str]:
    for key, usual in (
        ("operator", DEFAULT_OPERATOR),
        ("parameters", {}),
        ("max_visits", None),
        ("otherwise", None),
        ("reads", None),
        ("for_each", None),
        ("output", None),
        ("model", None),
        ("timeout_s", None),
    ):
        if getattr(step, key) != usual:
            yield key
    if step.type != "process" and step.next is not None:
        yield "next"
    if step.type != "decision" and step.branches:
        yield "branches"
    for name in references(step.instruction):
        yield f"$({name})"


def _text(step: Step, key: str, text: str, delimiter: str, lossy: bool) -> str:
    broken = re.search(r"[\x00-\x08\n\x0b-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff\ufffe\uffff]", text)
    if delimiter not in text and not broken and text == text.strip() and (text or key == "instruction"):
        return text
    if not lossy:
        fault = f"holds `{delimiter}`" if delimiter in text else "is blank, padded, or broken over lines"
        raise WorkflowError(
            f"CoRE text cannot say the {key} of step {quoted(step.name)}: {quoted(text)} {fault}",
            hint="reword it, or have it mended: --lossy of autoflow convert, lossy=True in Python",
        )
    mended = re.sub(r"[\x00-\x20\x7f-\x9f\ufeff\ud800-\udfff\ufffe\uffff]+", " ", text)
    return re.sub(r":{2,}", ":", mended).strip() or "-"


def _padded(text: str) -> str:
    # A colon beside a delimiter would be read as part of it; readers strip the space.
    return f"{' ' if text.startswith(':') else ''}{text}{' ' if text.endswith(':') else ''}"
