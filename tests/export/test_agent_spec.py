"""A workflow goes to Open Agent Spec and back without loss; another's flow comes in as far as a workflow can say it."""

import contextlib
import copy
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from improvised import Improvised, timeless

from autoflow import resources
from autoflow.benchmarks import loader
from autoflow.cli.main import main
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import AgentSpecError, WorkflowError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.language import document
from autoflow.language.agent_spec_in import from_agent_spec
from autoflow.language.agent_spec_out import PLACEHOLDER, text_of, to_agent_spec
from autoflow.language.lint import check
from autoflow.language.references import references
from autoflow.operators.library import library

FOLDER = resources.folder("workflows")
FILES = sorted(FOLDER.rglob("*.yaml"))
OPERATORS: Mapping[str, Operator] = {**library(), **loader.load("openagi").operators}
CARDS = {name: operator.card for name, operator in OPERATORS.items()}
CODED = "review_until_accepted"
REFERENCE = os.environ.get("AUTOFLOW_AGENTSPEC_PYTHON")


def there_and_back(workflow: Workflow) -> Workflow:
    found = from_agent_spec(text_of(to_agent_spec(workflow, CARDS, model="openai/gpt-5-mini")))
    assert found.notes == ()
    return found.workflow


async def test_round_trip_gives_the_trace_of_the_interpreter_for_every_bundled_workflow() -> None:
    context: dict[str, Any] = {"documents": ["Tea is hot."], "public_tests": ["assert so() == 42"]}
    for file in FILES:
        workflow = document.load(file).workflow
        again = there_and_back(workflow)
        assert again == workflow, file
        if {"python", "programmer", "test"} & {step.operator for step in workflow.steps} and file.stem != CODED:
            continue  # The sandbox takes its time; one such workflow will do.
        task = Task("t", "What is 17 * 23?", context)
        traces = [
            timeless(await Interpreter(Improvised(1), OPERATORS, Settings(seed=0)).run(flow, task))
            for flow in (workflow, again)
        ]
        assert traces[0] == traces[1], file


