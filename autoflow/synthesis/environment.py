"""A made-up domain as operators and a scorer, so that workflows over it run and are judged like any other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation, Operator
from autoflow.core.score import Score, Scorer
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import UnknownNameError
from autoflow.synthesis.world import Content, Domain, Goal, Input, Tool, judge


@dataclass(frozen=True, slots=True)
class SymbolicTool:
    """A tool that is named, not run: its effect is known, and the scorer applies it."""

    tool: Tool

    @property
    def card(self) -> Card:
        """Types as the plan machine checks them."""
        return self.tool.card

    async def run(self, call: Invocation) -> Json:
        """One line that stands for the value."""
        return f"[symbolic {self.tool.output}: {self.tool.name} was noted in the plan]"


@dataclass(frozen=True, slots=True)
class PlanScorer:
    """Scores the plan that a workflow's own steps make: the tools they ran, in order (`world.judge`)."""

    domain: Domain
    label: str = "plan score"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the plan of the trace. A step that asks a model, whatever it answers, is no part of a plan."""
        known = {tool.name for tool in self.domain.tools}
        plan = [name for step in trace.steps if step.operator in step.tools for name in step.tools if name in known]
        judged = judge(self.domain, goal_from_json(task.reference), plan)
        shown: list[Json] = list(plan)
        return Score(judged.score, judged.reason, {"plan": shown})


def operators(domain: Domain) -> dict[str, SymbolicTool]:
    """The domain's tools, by name."""
    return {tool.name: SymbolicTool(tool) for tool in domain.tools}


def task(name: str, text: str, goal: Goal) -> Task:
    """A task whose reference is the goal."""
    kinds: list[Json] = [item.type for item in goal.inputs]
    return Task(id=name, text=text, context={"inputs": kinds}, reference=goal_to_json(goal))


# -- as JSON


def goal_to_json(goal: Goal) -> dict[str, Json]:
    """As `Task.reference` keeps it."""
    return {
        "inputs": [{"type": item.type, "defects": list(item.defects)} for item in goal.inputs],
        "content": _content_to_json(goal.content),
        "type": goal.type,
        "form": goal.form,
    }


def goal_from_json(value: Mapping[str, Json]) -> Goal:
    """The inverse of `goal_to_json`."""
    data = cast("dict[str, Any]", value)
    inputs = tuple(Input(item["type"], tuple(item["defects"])) for item in data["inputs"])
    return Goal(inputs, _content_from_json(data["content"]), data["type"], data["form"])


def _content_to_json(content: Content) -> Json:
    return [content[0], [_content_to_json(part) for part in content[1]]] if isinstance(content, tuple) else content


def _content_from_json(value: Any) -> Content:
    return (value[0], tuple(_content_from_json(part) for part in value[1])) if isinstance(value, list) else value


def domain_to_json(domain: Domain) -> dict[str, Json]:
    """As `domains.jsonl` keeps it."""
    return {
        "id": domain.id,
        "tools": [
            {
                "name": tool.name,
                "description": tool.description,
                "inputs": list(tool.inputs),
                "output": tool.output,
                "effect": tool.effect,
                "value": tool.value,
            }
            for tool in domain.tools
        ],
        "forms": dict(domain.forms),
    }


def domain_from_json(value: Mapping[str, Json]) -> Domain:
    """The inverse of `domain_to_json`; keys beside its own are ignored."""
    data = cast("dict[str, Any]", value)
    tools = tuple(Tool(**{**tool, "inputs": tuple(tool["inputs"])}) for tool in data["tools"])
    return Domain(data["id"], tools, data["forms"])


# -- as a benchmark folder

YAML = """\
name: {name}
description: >-
  Plan which operators to apply to what is given, and in which order. A made-up domain.
data: {{python: tasks}}
splits: {splits}
scorer: plan
"""

CODE = '''\
"""A made-up domain, written by `autoflow synthesize`."""

from pathlib import Path

from autoflow.synthesis.environment import DomainFolder

_HERE = DomainFolder(Path(__file__).parent)
tasks, operators, scorer = _HERE.tasks, _HERE.operators, _HERE.scorer
'''


@dataclass(frozen=True, slots=True)
class DomainFolder:
    """What the benchmark folder of a domain answers with."""

    path: Path

    def tasks(self, options: Mapping[str, Json]) -> list[Task]:
        """Its tasks."""
        return [task(item["id"], item["text"], goal_from_json(item["goal"])) for item in self._read()["tasks"]]

    def operators(self, options: Mapping[str, Json]) -> Mapping[str, Operator]:
        """Its tools, symbolic."""
        return operators(self._domain())

    def scorer(self, name: str, options: Mapping[str, Json]) -> Scorer:
        """The plan scorer."""
        if name != "plan":
            raise UnknownNameError("scorer of a made-up domain", name, ["plan"])
        return PlanScorer(self._domain())

    def _domain(self) -> Domain:
        return domain_from_json(self._read()["domain"])

    def _read(self) -> Any:
        return json.loads((self.path / "domain.json").read_text(encoding="utf-8"))


def write_folder(folder: Path, domain: Domain, splits: Mapping[str, Sequence[Task]]) -> None:
    """Write the domain as a benchmark folder: `autoflow bench`, `improve` and `train` take its path."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [{"id": item.id, "text": item.text, "goal": item.reference} for items in splits.values() for item in items]
    content = {"domain": domain_to_json(domain), "tasks": tasks}
    (folder / "domain.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    named = {name: [item.id for item in items] for name, items in splits.items() if items}
    text = YAML.format(name=domain.id, splits=json.dumps(named))
    (folder / "benchmark.yaml").write_text(text, encoding="utf-8")
    (folder / "benchmark.py").write_text(CODE, encoding="utf-8")
