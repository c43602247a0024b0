"""Draft, parse, lint, repair: a model's text becomes a workflow that can run, or a list of what is wrong with it."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from autoflow.core.json import Json
from autoflow.core.model import Message, Model, Request, Sampling
from autoflow.core.operator import Card
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.errors import ReplyError, WorkflowError
from autoflow.generator import outline
from autoflow.generator.typed import typed_outline
from autoflow.language.document import Document, parse
from autoflow.language.dump import dump
from autoflow.language.lint import lint
from autoflow.language.schema import from_generated, generation_schema
from autoflow.models.structured import read as read_json
from autoflow.models.structured import structured
from autoflow.prompts import render

Form = Literal["outline", "json", "yaml"]
"""How a workflow is written: a straight list of steps, JSON under a schema, or YAML."""

Scope = Literal["benchmark", "task"]
"""What one workflow is written for: a whole set of tasks, or one task by its description."""

CALLS_PER_SAMPLE = 100
"""Sample indices that one draft may take: the draft itself, then its repairs."""

_WISH = "Write a workflow for this kind of task."
_SHOWN_ERRORS = 6
_ERROR_CHARS = 300
_EXCERPT_CHARS = 120
_ANSWER_CHARS = 160
_NAME_CHARS = 40
_MAX_BRANCHES = 6

EXAMPLE = Workflow(
    name="answer-letter",
    description="Answer a customer's letter.",
    steps=(
        Step("write reply", "process", "Write a short, friendly reply to the letter.", next="check reply"),
        Step(
            "check reply",
            "decision",
            'Does "$(write reply)" answer all that was asked?',
            branches={"yes": "send", "no": "write reply"},
            max_visits=2,
            otherwise="send",
        ),
        Step("send", "terminal", "Give the final reply and nothing else."),
    ),
)
"""Shown to every generator. Of no benchmark, so that it teaches the form and no answer."""


SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=2000)
"""As published (METHODS.md)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a draft. They end the generation of a model that is held to a schema, and refuse other drafts."""

    max_steps: int = 10
    max_instruction_chars: int = 400
    max_parameter_chars: int = 1500
    """Of a parameter that is a text: a role, a form, a function in Python."""

    max_note_chars: int = 600
    """Of `DraftRequest.note`, where a schema holds the model to it."""


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """What the generator is told. Only train tasks may appear in it."""

    description: str
    """The kind of task, one or two sentences; in the scope `task` the task itself, as the interpreter reads it."""

    cards: tuple[Card, ...]
    """The operators that the workflow may use."""

    describe_cards: bool = True
    """Show what each operator does; False: its name and types alone, where the prompt must be short."""

    examples: tuple[str, ...] = ()
    """A few train tasks, as the interpreter reads them."""

    answer: Mapping[str, Json] | None = None
    """JSON Schema of the answer, where the benchmark fixes it: it is put on every terminal, whatever the draft says."""

    evidence: str = ""
    """Earlier workflows and what became of them, made by the strategy."""

    wish: str = _WISH
    """What is asked for, one sentence."""

    inputs: tuple[str, ...] | None = None
    """Types of the values that the task brings, of which lint knows whether each tool finds what it takes; a model that
    takes grammars writes nothing else. `None`: not known."""

    scope: Scope = "benchmark"
    """In the scope `task` there are no examples, no evidence and no wish: the task says what is asked for."""

    note: str = ""
    """What the generator writes before the workflow, in a word ("analysis"); empty: the workflow alone."""

    turns: tuple[Message, ...] = ()
    """The conversation after that: earlier drafts and what became of them, a user's turn last."""

    limits: Limits = Limits()
    sampling: Sampling = SAMPLING
    sample: int = 0
    """Which independent draft this is; drafts of equal `sample` and request share their recorded replies."""

    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What came of a request. `workflow` is `None` where the last repair still had errors."""

    workflow: Workflow | None
    text: str
    """What the model wrote last."""

    errors: tuple[str, ...] = ()
    """What is wrong with an invalid draft, a line each, with the place in `text` where it has one."""

    repairs: int = 0
    """How often errors went back to the model."""

    readable: bool = False
    """Whether the text could be read as a workflow, whatever lint says of it."""

    note: str = ""
    """What it wrote before the workflow, at the first attempt: repairs keep it."""


Check = Callable[[Workflow], Awaitable[Sequence[str]]]
"""Says what else is wrong with a workflow that passes lint, a line each; it goes back as the errors of lint do."""


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """What a workflow is and how it is written."""

    template: ClassVar[str] = "generator/system.j2"
    example: str
    max_steps: int
    max_instruction_chars: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class TaskOutlinePrompt:
    """What the writer of an outline for one task must know, in as few words as will do."""

    template: ClassVar[str] = "generator/task_outline.j2"
    example: str
    max_steps: int
    models: bool
    """Whether there are operators that ask a language model, for whom the words of a step matter."""


@dataclass(frozen=True, slots=True)
class TaskRequestPrompt:
    """The operators, then the one task: what is the same for all tasks of a set stands first."""

    template: ClassVar[str] = "generator/task_request.j2"
    task: str
    cards: tuple[str, ...]
    answer: str
    form: Form


@dataclass(frozen=True, slots=True)
class OutlinePrompt:
    """The same for outlines, in fewer words: they are written by small models."""

    template: ClassVar[str] = "generator/outline.j2"
    example: str
    max_steps: int


@dataclass(frozen=True, slots=True)
class RequestPrompt:
    """The kind of task, the operators and the evidence."""

    template: ClassVar[str] = "generator/request.j2"
    description: str
    examples: tuple[str, ...]
    cards: tuple[str, ...]
    answer: str
    """The form of the answer; empty where it is free."""

    evidence: str
    wish: str
    note: str
    form: Form


@dataclass(frozen=True, slots=True)
class ClosingPrompt:
    """How the answer is to be given: the end of every turn that asks for a workflow."""

    template: ClassVar[str] = "generator/closing.j2"
    note: str
    form: Form


@dataclass(frozen=True, slots=True)
class RepairPrompt:
    """What is wrong with the draft before."""

    template: ClassVar[str] = "generator/repair.j2"
    errors: tuple[str, ...]
    form: Form


def form_of(model: Model) -> Form:
    """How the model is asked to write, where the user does not say.

    JSON where a schema is enforced while it samples, YAML elsewhere. A model that takes grammars runs in this process
    and is small: it writes outlines.
    """
    if "schema" not in model.features:
        return "yaml"
    return "outline" if "grammar" in model.features else "json"


def written(workflow: Workflow, form: Form, answer: Mapping[str, Json] | None = None) -> str:
    """The workflow in the form that the generator is asked to write, without the `answer` that terminals get anyway.

    JSON leaves out what is empty or the default, and what a generated workflow cannot say: reads, for_each and outputs.
    A workflow that is no straight list is shown to a writer of outlines as JSON.
    """
    if form == "yaml":
        return dump(_with_output(workflow, answer, None)).strip()
    if form == "outline" and (straight := outline.to_outline(workflow)) is not None:
        return _json(straight)
    empty: tuple[Json, ...] = (None, [], "", DEFAULT_OPERATOR)
    steps = [{key: value for key, value in step.items() if value not in empty} for step in _steps(workflow)]
    return _json({"name": workflow.name, "description": workflow.description, "steps": steps})


def _steps(workflow: Workflow) -> list[dict[str, Json]]:
    """The steps as `generation_schema` asks for them, every key there."""
    return [
        {
            "name": step.name,
            "type": step.type,
            "instruction": step.instruction,
            "operator": step.operator,
            "next": step.next,
            "branches": [{"label": label, "target": target} for label, target in step.branches.items()],
            "max_visits": step.max_visits,
            "otherwise": step.otherwise,
            "parameters": [{"name": name, "value": value} for name, value in step.parameters.items()],
        }
        for step in workflow.steps
    ]


def _example(form: Form, cards: Sequence[Card]) -> str:
    if form == "yaml":
        return written(EXAMPLE, form)
    # A step a line, every key there: what the schema will make the model write.
    without = set() if _parameters(cards) else {"parameters"}
    steps = ",\n".join(
        _json({key: value for key, value in step.items() if key not in without}) for step in _steps(EXAMPLE)
    )
    return f'{{"name": {_json(EXAMPLE.name)}, "description": {_json(EXAMPLE.description)}, "steps": [\n{steps}]}}'


def answer_of(workflow: Workflow | None) -> Mapping[str, Json] | None:
    """The JSON Schema that every terminal of the workflow states; `None` where they differ or state none."""
    if workflow is None:
        return None
    stated = [step.output for step in workflow.steps if step.type == "terminal"]
    return stated[0] if stated and all(output == stated[0] for output in stated) else None


def usable(cards: Sequence[Card], form: Form) -> tuple[Card, ...]:
    """The operators that a draft in this form can name: none that requires a parameter which the form cannot state.

    An outline states no parameters, JSON none that is an object.
    """
    return tuple(
        card
        for card in cards
        if all("default" in schema or name in _offered(card, form) for name, schema in card.parameters.items())
    )


def _parameters(cards: Sequence[Card]) -> dict[str, Mapping[str, Json]]:
    """The parameters that JSON can state, whichever operator's they are."""
    found: dict[str, Mapping[str, Json]] = {}
    for card in cards:
        for name, schema in _offered(card, "json").items():
            found.setdefault(name, schema)
    return found