@pytest.mark.skipif(REFERENCE is None, reason="AUTOFLOW_AGENTSPEC_PYTHON names no Python with the package pyagentspec")
def test_reference_library_reads_every_flow_and_what_it_writes_is_the_same_workflow(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from pyagentspec.serialization import AgentSpecDeserializer as D, AgentSpecSerializer as S\n"
        "for path in map(pathlib.Path, sys.argv[1:]):\n"
        "    component = D().from_json(path.read_text())\n"
        "    path.with_suffix('.json2').write_text(S().to_json(component))\n"
        "    path.with_suffix('.yaml2').write_text(S().to_yaml(component))\n"
    )
    flows = [document.load(file).workflow for file in FILES]
    paths = [tmp_path / f"{number}.json" for number in range(len(flows))]
    for path, flow in zip(paths, flows, strict=True):
        path.write_text(text_of(to_agent_spec(flow, CARDS, model="openai/gpt-5-mini")))
    done = subprocess.run(
        [str(REFERENCE), "-c", program, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for path, flow in zip(paths, flows, strict=True):
        for suffix in (".json2", ".yaml2"):
            found = from_agent_spec(path.with_suffix(suffix).read_bytes())
            assert (found.workflow, found.notes) == (flow, ())


@pytest.mark.parametrize("name", ["summarise_document", "review_until_accepted"])
def test_what_the_reference_library_wrote_is_the_same_workflow(name: str) -> None:
    """`golden/<name>.json`: the flow as pyagentspec 26.3.1 wrote it after reading ours."""
    found = from_agent_spec((Path(__file__).parent / "golden" / f"{name}.json").read_bytes())
    assert found.workflow == document.load(FOLDER / f"{name}.yaml").workflow
    assert found.notes == ()


_words = st.text(st.sampled_from("abXY :,'{}-#\"$()é日._\ue000"), min_size=1, max_size=12)
_names = _words.map(str.strip).filter(lambda text: text not in ("", "task"))
_schemas = st.sampled_from(
    [
        None,
        {"type": "string"},
        {"type": "string", "description": "A word."},
        {"type": "array", "items": {"type": "string", "enum": ["a"]}, "maxItems": 3},
        {"type": "object", "properties": {"a b": {"title": "A. B"}}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"title": "x y", "type": "integer", "default": 3},
    ]
)


@st.composite
def sound_workflows(draw: st.DrawFn) -> Workflow:
    """Steps of every type with every key, each with targets that exist."""
    names = draw(st.lists(_names, min_size=2, max_size=6, unique=True))
    made = []
    for number, name in enumerate(names):
        kind = "terminal" if number == len(names) - 1 else draw(st.sampled_from(["process", "decision"]))
        targets = st.sampled_from(names)
        texts = _words | st.sampled_from(
            ["Use $(task).", "{{ task }} {{x}}", "{{$(task)}}", "$$(x", f"See $({names[0]})"]
        )
        instruction = draw(texts)
        if any(item not in names and item != "task" for item in references(instruction)):
            instruction = "Do it."
        operator = draw(st.sampled_from(["generate", "review", "python", "Image Captioning"]))
        step = Step(
            name,
            kind,  # type: ignore[arg-type]
            instruction,
            operator,
            draw(st.sampled_from([{}, {"temperature": 0.7}, {"code": "def run(results):\n    return 1\n"}])),
            output=None if kind == "decision" else draw(_schemas),
            reads=draw(st.none() | st.lists(targets, max_size=2, unique=True).map(tuple)),
            max_visits=draw(st.none() | st.integers(1, 9)),
            otherwise=draw(st.none() | targets),
            model=draw(st.none() | st.sampled_from(["openai/a", "local/b/c", "d"])),
            timeout_s=draw(st.none() | st.sampled_from([1, 2.5])),
            for_each=None if kind == "decision" else draw(st.none() | targets),
            next=draw(targets) if kind == "process" else None,
            branches={}
            if kind != "decision"
            else draw(st.dictionaries(_words | st.just("default"), targets, min_size=2)),
        )
        made.append(step)
    if draw(st.booleans()):
        made[-1] = Step(names[-1], "terminal", reads=made[-1].reads)
    return Workflow(draw(_words), tuple(made), draw(_words), draw(st.none() | st.just(("image",))))


@settings(deadline=None, max_examples=40)
@given(sound_workflows())
def test_any_sound_workflow_comes_back_as_it_went(workflow: Workflow) -> None:
    assert there_and_back(workflow) == workflow


@settings(deadline=None, max_examples=40)
@given(sound_workflows())
def test_prompts_insert_what_is_connected_and_nothing_else(workflow: Workflow) -> None:
    flow = to_agent_spec(workflow)
    fed = {
        (edge["destination_node"]["$component_ref"], edge["destination_input"])
        for edge in flow["data_flow_connections"]
    }
    for identity, node in flow["$referenced_components"].items():
        if node["component_type"] == "LlmNode" and not identity.endswith("-item"):
            inputs = {item["title"]: item for item in node["inputs"]}
            assert set(PLACEHOLDER.findall(node["prompt_template"])) <= set(inputs)
            assert all((identity, title) in fed or "default" in item for title, item in inputs.items())


_FLOWS = [
    json.loads(text_of(to_agent_spec(document.load(FOLDER / f"{name}.yaml").workflow)))
    for name in ("summarise_document", "review_until_accepted")
]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in children for inner in _paths(item, (*path, key)))]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(flow, path) for flow in _FLOWS for path in _paths(flow)[1:]]),
    st.sampled_from([None, 5, "x", [], {}, [1], [[1]], {"$component_ref": []}, True]),
)
def test_damaged_flow_is_refused_or_read_but_never_breaks_the_reader(
    place_in: tuple[Any, tuple[Any, ...]], value: Any
) -> None:
    whole, path = place_in
    flow = copy.deepcopy(whole)
    place = flow
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with contextlib.suppress(WorkflowError):
        from_agent_spec(json.dumps(flow))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "component_type: Agent",
        "a: &a [1]\nb: [*a, *a]\n",
        '{"component_type": "Flow"}',
        "[" * 100_000,
        '{"a": ' * 100_000,
    ],
)
def test_text_that_is_no_flow_is_refused(text: str) -> None:
    with pytest.raises(WorkflowError):
        from_agent_spec(text, "flow.json")


# -- flows that somebody has changed


def exported(name: str) -> dict[str, Any]:
    flow: dict[str, Any] = json.loads(text_of(to_agent_spec(document.load(FOLDER / name).workflow, CARDS)))
    return flow


def node(flow: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in flow["$referenced_components"].values() if item["name"] == name)
    return found


