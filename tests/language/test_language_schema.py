"""The schemas: one says what `parse` takes, the other holds a generator to what `from_generated` reads."""

from typing import Any

import jsonschema
import pytest
import yaml
from test_language_document import PLAN
from test_language_lint import SOUND

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.reader import STEP_KEYS, WORKFLOW_KEYS
from autoflow.language.schema import from_generated, generation_schema, schema


def as_editors_read(text: str) -> Any:
    # Editors read YAML 1.2: drop the resolver that makes booleans of yes and no.
    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        key: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:bool"]
        for key, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(text, Loader)


def valid(document: Any, **options: Any) -> bool:
    return jsonschema.Draft7Validator(schema(**options)).is_valid(document)


def test_it_is_a_draft_07_schema_of_every_key() -> None:
    made: Any = schema()
    jsonschema.Draft7Validator.check_schema(made)
    assert tuple(made["properties"]) == WORKFLOW_KEYS
    assert tuple(made["properties"]["steps"]["items"]["properties"]) == STEP_KEYS


def test_every_key_has_a_description_and_an_example_that_fits() -> None:
    made: Any = schema()
    for key, described in {**made["properties"], **made["properties"]["steps"]["items"]["properties"]}.items():
        assert described["description"], key
        for example in described["examples"]:
            jsonschema.Draft7Validator(described).validate(example)


@pytest.mark.parametrize("text", [PLAN, SOUND])
def test_a_sound_file_fits(text: str) -> None:
    parse(text)
    assert valid(as_editors_read(text))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("autoflow", 2),
        ("steps", []),
        ("stpes", []),
        ("steps", [{"name": "a", "type": "terminal", "next": "b"}]),
        ("steps", [{"name": "a", "type": "process", "instruction": "x"}]),
        (
            "steps",
            [{"name": "a", "type": "process", "instruction": "x", "next": "b", "branches": {"x": "a", "y": "b"}}],
        ),
        ("steps", [{"name": "a", "type": "decision", "instruction": "x", "branches": {"x": "a"}}]),
        ("steps", [{"name": "a", "type": "loop"}]),
        ("steps", [{"name": "a", "type": "terminal", "max_visits": 0}]),
        ("steps", [{"name": "a", "type": "terminal", "model": "gpt"}]),
    ],
)
def test_a_broken_file_does_not_fit(key: str, value: object) -> None:
    assert not valid({**as_editors_read(PLAN), key: value})


def test_operators_can_be_limited_to_those_in_reach() -> None:
    assert valid(as_editors_read(SOUND), operators=["generate", "search", "Visual Question Answering"])
    assert not valid(as_editors_read(SOUND), operators=["generate"])


GENERATED: dict[str, Any] = {
    "name": "plan",
    "description": "",
    "steps": [
        {
            "name": "check",
            "type": "decision",
            "instruction": "Ok?",
            "operator": "generate",
            "next": None,
            "branches": [{"label": "yes", "target": "null"}, {"label": "no", "target": "check"}],
            "max_visits": 3,
            "otherwise": "null",
        },
        {
            "name": "null",
            "type": "terminal",
            "instruction": "",
            "operator": "search",
            "next": None,
            "branches": [],
            "max_visits": None,
            "otherwise": None,
        },
    ],
}


def test_a_generated_workflow_is_read() -> None:
    jsonschema.Draft7Validator(generation_schema(["generate", "search"])).validate(GENERATED)
    assert from_generated(GENERATED) == Workflow(
        "plan",
        (
            Step("check", "decision", "Ok?", branches={"yes": "null", "no": "check"}, max_visits=3, otherwise="null"),
            Step("null", "terminal", operator="search"),
        ),
    )


def test_the_strict_schema_uses_only_what_both_sides_take() -> None:
    allowed = {"type", "properties", "required", "additionalProperties", "items", "enum", "maxItems"}

    def visit(node: Any) -> None:
        assert set(node) <= allowed
        if node["type"] == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
            for item in node["properties"].values():
                visit(item)
        elif node["type"] == "array":
            visit(node["items"])

    visit(generation_schema(["generate"], max_steps=8))
    made: Any = generation_schema(["generate"], max_steps=8)
    assert made["properties"]["steps"]["maxItems"] == 8
    assert "maxItems" not in str(generation_schema(["generate"]))


def test_parameters_are_name_and_value_of_the_types_that_operators_take() -> None:
    def value(*schemas: dict[str, Any]) -> Any:
        parameters = {f"p{number}": schema for number, schema in enumerate(schemas)}
        made: Any = generation_schema(["generate"], parameters)
        item = made["properties"]["steps"]["items"]["properties"]["parameters"]["items"]
        assert item["properties"]["name"]["enum"] == list(parameters)
        return item["properties"]["value"]

    assert value({"type": "integer"}) == {"type": ["integer"]}
    assert value({"type": "integer"}, {"type": "number"}, {"enum": ["a"]}) == {"type": ["string", "number"]}
    assert value({"type": ["boolean", "null"]}) == {"type": ["boolean"]}
    texts = {"type": "array", "items": {"type": "string"}}
    assert value(texts) == texts
    assert value({"type": "string"}, texts) == {"anyOf": [{"type": ["string"]}, texts]}
    assert "parameters" not in str(generation_schema(["generate"]))


def test_generated_parameters_are_read_as_a_mapping() -> None:
    pairs = [{"name": "samples", "value": 3}, {"name": "agree", "value": "number"}, {"name": "roles", "value": ["a"]}]
    found = from_generated(step(parameters=pairs)).steps[0]
    assert found.parameters == {"samples": 3, "agree": "number", "roles": ["a"]}


def step(**fields: object) -> dict[str, Any]:
    return {**GENERATED, "steps": [{**GENERATED["steps"][0], **fields}]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "not an object"),
        ({"name": "x"}, "no list `steps`"),
        ({**GENERATED, "steps": []}, "empty"),
        ({**GENERATED, "steps": ["x"]}, "a step is a mapping"),
        ({**GENERATED, "extra": 1}, "no key"),
        ({**GENERATED, "name": None}, "no `name`"),
        (step(extra=1), "no key"),
        (step(type="loop"), "unknown type"),
        (step(branches=[{"label": "x"}]), "not {label, target}"),
        (step(branches=["x"]), "not {label, target}"),
        (step(branches=[{"label": 1, "target": "a"}]), "is a int"),
        (step(branches=[{"label": "x", "target": "a"}] * 2), "twice"),
        (step(branches=[{"label": "x", "target": None}]), "leads nowhere"),
        (step(branches="x"), "mapping from label"),
        (step(parameters=[{"name": "x"}]), "not {name, value}"),
        (step(parameters=[{"name": 1, "value": 1}]), "is a int"),
        (step(parameters=[{"name": "x", "value": 1}] * 2), "twice"),
        (step(max_visits=1.5), "whole number"),
        (step(max_visits=True), "whole number"),
        (step(name=object()), "no JSON value"),
        (step(parameters={"x": float("inf")}), ""),
    ],
)
def test_a_generated_fault_is_refused(value: Any, words: str) -> None:
    if not words:
        assert from_generated(value).entry.parameters == {"x": "inf"}
        return
    with pytest.raises(WorkflowError, match=words) as caught:
        from_generated(value)
    assert caught.value.hint


def test_a_generated_value_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(WorkflowError, match="deeper"):
        from_generated(step(parameters={"x": value}))


def test_parse_core_and_generated_names_survive_versions() -> None:
    assert from_generated({**GENERATED, "autoflow": 7}).name == "plan"