def _offered(card: Card, form: Form) -> dict[str, Mapping[str, Json]]:
    """The parameters of a card that a generator is shown: not those that without a value leave the run's setting."""
    if form == "outline":
        return {}
    return {
        name: schema
        for name, schema in card.parameters.items()
        if schema.get("default", "") is not None and (form == "yaml" or schema.get("type") != "object")
    }


def conversation(request: DraftRequest, form: Form) -> tuple[Message, ...]:
    """The turns that a draft answers: what never changes first."""
    limits = request.limits
    known = usable(request.cards, form)
    cards = tuple(card_line(card, form, request.describe_cards) for card in known)
    answer = "" if request.answer is None else _clipped(_json(request.answer), _ANSWER_CHARS)
    system: SystemPrompt | OutlinePrompt | TaskOutlinePrompt
    user: RequestPrompt | TaskRequestPrompt
    if form != "outline":
        system = SystemPrompt(
            _example(form, request.cards), limits.max_steps, limits.max_instruction_chars, request.scope
        )
    elif request.scope == "task":
        models = any(card.kind == "model" for card in known)
        example = outline.EXAMPLE if models else outline.TOOLS_EXAMPLE
        system = TaskOutlinePrompt(_json(example), limits.max_steps - 1, models)
    else:
        system = OutlinePrompt(_json(outline.EXAMPLE), limits.max_steps - 1)
    if request.scope == "task":
        user = TaskRequestPrompt(request.description, cards, answer, form)
    else:
        user = RequestPrompt(
            description=request.description,
            examples=request.examples,
            cards=cards,
            answer=answer,
            evidence=request.evidence,
            wish=request.wish,
            note=request.note,
            form=form,
        )
    return (Message("system", render(system)), Message("user", render(user)), *request.turns)