def test_changed_prompt_holds_and_is_said() -> None:
    flow = exported("chain_of_thought.yaml")
    first = document.load(FOLDER / "chain_of_thought.yaml").workflow.steps[0].name
    node(flow, first)["prompt_template"] = "{{task}}\n\nThink aloud. {not} $(money)"
    found = from_agent_spec(json.dumps(flow))
    step = found.workflow.step(first)
    assert (step.instruction, step.reads) == ("$(task)\n\nThink aloud. {not} $$(money)", ())
    assert first in found.notes[0]
    check(found.workflow, CARDS)


def test_rewired_input_of_a_tool_holds_and_is_said() -> None:
    flow = exported("review_until_accepted.yaml")
    kept = [
        edge
        for edge in flow["data_flow_connections"]
        if edge["destination_node"]["$component_ref"] != "step-2" or edge["destination_input"] != "result_of_revise"
    ]
    flow["data_flow_connections"] = kept
    found = from_agent_spec(json.dumps(flow))
    assert found.workflow.step("review").reads == ("work", "review", "accepted")
    assert "'review'" in found.notes[0]


def test_renamed_node_keeps_the_flow_together() -> None:
    flow = exported("triage_support_message.yaml")
    node(flow, "sort")["name"] = "kind"
    found = from_agent_spec(json.dumps(flow))
    assert found.workflow.entry.name == "kind"
    assert set(found.workflow.entry.branches) == {"refund", "bug", "question", "other"}


def test_bound_that_leads_to_a_deleted_node_is_refused() -> None:
    flow = exported("openagi/manual.yaml")
    node(flow, "select models")["metadata"]["autoflow"]["otherwise"] = "gone"
    with pytest.raises(AgentSpecError, match="'gone', which is no node"):
        from_agent_spec(json.dumps(flow))


# -- flows of others

LLM = {"component_type": "OpenAiConfig", "id": "gpt", "name": "gpt", "model_id": "gpt-5-mini"}


def foreign() -> dict[str, Any]:
    """A question is sorted, then answered by a model or by a tool; no metadata of ours."""
    text = {"title": "question", "type": "string"}
    nodes: list[dict[str, Any]] = [
        {"component_type": "StartNode", "id": "s", "name": "begin", "inputs": [text], "outputs": [text]},
        {
            "component_type": "LlmNode",
            "id": "a",
            "name": "sort",
            "llm_config": LLM,
            "prompt_template": "Is this about money ($(x))? {{question}}",
            "inputs": [text],
            "outputs": [{"title": "kind", "type": "string"}],
        },
        {
            "component_type": "BranchingNode",
            "id": "b",
            "name": "which",
            "inputs": [{"title": "key", "type": "string"}],
            "mapping": {"yes": "MONEY", "of course": "MONEY"},
        },
        {
            "component_type": "ToolNode",
            "id": "t",
            "name": "look up",
            "tool": {
                "component_type": "ServerTool",
                "id": "tool",
                "name": "accounts",
                "description": "Looks up an account.",
                "inputs": [text, {"title": "currency", "default": "EUR"}],
                "outputs": [{"title": "account", "type": "string"}],
            },
            "inputs": [text, {"title": "currency", "default": "EUR"}],
            "outputs": [{"title": "account", "type": "string"}],
        },
        {
            "component_type": "LlmNode",
            "id": "c",
            "name": "answer",
            "llm_config": LLM,
            "prompt_template": "{{ question }} Known: {{kind}}",
            "inputs": [text, {"title": "kind", "type": "string"}],
            "outputs": [{"title": "generated_text", "type": "string"}],
        },
        {
            "component_type": "EndNode",
            "id": "e",
            "name": "end",
            "outputs": [{"title": "answer"}],
            "inputs": [{"title": "answer"}],
        },
    ]
    control = [
        ("s", None, "a"),
        ("a", None, "b"),
        ("b", "MONEY", "t"),
        ("b", "default", "c"),
        ("t", None, "e"),
        ("c", None, "e"),
    ]
    data = [("s", "question", "a", "question"), ("a", "kind", "b", "key"), ("s", "question", "t", "question")]
    data += [("s", "question", "c", "question"), ("a", "kind", "c", "kind")]
    data += [("t", "account", "e", "answer"), ("c", "generated_text", "e", "answer")]
    return {
        "component_type": "Flow",
        "id": "f",
        "name": "desk",
        "start_node": {"$component_ref": "s"},
        "nodes": [{"$component_ref": item["id"]} for item in nodes],
        "control_flow_connections": [
            {
                "component_type": "ControlFlowEdge",
                "id": f"k{number}",
                "name": "k",
                "from_node": {"$component_ref": source},
                "from_branch": branch,
                "to_node": {"$component_ref": target},
            }
            for number, (source, branch, target) in enumerate(control)
        ],
        "data_flow_connections": [
            {
                "component_type": "DataFlowEdge",
                "id": f"d{number}",
                "name": "d",
                "source_node": {"$component_ref": source},
                "source_output": output,
                "destination_node": {"$component_ref": target},
                "destination_input": title,
            }
            for number, (source, output, target, title) in enumerate(data)
        ],
        "$referenced_components": {item["id"]: item for item in nodes},
        "agentspec_version": "25.4.1",
    }


