"""Patches: a closed set of small edits on a workflow, as JSON that a schema can hold even a small model to.

Steps, operators, labels and parameters are enumerated in the schema, so a reply that fits it names only what exists.
What an edit leaves unreachable is removed with it. Lint has the last word.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from autoflow.core.json import Json
from autoflow.core.operator import Card
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.generator.draft import Limits
from autoflow.language.flow import Program
from autoflow.language.lint import lint
from autoflow.language.references import references

Op = Literal[
    "replace_instruction",
    "swap_operator",
    "set_parameter",
    "insert_step",
    "insert_check",
    "remove_step",
    "rewire",
    "rewire_branch",
    "set_reads",
    "set_model",
]
OPS: tuple[Op, ...] = get_args(Op)

Edit = Mapping[str, Json]
"""`op` and what it takes; see `patch_schema`."""

CHECK_VISITS = 2
"""How often an inserted check may run."""

_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class Scope:
    """What a patch may do."""

    ops: tuple[Op, ...] = OPS
    max_edits: int = 3
    limits: Limits = field(default_factory=Limits)
    models: tuple[str, ...] = ()
    """`provider/model` that `set_model` may name."""


def patch_schema(workflow: Workflow, cards: Sequence[Card], scope: Scope, note: str = "why") -> dict[str, Json]:
    """The schema of a patch: a note, then a list of edits, each one object of a closed kind.

    Edits that the workflow has no place for are left out: no `rewire_branch` without a decision.
    """
    kinds = [kind for op in scope.ops if (kind := _kind(op, workflow, cards, scope)) is not None]
    return _closed(
        {
            note: _text(scope.limits.max_note_chars),
            "edits": {"type": "array", "items": {"anyOf": kinds}, "minItems": 1, "maxItems": scope.max_edits},
        }
    )


def _kind(op: Op, workflow: Workflow, cards: Sequence[Card], scope: Scope) -> Json:
    steps = _enum(step.name for step in workflow.steps)
    own = [step.name for step in workflow.steps if step.type != "terminal"]
    processes = [step.name for step in workflow.steps if step.type == "process"]
    asking = [step.name for step in workflow.steps if step.instruction.strip()]
    text = _text(scope.limits.max_instruction_chars)
    operators = _enum(card.name for card in cards)
    decisions = [step for step in workflow.steps if step.type == "decision"]
    # A step's own parameters: what none of the operators in use has, no edit can set.
    used = {step.operator for step in workflow.steps}
    parameters = dict.fromkeys(name for card in cards if card.name in used for name in card.parameters)
    value: Json = {"anyOf": [{"type": "number"}, {"type": "boolean"}, _text(_NAME_CHARS)]}
    room = len(workflow.steps) < scope.limits.max_steps
    shapes: dict[Op, dict[str, Json] | None] = {
        "replace_instruction": {"step": _enum(asking), "instruction": text} if asking else None,
        "swap_operator": {"step": steps, "operator": operators},
        "set_parameter": {"step": steps, "parameter": _enum(parameters), "value": value} if parameters else None,
        "insert_step": {"before": steps, "name": _text(_NAME_CHARS), "operator": operators, "instruction": text}
        if room
        else None,
        "insert_check": {"after": _enum(processes), "question": text, "back_to": _enum(own)}
        if room and processes
        else None,
        "remove_step": {"step": _enum(own)} if own else None,
        "rewire": {"step": _enum(processes), "to": steps} if processes else None,
        "rewire_branch": {
            "step": _enum(step.name for step in decisions),
            "label": _enum(label for step in decisions for label in step.branches),
            "to": steps,
        }
        if decisions
        else None,
        "set_reads": {
            "step": steps,
            "reads": {"anyOf": [{"type": "array", "items": steps, "maxItems": 4}, {"type": "null"}]},
        },
        "set_model": {"step": _enum(asking), "model": _enum(scope.models)} if scope.models and asking else None,
    }
    shape = shapes[op]
    return None if shape is None else _closed({"op": _enum([op]), **shape})


def _enum(names: Iterable[str]) -> dict[str, Json]:
    return {"type": "string", "enum": list(dict.fromkeys(names))}


def _text(chars: int) -> dict[str, Json]:
    return {"type": "string", "maxLength": chars}


def _closed(properties: dict[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def patched(workflow: Workflow, edits: Sequence[Edit], cards: Sequence[Card], scope: Scope) -> Workflow:
    """The workflow after the edits, in order; it passes lint.

    Raises:
        WorkflowError: Saying which edit cannot be made and why, or what lint has against the result.
    """
    made = workflow
    for number, edit in enumerate(edits, 1):
        op = edit.get("op")
        try:
            make = _MAKE[op]  # type: ignore[index]
        except KeyError:
            raise WorkflowError(
                f"edit {number}: there is no edit {op!r}", hint=f"edits are: {', '.join(OPS)}"
            ) from None
        try:
            made = make(made, edit, {card.name: card for card in cards})
        except KeyError as error:
            steps = ", ".join(step.name for step in made.steps)
            raise WorkflowError(f"edit {number}: {op} finds no {error}", hint=f"steps are: {steps}") from None
        except WorkflowError as error:
            raise WorkflowError(f"edit {number}: {error.message}", hint=error.hint) from None
    made = _pruned(made)
    if made.fingerprint() == workflow.fingerprint():
        raise WorkflowError("the edits change nothing", hint="make one that does")
    ensure_sound(made, cards, scope)
    return made


def ensure_sound(workflow: Workflow, cards: Sequence[Card], scope: Scope) -> None:
    """Refuse a workflow that lint has an error against or that is larger than the scope allows.

    Raises:
        WorkflowError: With the first error.
    """
    for finding in lint(workflow, {card.name: card for card in cards}):
        if finding.severity == "error":
            raise WorkflowError(finding.message, hint=finding.hint, rule=finding.rule)
    if len(workflow.steps) > scope.limits.max_steps:
        raise WorkflowError(f"there are {len(workflow.steps)} steps; at most {scope.limits.max_steps} are allowed")
    for step in workflow.steps:
        if len(step.instruction) > scope.limits.max_instruction_chars:
            raise WorkflowError(
                f"the instruction of {step.name!r} has {len(step.instruction)} characters; at most"
                f" {scope.limits.max_instruction_chars} are allowed"
            )


def told(edits: Sequence[Edit]) -> str:
    """The edits in a line, for a person and for a generator that must not repeat them."""
    return "; ".join(
        f"{edit['op']} " + ", ".join(f"{key}: {value}" for key, value in edit.items() if key != "op") for edit in edits
    )


# -- the edits

_Cards = Mapping[str, Card]


def _replace_instruction(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    return _with(workflow, str(edit["step"]), lambda step: replace(step, instruction=str(edit["instruction"]).strip()))


def _swap_operator(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    card = cards.get(str(edit["operator"]))
    known = {} if card is None else card.parameters

    def swapped(step: Step) -> Step:
        # What the new operator does not know would be refused; what both know still holds.
        kept = {name: value for name, value in step.parameters.items() if name in known}
        return replace(step, operator=str(edit["operator"]), parameters=kept)

    return _with(workflow, str(edit["step"]), swapped)


def _set_parameter(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    def set_(step: Step) -> Step:
        value = edit["value"]
        if isinstance(value, float) and value.is_integer() and _whole(cards.get(step.operator), str(edit["parameter"])):
            value = int(value)
        return replace(step, parameters={**step.parameters, str(edit["parameter"]): value})

    return _with(workflow, str(edit["step"]), set_)


def _whole(card: Card | None, parameter: str) -> bool:
    return card is not None and card.parameters.get(parameter, {}).get("type") == "integer"


def _insert_step(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    before = workflow.step(str(edit["before"])).name
    name = _free(workflow, str(edit.get("name", "")))
    new = Step(
        name, "process", str(edit["instruction"]).strip(), str(edit.get("operator", DEFAULT_OPERATOR)), next=before
    )
    steps = [_led(step, before, name) for step in workflow.steps]
    place = next(index for index, step in enumerate(steps) if step.name == before)
    return replace(workflow, steps=(*steps[:place], new, *steps[place:]))


def _insert_check(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    after, back = workflow.step(str(edit["after"])), workflow.step(str(edit["back_to"]))
    if after.type != "process" or after.next is None:
        raise WorkflowError(f"a check follows a process, and {after.name!r} is a {after.type}")
    name = _free(workflow, f"check {after.name}")
    new = Step(
        name,
        "decision",
        str(edit["question"]).strip(),
        branches={"yes": after.next, "no": back.name},
        max_visits=CHECK_VISITS,
        otherwise=after.next,
    )
    steps = []
    for step in workflow.steps:
        steps += [replace(step, next=name), new] if step.name == after.name else [step]
    return replace(workflow, steps=tuple(steps))


def _remove_step(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    gone = workflow.step(str(edit["step"]))
    if gone.type == "terminal":
        raise WorkflowError(f"{gone.name!r} is a terminal; the workflow needs its answer")
    onward = gone.next if gone.type == "process" else next(iter(gone.branches.values()), None)
    if onward is None or onward == gone.name:
        raise WorkflowError(f"{gone.name!r} leads nowhere else, so it cannot be left out")
    for step in workflow.steps:
        if step.for_each == gone.name or gone.name in references(step.instruction):
            raise WorkflowError(f"step {step.name!r} uses the result of {gone.name!r}")
    steps = []
    for step in workflow.steps:
        if step.name == gone.name:
            continue
        reads = None if step.reads is None else tuple(name for name in step.reads if name != gone.name)
        steps.append(replace(_led(step, gone.name, onward), reads=reads))
    if workflow.entry.name == gone.name:
        # The first step is the entry: what the removed one led to must stand first now.
        steps.sort(key=lambda step: step.name != onward)
    return replace(workflow, steps=tuple(steps))


def _rewire(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    to = workflow.step(str(edit["to"])).name
    step = workflow.step(str(edit["step"]))
    if step.type != "process":
        raise WorkflowError(f"{step.name!r} is a {step.type}; only a process has one successor")
    return _with(workflow, step.name, lambda found: replace(found, next=to))


def _rewire_branch(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    to = workflow.step(str(edit["to"])).name
    step, label = workflow.step(str(edit["step"])), str(edit["label"])
    if label not in step.branches:
        raise WorkflowError(f"{step.name!r} has no branch {label!r}", hint=f"it has: {', '.join(step.branches)}")
    return _with(workflow, step.name, lambda found: replace(found, branches={**found.branches, label: to}))


def _set_reads(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    reads = edit["reads"]
    names = None if reads is None else tuple(dict.fromkeys(str(name) for name in reads))  # type: ignore[union-attr]
    return _with(workflow, str(edit["step"]), lambda step: replace(step, reads=names))


def _set_model(workflow: Workflow, edit: Edit, cards: _Cards) -> Workflow:
    return _with(workflow, str(edit["step"]), lambda step: replace(step, model=str(edit["model"])))


_MAKE: Mapping[Op, Callable[[Workflow, Edit, _Cards], Workflow]] = {
    "replace_instruction": _replace_instruction,
    "swap_operator": _swap_operator,
    "set_parameter": _set_parameter,
    "insert_step": _insert_step,
    "insert_check": _insert_check,
    "remove_step": _remove_step,
    "rewire": _rewire,
    "rewire_branch": _rewire_branch,
    "set_reads": _set_reads,
    "set_model": _set_model,
}


def _with(workflow: Workflow, name: str, change: Callable[[Step], Step]) -> Workflow:
    workflow.step(name)
    return replace(workflow, steps=tuple(change(step) if step.name == name else step for step in workflow.steps))


def _led(step: Step, old: str, new: str) -> Step:
    """The step with every way to `old` leading to `new`."""
    return replace(
        step,
        next=new if step.next == old else step.next,
        branches={label: new if target == old else target for label, target in step.branches.items()},
        otherwise=new if step.otherwise == old else step.otherwise,
    )


def _free(workflow: Workflow, wish: str) -> str:
    """A step name that is not taken and that `$(...)` can insert."""
    wish = " ".join(wish.replace("(", " ").replace(")", " ").split())[:_NAME_CHARS].strip() or "step"
    taken = {step.name.casefold() for step in workflow.steps} | {"task"}
    name, number = wish, 2
    while name.casefold() in taken:
        name, number = f"{wish} {number}", number + 1
    return name


def _pruned(workflow: Workflow) -> Workflow:
    """Without the steps that nothing leads to any more, and without readings of them."""
    program = Program(workflow)
    kept = [step for number, step in enumerate(workflow.steps) if number in program.reachable]
    names = {step.name for step in kept}
    gone = {step.name for step in workflow.steps} - names
    if not gone:
        return workflow
    return replace(
        workflow,
        steps=tuple(
            replace(step, reads=None if step.reads is None else tuple(name for name in step.reads if name not in gone))
            for step in kept
        ),
    )
