"""A workflow as an Open Agent Spec flow (Oracle's open format for agents, https://oracle.github.io/agent-spec).

A step that asks a model is an `LlmNode` whose prompt holds the task and the results that it reads; one with another
operator is a `ToolNode`; a decision is followed by a `BranchingNode`, a terminal by an `EndNode`; `for_each` is a
`ParallelMapNode`. What Agent Spec has no word for stands in `metadata.autoflow` of the node that it is about: bounds of
loops, narrowed reading, time limits. Other tools leave it be and so repeat loops without a bound.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from autoflow.core.json import Json
from autoflow.core.operator import Card
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.errors import AgentSpecError
from autoflow.language.flow import Program, closure
from autoflow.language.references import TASK, fill, references

VERSION = "26.1.2"
"""The first version of Agent Spec that can name any model (`LlmConfig`)."""

META = "autoflow"
"""Our key in a component's `metadata`."""

RESULT, ANSWER, INSTRUCTION, PARAMETERS, KEY = "result", "answer", "instruction", "parameters", "branching_mapping_key"
DEFAULT_BRANCH = "default"

PLACEHOLDER = re.compile(r"{{\s*(\w+)\s*}}")
"""What Agent Spec takes for an input in a prompt."""

_UNSAYABLE = {"title", "default", "$ref", "$defs", "definitions", "anyOf", "oneOf", "allOf", "not", "if"}

Component = dict[str, Any]


def to_agent_spec(workflow: Workflow, cards: Mapping[str, Card] | None = None, *, model: str = "") -> Component:
    """The flow as the JSON object that Agent Spec's own library reads.

    Args:
        cards: Describe the operators that become tools.
        model: `provider/model` of the steps that name none.

    Raises:
        AgentSpecError: If the workflow is not sound enough to be a flow: names twice, targets that do not exist.
    """
    return _Writer(workflow, cards or {}, model).flow()


def text_of(flow: Component) -> str:
    """The flow as JSON text."""
    return json.dumps(flow, indent=2, ensure_ascii=False) + "\n"


def sayable(schema: Json) -> bool:
    """Whether a step's output schema can be the type of an Agent Spec property as it stands."""
    if not isinstance(schema, Mapping) or not isinstance(schema.get("type"), str):
        return False
    if _UNSAYABLE & set(schema):
        return False
    inner: list[Json] = []
    for key in ("items", "additionalProperties"):
        if key in schema and not isinstance(schema[key], bool):
            inner.append(schema[key])
        elif key == "items" and key in schema:
            return False
    properties = schema.get("properties", {})
    inner += properties.values() if isinstance(properties, Mapping) else [None]
    return all(sayable(item) for item in inner)


