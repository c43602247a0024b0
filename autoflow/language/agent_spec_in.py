"""An Open Agent Spec flow as a workflow: our own flows without loss, others as far as a workflow can say them.

The nodes and edges are what is read; our metadata adds what they cannot say, and gives way where somebody has changed
a prompt or an edge since. What a workflow has no step for is an error that names the node; what is left out is a note.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, cast

from autoflow.core.json import Json
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.errors import AgentSpecError
from autoflow.language import agent_spec_out as out
from autoflow.language.agent_spec_out import INSTRUCTION, KEY, META, PARAMETERS, PLACEHOLDER, Component
from autoflow.language.nodes import compose, decode
from autoflow.language.references import TASK, escape, insertable, references

NODES = ("StartNode", "LlmNode", "ToolNode", "BranchingNode", "EndNode", "MapNode", "ParallelMapNode")
_MAPS = ("MapNode", "ParallelMapNode")

_SHAPES: Mapping[str, type] = {
    "name": str,
    "description": str,
    "metadata": dict,
    "inputs": list,
    "outputs": list,
    "nodes": list,
    "control_flow_connections": list,
    "data_flow_connections": list,
    "prompt_template": str,
    "mapping": dict,
    "reducers": dict,
    "from_branch": str,
    "tool": dict,
    "subflow": dict,
}
_META_SHAPES: Mapping[str, Any] = {
    "instruction": str,
    "reads": list,
    "max_visits": int,
    "otherwise": str,
    "timeout_s": int | float,
    "model": str,
    "output": dict,
    "parameters": dict,
    "for_each": str,
    "inputs": list,
}


@dataclass(frozen=True, slots=True)
class AgentSpecImport:
    """What was made of a flow."""

    workflow: Workflow
    notes: tuple[str, ...]
    """What was left out or taken otherwise, a line each."""


def from_agent_spec(text: str | bytes, file: str | None = None) -> AgentSpecImport:
    """Read a flow, as JSON or as YAML.

    Raises:
        AgentSpecError: If the text is no flow, or the flow says what no workflow can.
        WorkflowError: If the text is no text (see `autoflow.language.nodes.decode`).
    """
    reader = _Reader(_flow(_parsed(decode(text, file), file), file), file)
    workflow = reader.workflow()
    if not reader.ours:
        return AgentSpecImport(workflow, tuple(dict.fromkeys(reader.notes)))
    again = _Reader(out.to_agent_spec(workflow), file)
    again.workflow()
    # Where prompt or edges are not what the metadata would give, somebody has changed them: they hold.
    steps = tuple(
        step if reader.wiring.get(step.name) == again.wiring.get(step.name) else reader.rewired(step)
        for step in workflow.steps
    )
    return AgentSpecImport(replace(workflow, steps=steps), tuple(dict.fromkeys(reader.notes)))


def _parsed(text: str, file: str | None) -> Any:
    import yaml

    try:
        if text.lstrip().startswith("{"):
            return json.loads(text)
        # Bounds depth and what aliases stand for, as for a workflow's own file.
        compose(text, file)
        return yaml.safe_load(text)
    except RecursionError as error:
        raise AgentSpecError("the text is nested too deep", file=file) from error
    except (ValueError, yaml.YAMLError) as error:
        raise AgentSpecError(f"the text is neither JSON nor YAML: {error}", file=file) from error


def _flow(value: Any, file: str | None) -> Component:
    kind = value.get("component_type") if isinstance(value, dict) else None
    if kind != "Flow":
        raise AgentSpecError(
            f"the text is no Agent Spec flow but {'a component of type ' + str(kind) if kind else 'something else'}",
            file=file,
            hint="an agent has no steps of its own; name the file of a flow",
        )
    return cast("Component", value)


@dataclass(slots=True)
class _Wiring:
    """What the flow itself says of a step's inputs."""

    prompt: str | None = None
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Title of an input -> the steps it comes from; `task` for the task."""

    fixed: dict[str, Json] = field(default_factory=dict)
    """Title of an input that nothing is connected to -> its default."""


class _Reader:
    def __init__(self, flow: Component, file: str | None) -> None:
        self._file = file
        self._flow = flow
        self._known = {item["id"]: item for item in _components(flow)}
        for item in self._known.values():
            self._check(item)
        self._nodes = self._of(flow)
        self._control, self._data = self._edges(flow)
        self.notes: list[str] = []
        self.wiring: dict[str, _Wiring] = {}
        self.ours = isinstance(_meta(flow).get("format"), int)
        self._owner: dict[str, str] = {}
        self._names: dict[str, str] = {}

    # -- the whole

    def workflow(self) -> Workflow:
        """The workflow by nodes, edges and metadata."""
        start = self._resolved(self._flow.get("start_node"))
        inputs = [item.get("title") for item in _properties(start, "inputs")]
        if len(inputs) > 1:
            self._fail(
                f"the flow takes {len(inputs)} inputs ({', '.join(map(str, inputs))}); a workflow takes one task"
            )
        self._merge()
        self._name()
        first = self._only_way(start)
        if first not in self._names:
            self._fail("the flow begins with no step")
        order = [first, *(identity for identity in self._names if identity != first)]
        steps = tuple(self._step(self._nodes[identity]) for identity in order)
        types = _meta(self._flow).get("inputs")
        return Workflow(
            name=str(self._flow.get("name") or "flow"),
            steps=steps,
            description=str(self._flow.get("description") or ""),
            inputs=None if types is None else tuple(map(str, types)),
        )

    def _merge(self) -> None:
        """Find the nodes that belong to the node before them: a decision's branches, a terminal's end."""
        for identity, node in self._nodes.items():
            before = [source for source, ways in self._control.items() for _, target in ways if target == identity]
            if node["component_type"] == "EndNode":
                meta = _meta(node)
                if meta.get("unmatched") is True:
                    self._owner[identity] = ""
                elif before == [meta.get("of")] and len(self._control[before[0]]) == 1:
                    self._owner[identity] = before[0]
            elif node["component_type"] == "BranchingNode":
                read = {source for source, _ in self._data.get((identity, self._key(node)), ())}
                alone = len(before) == 1 and len(self._control[before[0]]) == 1
                if (
                    alone
                    and read == set(before)
                    and self._nodes[before[0]]["component_type"] in ("LlmNode", "ToolNode")
                ):
                    self._owner[identity] = before[0]

    def _name(self) -> None:
        taken: set[str] = set()
        for identity, node in self._nodes.items():
            if node["component_type"] == "StartNode" or identity in self._owner:
                continue
            wanted = name = str(node.get("name") or identity)
            number = 1
            while name in taken:
                number += 1
                name = f"{wanted} {number}"
            if name != wanted:
                self.notes.append(f"a second node {wanted!r} is called {name!r}")
            taken.add(name)
            self._names[identity] = name

    # -- steps

    def _step(self, node: Component) -> Step:
        kind = node["component_type"]
        if node.get("description"):
            self.notes.append(f"the description of node {self._named(node)} is left out")
        if kind == "EndNode":
            return self._terminal(node)
        if kind == "BranchingNode":
            return self._by_value(node)
        step = self._mapped(node) if kind in _MAPS else self._worked(node, node, self._sources(node))
        identity = node["id"]
        owned = [self._nodes[item] for item, owner in self._owner.items() if owner == identity]
        ends = [item for item in owned if item["component_type"] == "EndNode"]
        ways = [item for item in owned if item["component_type"] == "BranchingNode"]
        if ends:
            return replace(step, type="terminal")
        if ways:
            # Its labels, which the node states as its output, are the branches.
            return replace(step, type="decision", output=_meta(node).get("output"), **self._branches(ways[0], node))
        return replace(step, next=self._target(self._only_way(node), node))

    def _worked(self, node: Component, outer: Component, sources: _Wiring) -> Step:
        """The step of a node that works; `outer` is the map around it, or itself."""
        meta, name = _meta(outer), self._names[outer["id"]]
        ours = self.ours and META in (outer.get("metadata") or {})
        outputs = _properties(node, "outputs")
        if len(outputs) != 1:
            self._fail(f"node {self._named(node)} has {len(outputs)} outputs; a step has one result")
        self.wiring[name] = sources
        step = Step(
            name,
            "process",
            output=meta["output"] if "output" in meta else _schema(outputs[0], node["component_type"] == "LlmNode"),
            max_visits=meta.get("max_visits"),
            otherwise=self._meant(meta.get("otherwise"), outer),
            timeout_s=meta.get("timeout_s"),
            reads=self._reads(meta, outer),
        )
        if node["component_type"] == "LlmNode":
            sources.prompt = str(node.get("prompt_template", ""))
            step = replace(step, model=self._model(node), parameters=meta.get("parameters", {}))
            sentence = meta.get("instruction")
            known = {TASK, *self._names.values()}
            if ours and isinstance(sentence, str) and set(references(sentence)) <= known:
                return replace(step, instruction=sentence)
            return self.rewired(step)
        tool = self._resolved(node.get("tool"))
        step = replace(step, operator=str(tool.get("name")), model=meta.get("model"))
        if tool.get("requires_confirmation"):
            self.notes.append(
                f"tool {step.operator!r} asked for confirmation; `autoflow run --step` asks before each step"
            )
        if ours:
            given = sources.fixed.get(PARAMETERS)
            return replace(
                step,
                instruction=str(sources.fixed.get(INSTRUCTION, "")),
                parameters=given if isinstance(given, Mapping) else {},
            )
        self.notes.append(f"step {name!r} needs an operator called {step.operator!r}")
        return replace(
            step,
            instruction=escape(str(tool.get("description") or f"Run {step.operator}.")),
            parameters=sources.fixed,
            reads=self._read_by(sources),
        )

    def rewired(self, step: Step) -> Step:
        """The step as the flow's own prompt and edges say, whatever the metadata does."""
        wiring = self.wiring[step.name]
        if wiring.prompt is None:
            if self.ours:
                self.notes.append(f"what step {step.name!r} reads was changed since the flow was exported")
            read = self._read_by(wiring)
            return replace(
                step, reads=read if step.type != "terminal" or step.operator != DEFAULT_OPERATOR else read or None
            )
        if self.ours:
            self.notes.append(
                f"the prompt of step {step.name!r} was changed since the flow was exported; taken as it is"
            )
        parts, position = [], 0
        for match in PLACEHOLDER.finditer(wiring.prompt):
            parts += [escape(wiring.prompt[position : match.start()]), self._inserted(step, wiring, match[1])]
            position = match.end()
        return replace(step, instruction="".join([*parts, escape(wiring.prompt[position:])]), reads=())

    def _inserted(self, step: Step, wiring: _Wiring, title: str) -> str:
        sources = wiring.sources.get(title, ())
        if not sources and title in wiring.fixed:
            return escape(str(wiring.fixed[title]))
        if len(sources) != 1:
            how = "nothing is connected to it" if not sources else f"it comes from {', '.join(map(repr, sources))}"
            self._fail(f"input {title!r} of node {step.name!r}: {how}; a step inserts one result")
        if sources[0] != TASK and not insertable(sources[0]):
            self._fail(f"node {step.name!r} reads {sources[0]!r}, whose name cannot be inserted", "rename that node")
        return f"$({sources[0]})"

    def _mapped(self, node: Component) -> Step:
        """The step that a map runs on each item."""
        subflow = self._resolved(node.get("subflow"))
        inner = self._of(subflow)
        _, data = self._edges(subflow)
        kinds = [item["component_type"] for item in inner.values()]
        work = [item for item in inner.values() if item["component_type"] in ("LlmNode", "ToolNode")]
        if (
            sorted(kinds) != sorted(["StartNode", "EndNode", *(item["component_type"] for item in work)])
            or len(work) != 1
        ):
            self._fail(f"map {self._named(node)} runs more than one step on each item; a workflow runs one")
        if any(method not in ("append", "APPEND") for method in (node.get("reducers") or {}).values()):
            self._fail(f"map {self._named(node)} reduces its results; a workflow keeps them as a list")
        if node["component_type"] == "MapNode":
            self.notes.append(f"map {self._named(node)} runs its items side by side")
        outer, sources = self._sources(node), _Wiring(fixed=_defaults(work[0]))
        for (target, title), origins in data.items():
            if target != work[0]["id"]:
                continue
            for _, given in origins:
                sources.sources[title] = outer.sources.get(f"iterated_{given}", ())
                sources.fixed.pop(title, None)
        for title in sources.fixed:
            sources.sources.pop(title, None)
        over = _meta(node).get("for_each")
        if over is None:
            lists = {origin for origins in outer.sources.values() for origin in origins if origin != TASK}
            if len(lists) != 1:
                self._fail(f"map {self._named(node)} goes over {len(lists)} lists; a workflow's step goes over one")
            over = lists.pop()
        step = self._worked(work[0], node, sources)
        return replace(step, for_each=self._meant(over, node))

    def _by_value(self, node: Component) -> Step:
        """A decision that no model is asked for: code reads the value off."""
        wiring = self._sources(node)
        sources = wiring.sources.get(self._key(node), ())
        if len(sources) != 1 or sources[0] == TASK:
            self._fail(f"node {self._named(node)} branches by what is no result of one step")
        name = self._names[node["id"]]
        self.wiring[name] = wiring
        return Step(
            name,
            "decision",
            f"Which way does the result of {sources[0]} lead?",
            operator="python",
            parameters={"code": f"def run(results):\n    return str(results[{sources[0]!r}])\n"},
            reads=(sources[0],),
            **self._branches(node, None),
        )

    def _terminal(self, node: Component) -> Step:
        """An end that answers what it is given."""
        name, meta, wiring = self._names[node["id"]], _meta(node), self._sources(node)
        self.wiring[name] = wiring
        if len(_properties(node, "inputs")) > 1:
            self._fail(f"end {self._named(node)} has several outputs; a workflow has one answer")
        step = Step(
            name,
            "terminal",
            instruction=str(meta.get("instruction", "")),
            parameters=meta.get("parameters", {}),
            reads=self._reads(meta, node),
            output=meta.get("output"),
            model=meta.get("model"),
            max_visits=meta.get("max_visits"),
            otherwise=self._meant(meta.get("otherwise"), node),
            timeout_s=meta.get("timeout_s"),
        )
        if meta.get("step") is True:
            return step
        if node.get("branch_name") not in (None, "next"):
            self.notes.append(
                f"end {self._named(node)} closed the branch {node['branch_name']!r}: read it off the step"
            )
        read = self._read_by(wiring)
        if TASK in {source for sources in wiring.sources.values() for source in sources}:
            self._fail(f"end {self._named(node)} answers the flow's own input; a workflow answers a result")
        return replace(step, reads=read or None)

    # -- parts of steps

    def _branches(self, node: Component, before: Component | None) -> dict[str, Any]:
        ways = {branch or "next": target for branch, target in self._control.get(node["id"], ())}
        mapping = node.get("mapping") or {}
        labels = list(mapping)
        if before is not None:
            stated = _properties(before, "outputs")[0].get("enum")
            # JSON objects have no order of their own; the model is shown the labels in this one.
            if isinstance(stated, list) and len(stated) == len(labels) and all(label in stated for label in labels):
                labels = stated
        missing = [label for label in labels if mapping[label] not in ways]
        if missing:
            self._fail(f"branch {mapping[missing[0]]!r} of node {self._named(node)} leads nowhere")
        default = ways.get(out.DEFAULT_BRANCH)
        unmatched = default is None or self._owner.get(default) == ""
        return {
            "branches": {label: self._target(ways[mapping[label]], node) for label in labels},
            "otherwise": None if unmatched else self._target(str(default), node),
        }

    def _model(self, node: Component) -> str | None:
        config = self._resolved(node.get("llm_config"), optional=True)
        if _meta(config).get("interpreter") is True:
            return None
        spec = str(config.get("model_id") or config.get("name") or config["id"])
        provider = config.get("api_provider") or {"OpenAiConfig": "openai"}.get(str(config.get("component_type")))
        if provider:
            spec = f"{provider}/{spec}"
        if "model" in _meta(config):
            return spec
        if config.get("default_generation_parameters"):
            self.notes.append(f"how {spec} draws is left out: --temperature and --max-tokens say it")
        if self._alone(config):
            self.notes.append(f"the flow's model is {spec}: name it by --interpreter")
            return None
        return spec

    def _alone(self, config: Component) -> bool:
        """Whether every node that asks a model asks this one."""
        nodes = [node for node in _components(self._flow) if node.get("component_type") == "LlmNode"]
        return len({self._resolved(node.get("llm_config"), optional=True)["id"] for node in nodes}) == 1

    def _reads(self, meta: Mapping[str, Any], node: Component) -> tuple[str, ...] | None:
        if "reads" not in meta:
            return None
        return tuple(str(self._meant(name, node)) for name in meta["reads"])

    def _read_by(self, wiring: _Wiring) -> tuple[str, ...]:
        names = [name for sources in wiring.sources.values() for name in sources if name != TASK]
        return tuple(dict.fromkeys(names))

    def _meant(self, name: Any, node: Component) -> str | None:
        """A step that the metadata names, which must be there."""
        if name is not None and name not in self._names.values():
            self._fail(
                f"the metadata of node {self._named(node)} names {name!r}, which is no node",
                "a node was renamed or deleted: put its new name into metadata.autoflow",
            )
        return cast("str | None", name)

    # -- the graph

    def _of(self, flow: Component) -> dict[str, Component]:
        found = {}
        for item in flow.get("nodes") or ():
            node = self._resolved(item)
            if node.get("component_type") not in NODES:
                self._fail(
                    f"node {self._named(node)} is of type {node.get('component_type')}; a workflow has steps for: "
                    + ", ".join(NODES),
                )
            found[str(node["id"])] = node
        return found

    def _edges(
        self, flow: Component
    ) -> tuple[dict[str, list[tuple[str | None, str]]], dict[tuple[str, str], list[tuple[str, str]]]]:
        control: dict[str, list[tuple[str | None, str]]] = {}
        data: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for item in flow.get("control_flow_connections") or ():
            edge = self._resolved(item)
            source, target = self._resolved(edge.get("from_node")), self._resolved(edge.get("to_node"))
            control.setdefault(source["id"], []).append((edge.get("from_branch"), target["id"]))
        for item in flow.get("data_flow_connections") or ():
            edge = self._resolved(item)
            source, target = self._resolved(edge.get("source_node")), self._resolved(edge.get("destination_node"))
            key = (target["id"], str(edge.get("destination_input")))
            data.setdefault(key, []).append((source["id"], str(edge.get("source_output"))))
        return control, data

    def _sources(self, node: Component) -> _Wiring:
        found = _Wiring(fixed=_defaults(node))
        for (target, title), origins in self._data.items():
            if target == node["id"]:
                found.sources[title] = tuple(dict.fromkeys(self._source(origin, node) for origin, _ in origins))
                found.fixed.pop(title, None)
        return found

    def _source(self, identity: str, node: Component) -> str:
        if self._nodes.get(identity, {}).get("component_type") == "StartNode":
            return TASK
        if identity not in self._names:
            self._fail(f"node {self._named(node)} reads from {identity!r}, which leaves no result")
        return self._names[identity]

    def _only_way(self, node: Component) -> str:
        ways = self._control.get(node["id"], [])
        if len(ways) != 1:
            self._fail(f"node {self._named(node)} has {len(ways)} ways on, and should have one")
        return ways[0][1]

    def _target(self, identity: str, node: Component) -> str:
        if identity not in self._names:
            self._fail(f"node {self._named(node)} leads to {identity!r}, where no step begins")
        return self._names[identity]

    def _key(self, node: Component) -> str:
        titles = [str(item.get("title")) for item in _properties(node, "inputs")]
        return titles[0] if titles else KEY

    def _check(self, component: Component) -> None:
        """Refuse what is not of the type that the format states: everything else here relies on it."""
        meta = _meta(component)
        wrong = [key for key, kind in _SHAPES.items() if not isinstance(component.get(key), kind | None)]
        wrong += [key for key, kind in _META_SHAPES.items() if key in meta and not isinstance(meta[key], kind)]
        for key in ("inputs", "outputs"):
            items = component.get(key) if key not in wrong else None
            if not all(isinstance(item, dict) and isinstance(item.get("title"), str) for item in items or ()):
                wrong.append(key)
        if any(not isinstance(item, str) for key in ("mapping",) for item in _items(component.get(key))):
            wrong.append("mapping")
        if any(not isinstance(name, str) for name in _items(meta.get("reads"))):
            wrong.append("metadata.autoflow.reads")
        if wrong:
            self._fail(f"component {self._named(component)}: {wrong[0]} is not what Agent Spec has there")

    def _resolved(self, value: Any, *, optional: bool = False) -> Component:
        if isinstance(value, dict) and "$component_ref" in value:
            identity = value["$component_ref"]
            if isinstance(identity, str) and identity in self._known:
                return self._known[identity]
            if optional:
                return {"id": str(identity), "name": str(identity)}
            self._fail(f"the component {identity!r} is not in the file", "export the flow with all of its components")
        if not isinstance(value, dict) or not isinstance(value.get("id"), str):
            self._fail(f"a component is missing where the flow needs one, or has no id: {str(value)[:80]}")
        return cast("Component", value)

    def _named(self, node: Component) -> str:
        return repr(node.get("name") or node.get("id"))

    def _fail(self, message: str, hint: str | None = None) -> NoReturn:
        raise AgentSpecError(message, file=self._file, hint=hint)


def _components(value: Any) -> Iterator[Component]:
    """Every component that stands in the value, each once, however often YAML aliases repeat it."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, dict | list) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict) and "component_type" in item and isinstance(item.get("id"), str):
            yield item
        waiting += item.values() if isinstance(item, dict) else item


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _meta(component: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = component.get("metadata")
    found = metadata.get(META) if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _properties(node: Mapping[str, Any], key: str) -> Sequence[Component]:
    return [item for item in node.get(key) or () if isinstance(item, dict)]


def _defaults(node: Component) -> dict[str, Json]:
    given = [*_properties(node.get("tool") or {}, "inputs"), *_properties(node, "inputs")]
    return {str(item["title"]): item["default"] for item in given if "title" in item and "default" in item}


def _schema(output: Component, text: bool) -> dict[str, Json] | None:
    """The schema of a result; `None`: any."""
    schema = {key: value for key, value in output.items() if key not in ("title", "default")}
    plain = {"type": "string"} if text else {}
    return None if {key: value for key, value in schema.items() if key != "description"} in (plain, {}) else schema
