"""What changed between two workflows: steps added, removed, renamed, reworded, rewired, in the language's own words."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from autoflow.core.json import Json, canonical
from autoflow.core.workflow import Step, Workflow
from autoflow.language.names import quoted
from autoflow.language.references import references

Kind = Literal["workflow", "added", "removed", "renamed", "reordered", "reworded", "rewired", "changed"]

_WIRING = ("next", "branches", "max_visits", "otherwise")
_SIGNS: dict[Kind, str] = {"added": "+", "removed": "-"}
_MOST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` and `after` are JSON values; a step added has no `before`, one removed no `after`."""

    kind: Kind
    step: str | None
    """The step's name in the second workflow, for one removed in the first; `None` for the workflow's own fields."""

    key: str | None
    before: Json
    after: Json

    def to_text(self) -> str:
        """One line, or two for a reworded instruction."""
        sign = _SIGNS.get(self.kind, "~")
        if self.kind == "workflow":
            return f"{sign} {self.key}: {_shown(self.before)} -> {_shown(self.after)}"
        if self.kind == "reordered":
            return f"{sign} steps reordered: {_shown(self.before)} -> {_shown(self.after)}"
        name = f"{sign} step {quoted(self.step or '', 200)}"
        if self.kind == "renamed":
            return f"{name} renamed from {_shown(self.before)}"
        if self.kind == "reworded":
            return f"{name} reworded:\n    {words(str(self.before), str(self.after))}"
        if self.kind in {"rewired", "changed"}:
            return f"{name} {self.kind}: {self.key}: {_shown(self.before)} -> {_shown(self.after)}"
        return f"{name} {self.kind}"


@dataclass(frozen=True, slots=True)
class Diff:
    """Every change, workflow first, then steps in the order of the second workflow. False where nothing changed."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def to_text(self) -> str:
        """A line for each change; empty for none."""
        return "".join(f"{change.to_text()}\n" for change in self.changes)

    def to_json(self) -> list[Json]:
        """An object for each change."""
        return [{item.name: getattr(change, item.name) for item in fields(change)} for change in self.changes]


def diff(a: Workflow, b: Workflow) -> Diff:
    """What turns `a` into `b`. Empty exactly if the two are equal."""
    return Diff(tuple(_changes(a, b)))


def words(before: str, after: str) -> str:
    """The second text with what was taken out as `[-...-]` and what was put in as `{+...+}`."""
    old, new = re.findall(r"\S+\s*|\s+", before), re.findall(r"\S+\s*|\s+", after)
    if len(old) + len(new) > _MOST_WORDS:
        # Comparing costs the product of the lengths.
        return f"[-{_line(before)}-] {{+{_line(after)}+}}"
    parts = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        taken, put = _line("".join(old[i1:i2])), _line("".join(new[j1:j2]))
        if tag == "equal":
            parts.append(put)
        else:
            parts += [f"[-{taken}-]"] if taken else []
            parts += [f"{{+{put}+}}"] if put else []
    return " ".join(part for part in parts if part)


def _line(text: str) -> str:
    return quoted(" ".join(text.split()), 10_000)[1:-1].replace('\\"', '"')


def _shown(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return quoted(value, 200)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key, 200)}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return canonical(value)


def _changes(a: Workflow, b: Workflow) -> Iterator[Change]:
    for key in ("name", "description"):
        if getattr(a, key) != getattr(b, key):
            yield Change("workflow", None, key, getattr(a, key), getattr(b, key))
    if a.inputs != b.inputs:
        yield Change("workflow", None, "inputs", _json(a.inputs), _json(b.inputs))
    old, new = _by_name(a), _by_name(b)
    renames = _renames(old, new)
    back = {after: before for before, after in renames.items()}
    for name in old:
        if name not in new and name not in renames:
            yield Change("removed", name, None, _content(old[name]), None)
    for name, step in new.items():
        if name in back:
            yield Change("renamed", name, "name", back[name], name)
        before = old.get(back.get(name, name))
        if before is None:
            yield Change("added", name, None, None, _content(step))
        else:
            yield from _step_changes(_with_names(before, renames), step)
    kept_old = [renames.get(name, name) for name in old if name in new or name in renames]
    kept_new = [name for name in new if name in old or name in back]
    if kept_old != kept_new:
        yield Change("reordered", None, "steps", kept_old, kept_new)


def _by_name(workflow: Workflow) -> dict[str, Step]:
    # A name that stands twice (which lint refuses) is told apart by its place.
    found: dict[str, Step] = {}
    for step in workflow.steps:
        name, count = step.name, 1
        while name in found:
            count += 1
            name = f"{step.name} ({count})"
        found[name] = step
    return found


def _step_changes(before: Step, after: Step) -> Iterator[Change]:
    for item in fields(Step):
        if item.name == "name":
            continue
        one, two = _json(getattr(before, item.name)), _json(getattr(after, item.name))
        ordered = isinstance(one, dict) and isinstance(two, dict) and list(one) != list(two)
        if one != two or (item.name == "branches" and ordered):
            kind: Kind = "changed"
            if item.name == "instruction":
                kind = "reworded"
            elif item.name in _WIRING:
                kind = "rewired"
            yield Change(kind, after.name, item.name, one, two)


def _json(value: object) -> Json:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value  # type: ignore[return-value]


def _content(step: Step) -> dict[str, Json]:
    return {item.name: _json(getattr(step, item.name)) for item in fields(Step)}


def _renames(old: Mapping[str, Step], new: Mapping[str, Step]) -> dict[str, str]:
    """Steps that only changed their name: removed and added with equal content, names of such steps set aside."""
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    hidden_old = dict.fromkeys(removed, "")
    hidden_new = dict.fromkeys(added, "")
    waiting = {name: _signature(new[name], hidden_new) for name in added}
    found = {}
    for name in removed:
        signature = _signature(old[name], hidden_old)
        match = next((other for other, content in waiting.items() if content == signature), None)
        if match is not None:
            found[name] = match
            del waiting[match]
    return found


def _signature(step: Step, names: Mapping[str, str]) -> str:
    content = _content(_with_names(step, names))
    content["branches"] = [[label, target] for label, target in _with_names(step, names).branches.items()]
    return canonical({**content, "name": ""})


def _with_names(step: Step, names: Mapping[str, str]) -> Step:
    """The step with every mention of a renamed step under its new name."""

    def name(old: str) -> str:
        return names.get(old, old)

    instruction = step.instruction
    for mention in references(instruction):
        if mention in names:
            instruction = instruction.replace(f"$({mention})", f"$({names[mention]})")
    return replace(
        step,
        instruction=instruction,
        next=None if step.next is None else name(step.next),
        branches={label: name(target) for label, target in step.branches.items()},
        otherwise=None if step.otherwise is None else name(step.otherwise),
        reads=None if step.reads is None else tuple(name(read) for read in step.reads),
        for_each=None if step.for_each is None else name(step.for_each),
    )