def test_flow_of_others_becomes_a_sound_workflow() -> None:
    found = from_agent_spec(yaml.safe_dump(foreign(), sort_keys=False))
    steps = {step.name: step for step in found.workflow.steps}
    assert list(steps) == ["sort", "look up", "answer", "end"]
    assert steps["sort"].type == "decision"
    assert steps["sort"].instruction == "Is this about money ($$(x))? $(task)"
    assert steps["sort"].branches == {"yes": "look up", "of course": "look up"}
    assert steps["sort"].otherwise == "answer"
    assert (steps["look up"].operator, steps["look up"].parameters) == ("accounts", {"currency": "EUR"})
    assert steps["answer"].instruction == "$(task) Known: $(sort)"
    assert steps["end"].reads == ("look up", "answer")
    assert any("openai/gpt-5-mini" in note for note in found.notes)
    assert any("operator called 'accounts'" in note for note in found.notes)


def test_branch_by_an_earlier_result_is_read_off_by_code() -> None:
    flow = foreign()
    flow["control_flow_connections"][1]["to_node"] = {"$component_ref": "c"}
    flow["control_flow_connections"][5]["to_node"] = {"$component_ref": "b"}
    flow["control_flow_connections"][3]["to_node"] = {"$component_ref": "e"}
    step = from_agent_spec(json.dumps(flow)).workflow.step("which")
    assert (step.type, step.operator, step.reads) == ("decision", "python", ("sort",))


REFUSED: list[tuple[str, Any, str]] = [
    ("a", {"component_type": "AgentNode"}, "of type AgentNode"),
    ("a", {"outputs": [{"title": "x"}, {"title": "y"}]}, "2 outputs"),
    ("s", {"inputs": [{"title": "x"}, {"title": "y"}]}, "takes 2 inputs"),
    ("e", {"inputs": [{"title": "x"}, {"title": "y"}]}, "several outputs"),
    ("c", {"prompt_template": "{{nothing}}"}, "nothing is connected"),
    ("b", {"mapping": {"yes": "LOST"}}, "'LOST' of node 'which' leads nowhere"),
]


@pytest.mark.parametrize(("identity", "change", "message"), REFUSED, ids=[item[2] for item in REFUSED])
def test_flow_that_no_workflow_can_say_is_refused(identity: str, change: dict[str, Any], message: str) -> None:
    flow = foreign()
    flow["$referenced_components"][identity].update(change)
    with pytest.raises(AgentSpecError, match=message):
        from_agent_spec(json.dumps(flow))


def test_workflow_that_is_not_sound_is_refused() -> None:
    with pytest.raises(AgentSpecError, match="'gone', which does not exist"):
        to_agent_spec(Workflow("w", (Step("a", "process", "Do it.", next="gone"),)))


def test_convert_goes_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, back = tmp_path / "flow.json", tmp_path / "back.yaml"
    assert main(["convert", "workflows/openagi/manual.yaml", "-o", str(spec), "--interpreter", "openai/a"]) == 0
    assert json.loads(spec.read_text())["$referenced_components"]["interpreter"]["model_id"] == "a"
    assert main(["convert", str(spec), "-o", str(back)]) == 0
    assert document.load(back).workflow == document.load(FOLDER / "openagi/manual.yaml").workflow
    assert "note" not in capsys.readouterr().err
    spec.write_text(json.dumps(foreign()))
    assert main(["convert", str(spec)]) == 0
    assert "note: the flow's model is openai/gpt-5-mini" in capsys.readouterr().err
    spec.write_text("[]")
    assert main(["convert", str(spec)]) == 4
    assert "error agent-spec: the text is no Agent Spec flow" in capsys.readouterr().err