def prompt(step: Step, shown: Sequence[tuple[str, str]], titles: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The step's prompt with placeholders, and the texts of those that stand for themselves.

    `shown` are the results before the instruction, name and title; `titles` the inputs' titles by step.
    """
    fixed: dict[str, str] = {}

    def literal(match: re.Match[str]) -> str:
        # Two braces of the user's own would be taken for an input: they come in through one.
        title = f"text_{len(fixed) + 1}"
        fixed[title] = match[0]
        return f"{{{{{title}}}}}"

    # Names of steps may hold braces as well.
    parts = [f"{{{{{TASK}}}}}"]
    parts += [f"{PLACEHOLDER.sub(literal, name)}:\n{{{{{title}}}}}" for name, title in shown]
    # The marks are set before the braces are looked for, and turned into placeholders after.
    free = next(mark for mark in map(chr, range(0xE000, 0xF900)) if mark not in step.instruction)
    marks = {name: f"{free}{number}{free}" for number, name in enumerate(references(step.instruction))}
    sentence = PLACEHOLDER.sub(literal, fill(step.instruction, marks))
    for name, mark in marks.items():
        sentence = sentence.replace(mark, f"{{{{{titles[name]}}}}}")
    if step.type == "decision":
        sentence += "\n\nAnswer with one of these: " + PLACEHOLDER.sub(literal, ", ".join(step.branches))
    return "\n\n".join([*parts, sentence]), fixed


class _Writer:
    def __init__(self, workflow: Workflow, cards: Mapping[str, Card], model: str) -> None:
        self._workflow = workflow
        self._cards = cards
        self._program = Program(workflow)
        self._check()
        self._titles = _titles(workflow)
        self._components: dict[str, Component] = {}
        self._order: list[str] = []
        self._control: list[Component] = []
        self._data: list[Component] = []
        self._model = _model("interpreter", model, {"interpreter": True})

    def _check(self) -> None:
        names = [step.name for step in self._workflow.steps]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if not names:
            raise AgentSpecError(f"workflow {self._workflow.name!r} has no steps, and a flow has at least one")
        if twice:
            raise AgentSpecError(f"two steps are called {twice[0]!r}", hint="autoflow lint says where")
        for step in self._workflow.steps:
            named = [*step.targets(), *(step.reads or ()), *references(step.instruction)]
            named += [step.for_each] if step.for_each is not None else []
            missing = [name for name in named if name not in names and name != TASK]
            if missing:
                raise AgentSpecError(
                    f"step {step.name!r} names {missing[0]!r}, which does not exist", hint="autoflow lint says where"
                )
            if (step.type == "process") != (step.next is not None) or (step.type == "decision") != bool(step.branches):
                raise AgentSpecError(
                    f"{step.type} {step.name!r} has no way on, or one that it cannot take",
                    hint="autoflow lint says what is missing",
                )

    def flow(self) -> Component:
        task = {"title": TASK, "type": "string"}
        start = self._add("start", "StartNode", "start", inputs=[task], outputs=[task], branches=["next"])
        for number, step in enumerate(self._workflow.steps, 1):
            self._step(number, step)
        self._edge(start, self._first(self._workflow.entry.name))
        for number, step in enumerate(self._workflow.steps, 1):
            self._exits(number, step)
        metadata: dict[str, Json] = {"format": 1}
        if self._workflow.inputs is not None:
            metadata["inputs"] = list(self._workflow.inputs)
        return {
            "component_type": "Flow",
            "id": "flow",
            "name": self._workflow.name,
            "description": self._workflow.description,
            "metadata": {META: metadata},
            "inputs": [task],
            "outputs": [{"title": ANSWER}],
            "start_node": {"$component_ref": start},
            "nodes": [{"$component_ref": name} for name in self._order],
            "control_flow_connections": self._control,
            "data_flow_connections": self._data,
            "$referenced_components": {"interpreter": self._model, **self._components},
            "agentspec_version": VERSION,
        }

    # -- nodes

    def _step(self, number: int, step: Step) -> None:
        identity = f"step-{number}"
        if _bare(step):
            extra = _left_over(step, ("instruction",))
            self._end(identity, step.name, {"step": True, **extra})
            for source in self._last(step):
                self._feed(source, identity, ANSWER)
            return
        if step.for_each is not None:
            self._map(identity, step, step.for_each)
        else:
            inputs = self._inputs(step)
            node = self._work(identity, step, inputs)
            self._add(identity, **node)
            self._connect(identity, inputs)
        if step.type == "decision":
            self._branching(identity, step)
        if step.type == "terminal":
            self._end(f"{identity}-end", f"{step.name}: end", {"of": identity})
            self._edge(identity, f"{identity}-end")
            self._data_edge(identity, self._output(step), f"{identity}-end", ANSWER)

    def _work(self, identity: str, step: Step, inputs: Mapping[str, str | None], item: bool = False) -> Component:
        """The node that carries the step out."""
        # A text is what a node without a schema leaves as well.
        stated = {key: value for key, value in (step.output or {}).items() if key != "description"}
        plain = step.operator == DEFAULT_OPERATOR and stated == {"type": "string"}
        said = step.output is not None and sayable(step.output) and not plain
        carried = ("instruction", *(("output",) if said else ()))
        if step.operator != DEFAULT_OPERATOR:
            return self._tool(identity, step, inputs, step.output if said else None)
        shown = [(name, self._titles[name]) for name in self._shown(step)]
        text, fixed = prompt(step, shown, self._input_titles(step))
        properties = [{"title": title, "type": "string", "default": ""} for title in inputs]
        properties[0] = {"title": TASK, "type": "string"}
        if item:
            # All of a mapped step's inputs come from its own start.
            properties = [{"title": title, "type": "string"} for title in inputs]
        properties += [{"title": title, "type": "string", "default": value} for title, value in fixed.items()]
        output: Component = {"title": RESULT, "type": "string"}
        if step.type == "decision":
            output["enum"] = list(step.branches)
        elif said:
            assert step.output is not None  # noqa: S101
            output = {"title": RESULT, **step.output}
        elif step.output is not None:
            output = {"title": RESULT}
        return {
            "component_type": "LlmNode",
            "name": step.name,
            "metadata": {META: {"instruction": step.instruction, **_left_over(step, (*carried, "model"))}},
            "inputs": properties,
            "outputs": [output],
            "branches": ["next"],
            "llm_config": self._llm(identity, step),
            "prompt_template": text,
        }

    def _tool(
        self, identity: str, step: Step, inputs: Mapping[str, str | None], output: Mapping[str, Json] | None
    ) -> Component:
        card = self._cards.get(step.operator)
        about = "" if card is None else card.description
        properties: list[Component] = [{"title": title} for title in inputs]
        properties += [
            {"title": INSTRUCTION, "type": "string", "default": step.instruction},
            {"title": PARAMETERS, "default": dict(step.parameters)},
        ]
        outputs = [{"title": RESULT, **(output or {})}]
        if step.type == "decision":
            outputs = [{"title": RESULT, "type": "string", "enum": list(step.branches)}]
        carried = ("instruction", "parameters", *(("output",) if output is not None else ()))
        return {
            "component_type": "ToolNode",
            "name": step.name,
            "metadata": {META: _left_over(step, carried)},
            "inputs": properties,
            "outputs": outputs,
            "branches": ["next"],
            "tool": {
                "component_type": "ServerTool",
                "id": f"{identity}-tool",
                "name": step.operator,
                "description": about,
                "metadata": {},
                "inputs": properties,
                "outputs": outputs,
                "requires_confirmation": False,
            },
        }

    def _map(self, identity: str, step: Step, source: str) -> None:
        """A node that runs the step on each item: the subflow has the step alone."""
        inputs = self._inputs(step)
        titles = [TASK, *(title for title in inputs if title != TASK)]
        start, work, end = f"{identity}-start", f"{identity}-item", f"{identity}-stop"
        types = [{"title": title, "type": "string"} for title in titles]
        node = self._work(work, step, inputs, item=True)
        if node["component_type"] == "ToolNode":
            types = [{"title": title} for title in titles]
        output = dict(node["outputs"][0])
        metadata = node["metadata"]
        node["metadata"] = {}
        self._components[start] = _component(
            start, "StartNode", "start", inputs=types, outputs=types, branches=["next"]
        )
        self._components[work] = _component(work, **node)
        self._components[end] = _component(
            end, "EndNode", "end", inputs=[output], outputs=[output], branches=[], branch_name="next"
        )
        subflow = {
            "component_type": "Flow",
            "id": f"{identity}-flow",
            "name": step.name,
            "description": None,
            "metadata": {},
            "inputs": types,
            "outputs": [output],
            "start_node": {"$component_ref": start},
            "nodes": [{"$component_ref": name} for name in (start, work, end)],
            "control_flow_connections": [_control(start, work), _control(work, end)],
            "data_flow_connections": [
                *(_data(start, title, work, title) for title in titles),
                _data(work, RESULT, end, RESULT),
            ],
        }
        self._add(
            identity,
            "ParallelMapNode",
            step.name,
            metadata={META: {**metadata[META], "for_each": source}},
            inputs=[
                {"title": f"iterated_{kind['title']}", "anyOf": [kind, {"type": "array", "items": kind}]}
                for kind in types
            ],
            outputs=[{"title": f"collected_{RESULT}", "type": "array", "items": output}],
            branches=["next"],
            subflow=subflow,
            reducers={RESULT: "append"},
        )
        self._connect(identity, {f"iterated_{title}": inputs[title] for title in titles})

    def _branching(self, identity: str, step: Step) -> None:
        branches = {label: _branch(label) for label in step.branches}
        self._add(
            f"{identity}-branch",
            "BranchingNode",
            f"{step.name}: branch",
            inputs=[{"title": KEY, "type": "string", "description": "Next branch name in the flow"}],
            outputs=[],
            branches=sorted({*branches.values(), DEFAULT_BRANCH}),
            mapping=branches,
        )
        self._edge(identity, f"{identity}-branch")
        self._data_edge(identity, RESULT, f"{identity}-branch", KEY)

    def _end(self, identity: str, name: str, meta: Mapping[str, Json]) -> None:
        answer = {"title": ANSWER, "default": None} if meta.get("unmatched") else {"title": ANSWER}
        self._add(
            identity,
            "EndNode",
            name,
            metadata={META: dict(meta)},
            inputs=[answer],
            outputs=[answer],
            branches=[],
            branch_name="unmatched" if meta.get("unmatched") else "next",
        )

    def _add(self, identity: str, component_type: str, name: str, **fields: Any) -> str:
        self._components[identity] = _component(identity, component_type, name, **fields)
        self._order.append(identity)
        return identity

    def _llm(self, identity: str, step: Step) -> Component:
        if step.model is None:
            return {"$component_ref": "interpreter"}
        return {"id": f"{identity}-model", **_model(step.model, step.model, {"model": step.model}, f"{identity}-model")}

    # -- what a step reads

    def _shown(self, step: Step) -> list[str]:
        """The steps whose results stand before the instruction: those it reads; else all that can have run."""
        if step.reads is not None:
            return [item.name for item in self._workflow.steps if item.name in step.reads]
        number = self._program.index[step.name]
        before = closure(self._program.predecessors[number], self._program.predecessors)
        return [item.name for index, item in enumerate(self._workflow.steps) if index in before]

    def _input_titles(self, step: Step) -> dict[str, str]:
        titles = {TASK: TASK, **self._titles}
        if step.for_each is not None:
            titles[step.for_each] = "item"
        return titles

    def _inputs(self, step: Step) -> dict[str, str | None]:
        """Title of each input -> the step whose result it is; `None`: the task."""
        titles = self._input_titles(step)
        found: dict[str, str | None] = {TASK: None}
        for name in self._shown(step):
            found[self._titles[name]] = name
        for name in references(step.instruction):
            if name != TASK:
                found[titles[name]] = name
        if step.for_each is not None:
            found["item"] = step.for_each
        return found

    def _last(self, step: Step) -> list[str]:
        """The steps whose result a terminal without an instruction may answer."""
        if step.reads is not None:
            return [item.name for item in self._workflow.steps if item.name in step.reads]
        return [
            self._workflow.steps[index].name for index in self._program.predecessors[self._program.index[step.name]]
        ]

    def _connect(self, identity: str, inputs: Mapping[str, str | None]) -> None:
        for title, source in inputs.items():
            if source is None:
                self._data_edge("start", TASK, identity, title)
            else:
                self._feed(source, identity, title)

    def _feed(self, source: str, target: str, title: str) -> None:
        step = self._workflow.step(source)
        if not _bare(step):
            self._data_edge(self._first(source), self._output(step), target, title)

    def _output(self, step: Step) -> str:
        return f"collected_{RESULT}" if step.for_each is not None else RESULT

    # -- edges

    def _first(self, name: str) -> str:
        return f"step-{self._program.index[name] + 1}"

    def _exits(self, number: int, step: Step) -> None:
        identity = f"step-{number}"
        if step.type == "process":
            assert step.next is not None  # noqa: S101
            self._edge(identity, self._first(step.next))
        elif step.type == "decision":
            for label, target in step.branches.items():
                self._edge(f"{identity}-branch", self._first(target), _branch(label))
            if step.otherwise is None:
                self._end(f"{identity}-unmatched", f"{step.name}: unmatched", {"unmatched": True})
                self._edge(f"{identity}-branch", f"{identity}-unmatched", DEFAULT_BRANCH)
            else:
                self._edge(f"{identity}-branch", self._first(step.otherwise), DEFAULT_BRANCH)

    def _edge(self, source: str, target: str, branch: str | None = None) -> None:
        self._control.append(_control(source, target, branch))

    def _data_edge(self, source: str, output: str, target: str, title: str) -> None:
        self._data.append(_data(source, output, target, title))


def _bare(step: Step) -> bool:
    """A terminal that answers the last result that it reads."""
    return (
        step.type == "terminal"
        and not step.instruction.strip()
        and step.operator == DEFAULT_OPERATOR
        and step.for_each is None
    )


def _left_over(step: Step, said: Sequence[str]) -> dict[str, Json]:
    """What the node itself does not say."""
    found: dict[str, Json] = {}
    if step.type == "process" and step.otherwise is not None:
        found["otherwise"] = step.otherwise
    if step.reads is not None:
        found["reads"] = list(step.reads)
    for key in ("max_visits", "timeout_s", "model", "output"):
        if getattr(step, key) is not None and key not in said:
            found[key] = getattr(step, key)
    if "instruction" not in said or (_bare(step) and step.instruction):
        found["instruction"] = step.instruction
    if step.parameters and "parameters" not in said:
        found["parameters"] = dict(step.parameters)
    if step.type == "terminal" and step.otherwise is not None:
        found["otherwise"] = step.otherwise
    return found


def _titles(workflow: Workflow) -> dict[str, str]:
    """A title for the result of each step that Agent Spec takes as a name, no two equal."""
    found: dict[str, str] = {}
    for step in workflow.steps:
        stem = f"result_of_{re.sub(r'[^A-Za-z0-9]+', '_', step.name).strip('_').lower()}".rstrip("_")
        title, number = stem, 1
        while title in found.values():
            number += 1
            title = f"{stem}_{number}"
        found[step.name] = title
    return found


def _branch(label: str) -> str:
    return label if label != DEFAULT_BRANCH else f"{label} (label)"


def _model(name: str, spec: str, meta: Mapping[str, Json], identity: str = "interpreter") -> Component:
    provider, slash, model = spec.partition("/")
    return _component(
        identity,
        "LlmConfig",
        name,
        metadata={META: dict(meta)},
        model_id=model if slash else spec,
        api_provider=provider if slash else None,
    )


def _component(identity: str, component_type: str, name: str, **fields: Any) -> Component:
    return {
        "component_type": component_type,
        "id": identity,
        "name": name,
        "description": None,
        **({} if "metadata" in fields else {"metadata": {}}),
        **fields,
    }


def _control(source: str, target: str, branch: str | None = None) -> Component:
    return _component(
        f"{source} to {target}" + (f" by {branch}" if branch is not None else ""),
        "ControlFlowEdge",
        f"{source} to {target}",
        from_node={"$component_ref": source},
        from_branch=branch,
        to_node={"$component_ref": target},
    )


def _data(source: str, output: str, target: str, title: str) -> Component:
    return _component(
        f"{source} {output} to {target} {title}",
        "DataFlowEdge",
        f"{source} {output} to {target} {title}",
        source_node={"$component_ref": source},
        source_output=output,
        destination_node={"$component_ref": target},
        destination_input=title,
    )