async def draft(
    model: Model, request: DraftRequest, *, repairs: int = 3, form: Form | None = None, check: Check | None = None
) -> Draft:
    """Ask for a workflow; send errors back until it passes lint and `check`, at most `repairs` times.

    A reply that cannot be read is an error like any other. Warnings of lint do not refuse a draft. `form` is
    `form_of(model)` where it is `None`.

    Raises:
        ProviderError, BudgetExhaustedError: From the model.
    """
    form = form or form_of(model)
    messages = conversation(request, form)
    # To put a draft right takes no evidence, and the draft needs its room in a small context.
    plain = replace(request, evidence="", wish=_WISH, note="", turns=())
    opening = conversation(plain, form)
    attempt, note = 0, ""
    while True:
        sample = request.sample * CALLS_PER_SAMPLE + attempt
        call = Request(messages, request.sampling, sample=sample, purpose="draft", timeout_s=request.timeout_s)
        wanted = plain if attempt else request
        found = await (_ask_yaml(model, call, wanted) if form == "yaml" else _ask_json(model, call, wanted, form))
        note = note if attempt else found.note
        if found.workflow is not None and check is not None:
            wrong = tuple(await check(found.workflow))
            found = replace(found, workflow=None if wrong else found.workflow, errors=wrong)
        if found.workflow is not None or attempt == repairs:
            return replace(found, repairs=attempt, note=note)
        attempt += 1
        # Only the draft before goes back: the conversation of a small model must not grow with every repair.
        shown = _shortened(found.errors)
        messages = (*opening, Message("assistant", found.text), Message("user", render(RepairPrompt(shown, form))))


async def _ask_json(model: Model, call: Request, request: DraftRequest, form: Form) -> Draft:
    schema = bounded_schema(request.cards, request.limits, form)
    if request.note:
        schema = _with_note(schema, request.note, request.limits.max_note_chars)
    typed = grammar_of(request, form) if "grammar" in model.features else None
    if typed is not None or (form == "outline" and "schema" not in model.features):
        # The example says the form. A schema in words would make it another prompt than a trained generator knows.
        reply = await model.complete(replace(call, grammar=typed))
        value, fault = read_json(reply, schema)
        if fault is not None:
            return Draft(None, reply.text, (f"{_printable(fault)}; write JSON like the example",))
    else:
        try:
            value = await structured(model, call, schema)
        except ReplyError as error:
            return Draft(None, error.text, (f"{_printable(error.message)}; write fewer and shorter steps",))
    note = ""
    if request.note:
        assert isinstance(value, Mapping)  # noqa: S101  the schema says so, and `structured` has checked it
        note = str(value[request.note])
        value = {key: item for key, item in value.items() if key != request.note}
    text = _json(value)
    try:
        # Through the canonical text, so that faults have lines that a reader of the ledger can find.
        read = outline.from_outline if form == "outline" else from_generated
        document = parse(dump(read(value)))
    except WorkflowError as error:
        return Draft(None, text, (_located(error.message, None, error.hint, ""),), note=note)
    return replace(_checked(document, text, request, quote=False), note=note)


