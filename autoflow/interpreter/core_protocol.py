"""Protocol `core`: the published CoRE interpreter (arXiv:2405.06907), kept for comparison with `fused`.

A step takes separate calls: which notebook entries it needs, the answer, whether a tool is needed, which, with what
arguments, a summary of what it found, and for a decision the branch. Ours differs where the release is wrong: labels
are constrained and never matched as substrings, arguments are JSON and not split at commas, nothing is asked about
tools where there are none, and an unreadable branch is a failure (or `otherwise`), not the first branch.

A step that needs none of this (`operator`, `for_each`, `output` of its own, an empty terminal) goes as in `fused`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from autoflow.core.json import Json
from autoflow.core.model import Message, Model, Request
from autoflow.core.operator import Card
from autoflow.core.workflow import DEFAULT_OPERATOR, Step
from autoflow.errors import OperatorError, ReplyError
from autoflow.interpreter.conversation import cards, text
from autoflow.interpreter.fused import fused, unmatched
from autoflow.interpreter.session import Outcome, Session
from autoflow.interpreter.visit import Recorder, Visit
from autoflow.models.structured import choose, structured
from autoflow.prompts import Prompt, render

LADDER = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Temperatures at which an unreadable label is asked for again."""

ATTEMPTS = 2
"""How often a tool is called within one visit before the step makes do without it."""

YES_NO = ("Yes", "No")


@dataclass(frozen=True, slots=True)
class Entry:
    """One notebook entry: what a tool found."""

    name: str
    call: str
    summary: str
    result: str
    record: int
    """Index of the visit that wrote it."""

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "call": self.call,
            "summary": self.summary,
            "result": self.result,
            "record": self.record,
        }


@dataclass(frozen=True, slots=True)
class Turn:
    """One line of progress."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class AnswerPrompt:
    """The answer call."""

    template: ClassVar[str] = "interpreter/core_answer.j2"
    cards: Sequence[str]
    progress: Sequence[Turn]
    task: str
    observations: Sequence[Entry]
    instruction: str


@dataclass(frozen=True, slots=True)
class RetrievePrompt:
    """Whether one notebook entry is needed."""

    template: ClassVar[str] = "interpreter/core_retrieve.j2"
    task: str
    instruction: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class RetrieveDirectPrompt:
    """Which notebook entries are needed."""

    template: ClassVar[str] = "interpreter/core_retrieve_direct.j2"
    task: str
    instruction: str
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class ToolNeedPrompt:
    """Whether a tool must be called."""

    template: ClassVar[str] = "interpreter/core_tool_need.j2"
    cards: Sequence[str]
    used: Sequence[str]
    instruction: str
    answer: str


@dataclass(frozen=True, slots=True)
class ToolNamePrompt:
    """Which tool."""

    template: ClassVar[str] = "interpreter/core_tool_name.j2"
    cards: Sequence[str]
    instruction: str
    answer: str


@dataclass(frozen=True, slots=True)
class ToolArgumentsPrompt:
    """With what arguments."""

    template: ClassVar[str] = "interpreter/core_tool_arguments.j2"
    card: str
    instruction: str
    answer: str
    names: Sequence[str]
    error: str


@dataclass(frozen=True, slots=True)
class SummaryPrompt:
    """What a tool call found, in short."""

    template: ClassVar[str] = "interpreter/core_summary.j2"
    card: str
    call: str


@dataclass(frozen=True, slots=True)
class BranchPrompt:
    """Which label."""

    template: ClassVar[str] = "interpreter/core_branch.j2"
    instruction: str
    answer: str
    labels: Sequence[str]


async def core(session: Session, step: Step) -> None:
    """Run one step."""
    if step.operator != DEFAULT_OPERATOR or step.for_each is not None or not step.instruction.strip():
        await fused(session, step)
        return
    visit = session.open(step)
    session.close(visit, await session.attempt(visit, perform(session, visit), session.limit(step)))


async def perform(session: Session, visit: Visit) -> Outcome:
    """Carry out the step of `visit`."""
    step = visit.step
    inputs = session.inputs(step)
    visit.inputs.update(inputs)
    asking = _Asking(session, Recorder(session.model_of(step), visit))
    instruction = session.instruction(step)
    observations = await retrieve(session, asking, instruction)
    answer = await ask_answer(session, step, asking, instruction, observations)
    result = answer
    if session.settings.core_tools and any(operator.card.kind == "tool" for operator in session.operators.values()):
        used = await use_tool(session, visit, asking, text(answer), inputs)
        # A terminal's answer is what the model answered, also where a tool ran.
        if used is not None and step.type != "terminal":
            result = used
    if step.type != "decision":
        return Outcome(result, target=step.next)
    labels = tuple(step.branches)
    try:
        label = await asking.choose(BranchPrompt(instruction, text(result), labels), labels, "branch")
    except ReplyError as error:
        return unmatched(step, error)
    return Outcome(result, label, step.branches[label])


async def retrieve(session: Session, asking: "_Asking", instruction: str) -> list[Entry]:
    """The notebook entries that the step needs."""
    entries = [Entry(**entry) for entry in session.notebook]
    task = session.task.text
    if not entries:
        return []
    if session.settings.core_retrieval == "direct":
        numbers: dict[str, Json] = {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": len(entries)},
        }
        prompt = RetrieveDirectPrompt(task, instruction, entries)
        found = await asking.structured(prompt, numbers, "retrieve")
        wanted = set(found) if isinstance(found, list) else set()
        return [entry for number, entry in enumerate(entries, 1) if number in wanted]
    return [
        entry
        for entry in entries
        if await asking.choose(RetrievePrompt(task, instruction, entry), YES_NO, "retrieve") == "Yes"
    ]


async def ask_answer(
    session: Session, step: Step, asking: "_Asking", instruction: str, observations: Sequence[Entry]
) -> Json:
    """The answer call: a fresh chat with the tools, the progress, the task and the observations."""
    settings = session.settings
    drawn = replace(
        settings.sampling,
        temperature=settings.core_temperature,
        max_tokens=settings.sampling.max_tokens or settings.core_max_tokens,
    )
    prompt = AnswerPrompt(
        cards(session.operators) if settings.show_cards else [],
        progress(session, step),
        session.task.text,
        observations,
        instruction,
    )
    request = Request((Message("user", render(prompt)),), drawn, purpose="answer")
    if step.output is not None and step.type != "decision":
        return await structured(asking.model, request, step.output)
    return (await asking.model.complete(request)).text.strip()


def progress(session: Session, step: Step) -> list[Turn]:
    """Question and answer of each earlier step that this one reads; of one that called a tool, call and summary."""
    if step.reads is None:
        shown = list(range(len(session.records)))
    else:
        shown = sorted(session.latest[name] for name in set(step.reads))
    called = {entry["record"]: f"Called {entry['call']}. {entry['summary']}" for entry in session.notebook}
    turns = []
    for index in shown:
        earlier = session.program.steps[session.records[index].step]
        answered = called.get(index, text(session.records[index].result))
        question = session.instruction(earlier) if earlier.type == "decision" else session.turns[index][0]
        turns.append(Turn(question, answered))
    return turns


async def use_tool(session: Session, visit: Visit, asking: "_Asking", answer: str, inputs: Mapping[str, Json]) -> Json:
    """Call a tool if the model says that one is needed, and write the notebook. `None`: none was, or it failed."""
    tools = {name: operator for name, operator in session.operators.items() if operator.card.kind == "tool"}
    lines = cards(tools)
    instruction = session.instruction(visit.step)
    calls = [entry["call"] for entry in session.notebook]
    if await asking.choose(ToolNeedPrompt(lines, calls, instruction, answer), YES_NO, "tool-need") == "No":
        return None
    name = await asking.choose(ToolNamePrompt(lines, instruction, answer), tuple(tools), "tool-name")
    tool = tools[name]
    schema = arguments_schema(tool.card)
    error = ""
    for _ in range(ATTEMPTS):
        given: Mapping[str, Json] = {}
        try:
            if schema["properties"]:
                asked = ToolArgumentsPrompt(
                    f"{name}: {tool.card.description}", instruction, answer, list(schema["properties"]), error
                )
                found = await asking.structured(asked, schema, "tool-arguments")
                given = found if isinstance(found, Mapping) else {}
            read = {**inputs, INPUT: given[INPUT]} if INPUT in given else dict(inputs)
            call = session.invocation(visit, instruction, read, session.conversation(visit.step))
            parameters = {key: value for key, value in given.items() if key != INPUT}
            visit.tools.append(name)
            result = await tool.run(replace(call, parameters=parameters, output=None))
        except (OperatorError, ReplyError) as failed:
            error = failed.message
            continue
        written = f"{name}({text(dict(given)) if given else ''})"
        summary = await asking.complete(SummaryPrompt(f"{name}: {tool.card.description}", written), "tool-summary")
        record = len(session.records)
        session.notebook.append(Entry(f"Round {record + 1}", written, summary, text(result), record).plain())
        return result
    return None


INPUT = "input"
"""The argument that a tool's text operand is asked under."""


def arguments_schema(card: Card) -> dict[str, Any]:
    """What the arguments call must answer: the card's parameters, and a text where the tool takes one."""
    properties: dict[str, Any] = {}
    if INPUT not in card.parameters and any(kind in ("text", "any") for kind in card.inputs):
        properties[INPUT] = {"type": "string"}
    properties.update(card.parameters)
    required = [key for key, schema in properties.items() if "default" not in schema]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class _Asking:
    """Short questions, each in a fresh chat."""

    session: Session
    model: Model

    def request(self, prompt: Prompt, purpose: str, temperature: float = 0.0) -> Request:
        drawn = replace(self.session.settings.sampling, temperature=temperature)
        return Request((Message("user", render(prompt)),), drawn, purpose=purpose)

    async def complete(self, prompt: Prompt, purpose: str) -> str:
        return (await self.model.complete(self.request(prompt, purpose))).text.strip()

    async def structured(self, prompt: Prompt, schema: Mapping[str, Json], purpose: str) -> Json:
        return await structured(self.model, self.request(prompt, purpose), schema)

    async def choose(self, prompt: Prompt, labels: Sequence[str], purpose: str) -> str:
        """A label; asked again at a higher temperature where the reply is none.

        Raises:
            ReplyError: If it is none at the highest, too.
        """
        for temperature in LADDER[:-1]:
            try:
                return await choose(self.model, self.request(prompt, purpose, temperature), labels)
            except ReplyError:
                continue
        return await choose(self.model, self.request(prompt, purpose, LADDER[-1]), labels)