def grammar_of(request: DraftRequest, form: Form) -> str | None:
    """The grammar of the drafts that type-check, for a model that takes grammars; `None` where types say nothing."""
    if form != "outline" or request.inputs is None or request.note:
        return None
    return typed_outline(
        usable(request.cards, form),
        request.inputs,
        max_steps=request.limits.max_steps,
        max_instruction_chars=request.limits.max_instruction_chars,
    )


def _with_note(schema: Mapping[str, Json], name: str, chars: int) -> dict[str, Json]:
    """The schema of a draft with a note before it: what is written first can inform the rest."""
    properties, required = schema["properties"], schema["required"]
    assert isinstance(properties, Mapping)  # noqa: S101  `bounded_schema` makes them
    assert isinstance(required, list)  # noqa: S101
    note: Json = {"type": "string", "maxLength": chars}
    return {**schema, "properties": {name: note, **properties}, "required": [name, *required]}


async def _ask_yaml(model: Model, call: Request, request: DraftRequest) -> Draft:
    reply = await model.complete(call)
    found = _extracted(reply.text)
    text, note = found.text, found.before if request.note else ""
    if reply.finish == "length" and not found.closed:
        return Draft(None, text, ("the text broke off before its end; write fewer and shorter steps",), note=note)
    try:
        document = parse(text)
    except WorkflowError as error:
        return Draft(None, text, (_located(error.message, error.line, error.hint, text),), note=note)
    return replace(_checked(document, text, request, quote=True), note=note)


def spoken(draft: Draft, form: Form, name: str) -> str:
    """The draft as the model's own turn in a conversation: its note, called `name`, and its last text."""
    if form == "yaml":
        return f"{draft.note}\n\n```yaml\n{draft.text.strip()}\n```".lstrip()
    try:
        value = json.loads(draft.text)
    except ValueError:
        return draft.text
    return _json({name: draft.note, **value}) if isinstance(value, dict) else draft.text


def _checked(document: Document, text: str, request: DraftRequest, *, quote: bool) -> Draft:
    workflow = _with_output(document.workflow, None, request.answer)
    if request.inputs is not None:
        workflow = replace(workflow, inputs=request.inputs)
    cards = {card.name: card for card in request.cards}
    errors = []
    for finding in lint(replace(document, workflow=workflow), cards):
        if finding.severity == "error":
            place = "" if finding.step is None or finding.step in finding.message else f'step "{finding.step}": '
            message = f"{place}{finding.message} [{finding.rule}]"
            errors.append(_located(message, finding.line if quote else None, finding.hint, text))
    errors += _beyond(workflow, request.limits)
    return Draft(None if errors else workflow, text, tuple(errors), readable=True)


def _with_output(workflow: Workflow, old: Mapping[str, Json] | None, new: Mapping[str, Json] | None) -> Workflow:
    """The workflow with every terminal's output set to `new`; with `new` None, only where it is `old`."""
    if old == new:
        return workflow
    steps = tuple(
        replace(step, output=new) if step.type == "terminal" and (new is not None or step.output == old) else step
        for step in workflow.steps
    )
    return replace(workflow, steps=steps)


def _beyond(workflow: Workflow, limits: Limits) -> list[str]:
    errors = []
    if len(workflow.steps) > limits.max_steps:
        errors.append(f"there are {len(workflow.steps)} steps; at most {limits.max_steps} are allowed")
    for step in workflow.steps:
        if len(step.instruction) > limits.max_instruction_chars:
            errors.append(
                f'step "{_printable(step.name)}": the instruction has {len(step.instruction)} characters; '
                f"at most {limits.max_instruction_chars} are allowed"
            )
        for name, value in step.parameters.items():
            if isinstance(value, str) and len(value) > limits.max_parameter_chars:
                errors.append(
                    f'step "{_printable(step.name)}": the parameter "{_printable(name)}" has {len(value)} characters; '
                    f"at most {limits.max_parameter_chars} are allowed"
                )
        if step.model is not None:
            # A draft that names models could spend on one that the user did not choose.
            errors.append(f'step "{_printable(step.name)}": remove the key `model`; the interpreter is given')
    return errors


def _located(message: str, line: int | None, hint: str | None, text: str) -> str:
    parts = [_printable(message) if line is None else f"line {line}: {_printable(message)}"]
    if hint:
        parts.append(f"({' '.join(_printable(hint).split())})")
    lines = text.splitlines()
    if line is not None and 0 < line <= len(lines):
        parts.append(f"| {_printable(lines[line - 1].strip()[:_EXCERPT_CHARS])}")
    return " ".join(parts)


def _printable(text: str) -> str:
    # Errors reach terminals and files, and they quote what a model wrote.
    return "".join(char if char.isprintable() else " " for char in text)


def _shortened(errors: Sequence[str]) -> tuple[str, ...]:
    shown = [_clipped(error, _ERROR_CHARS) for error in errors[:_SHOWN_ERRORS]]
    if len(errors) > _SHOWN_ERRORS:
        shown.append(f"and {len(errors) - _SHOWN_ERRORS} more")
    return tuple(shown)


def bounded_schema(cards: Sequence[Card], limits: Limits, form: Form = "json") -> dict[str, Json]:
    """The schema of a draft, with a bound on every text and list, so that every generation ends."""
    known = usable(cards, form)
    operators = [card.name for card in known]
    if form == "outline":
        return outline.outline_schema(
            operators, max_steps=limits.max_steps, max_instruction_chars=limits.max_instruction_chars
        )
    schema = generation_schema(operators, _parameters(known), max_steps=limits.max_steps)
    texts = {
        "instruction": limits.max_instruction_chars,
        "description": limits.max_instruction_chars,
        "value": limits.max_parameter_chars,
    }
    bounded = _bounded(schema, "", texts)
    assert isinstance(bounded, dict)  # noqa: S101  an object goes in
    return bounded


def _bounded(schema: Json, key: str, texts: Mapping[str, int]) -> Json:
    if isinstance(schema, list):
        return [_bounded(item, key, texts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # What stands in a list or a choice of types is bounded as the key that holds it.
    made = {name: _bounded(item, key if name in ("items", "anyOf") else name, texts) for name, item in schema.items()}
    kind = schema.get("type")
    if "enum" not in schema and (kind == "string" or (isinstance(kind, list) and "string" in kind)):
        made["maxLength"] = texts.get(key, _NAME_CHARS)
    if kind == "array":
        made.setdefault("maxItems", _MAX_BRANCHES)
    return made


_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_START = re.compile(r"^(?:autoflow|name|description|steps|inputs)[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Extracted:
    before: str
    text: str
    closed: bool


def extract(text: str) -> tuple[str, bool]:
    """The workflow's part of a reply, and whether a closing fence says that it is whole.

    Reasoning before `</think>` and prose around a code fence are left out. Of several fences the last with a line
    `steps:` is taken; without a fence, the text from its first key of a workflow on.
    """
    found = _extracted(text)
    return found.text, found.closed


def _extracted(text: str) -> _Extracted:
    text = text.rpartition("</think>")[2]
    marks = list(_FENCE.finditer(text))
    blocks = []
    for index in range(0, len(marks), 2):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        before = text[: marks[index].start()].strip()
        blocks.append(_Extracted(before, text[marks[index].end() + 1 : end], index + 1 < len(marks)))
    for block in reversed(blocks):
        if re.search(r"^\s*steps[ \t]*:", block.text, re.MULTILINE):
            return block
    if blocks:
        return blocks[-1]
    start = _START.search(text)
    return (
        _Extracted(text[: start.start()].strip(), text[start.start() :], False)
        if start
        else _Extracted("", text, False)
    )


def card_line(card: Card, form: Form, describe: bool) -> str:
    """An operator as a generator reads it."""
    if form == "outline":
        # A small model finds a name by what stands before it, and copies it as it will have to write it.
        said = f"{card.description.rstrip('.')} " if describe else ""
        return f"{said}({', '.join(card.inputs)} -> {card.output}): {_json(card.name)}"
    line = f"{card.name} ({', '.join(card.inputs)} -> {card.output}){f': {card.description}' if describe else ''}"
    offered = _offered(card, form)
    if not offered:
        return line
    settings = []
    for name, schema in offered.items():
        kind = schema.get("enum", schema.get("type", "any"))
        kind = "|".join(str(item) for item in kind) if isinstance(kind, list | tuple) else str(kind)
        default = f", default {json.dumps(schema['default'], ensure_ascii=False)}" if "default" in schema else ""
        settings.append(f"{name} ({kind}{default})")
    return f"{line} Parameters: {'; '.join(settings)}."


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _clipped(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[:chars]}..."
