"""JSON Schemas of the file format: one for editors, one that a generator model's output is held to while it samples."""

from collections.abc import Mapping, Sequence

from autoflow.core.json import Json
from autoflow.core.workflow import DEFAULT_OPERATOR, FORMAT_VERSION, STEP_TYPES, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.names import quoted
from autoflow.language.nodes import UNREADABLE
from autoflow.language.reader import from_json, read

# A label or a name may be written as a plain 1 or yes, which an editor's YAML reader takes for a number or a boolean.
_NAME: dict[str, Json] = {"type": ["string", "number", "boolean"]}


def schema(operators: Sequence[str] | None = None) -> dict[str, Json]:
    """The format as JSON Schema draft-07, which editors handle best; with `operators`, their names are the only ones.

    It says what `parse` takes, and the parts of lint's rules that a schema can say.
    """
    properties: dict[str, Json] = {
        "autoflow": _key("Version of the file format.", FORMAT_VERSION, const=FORMAT_VERSION),
        "name": _key("What reports call the workflow.", "plan-and-solve", **_NAME),
        "description": _key("What it is for, in a sentence or two.", "Plan first, then solve.", type="string"),
        "inputs": _key(
            "Types of the values that a task brings, for operators with typed inputs.",
            ["image", "text"],
            type="array",
            items=_NAME,
        ),
        "steps": _key(
            "The steps. The first is the entry.",
            [{"name": "answer", "type": "terminal", "instruction": "Answer the question."}],
            type="array",
            minItems=1,
            items=_step(operators),
        ),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "autoflow workflow",
        "description": "A natural-language program: each step is a sentence.",
        "type": "object",
        "required": ["autoflow", "name", "steps"],
        "additionalProperties": False,
        "properties": properties,
    }


def _key(description: str, example: Json, **rest: Json) -> dict[str, Json]:
    return {"description": description, "examples": [example], **rest}


def _step(operators: Sequence[str] | None) -> dict[str, Json]:
    known: dict[str, Json] = {"type": "string"} if operators is None else {"enum": list(operators)}
    properties: dict[str, Json] = {
        "name": _key("What other steps call this one. Unique.", "check list", **_NAME),
        "type": _key(
            "process leads to `next`; decision to the branch of the label that is answered; terminal ends the run.",
            "process",
            enum=list(STEP_TYPES),
        ),
        "instruction": _key(
            "What to do, in words. $(step name) inserts a result, $(task) the task, $$( is a plain $(.",
            "Is every model in the list among the provided models?",
            type="string",
        ),
        "operator": _key("How the step is carried out.", DEFAULT_OPERATOR, default=DEFAULT_OPERATOR, **known),
        "parameters": _key("The operator's own settings.", {"samples": 5}, type="object"),
        "next": _key("Where a process leads.", "check list", **_NAME),
        "branches": _key(
            "A decision's exits, label to step, in the order that the model is shown.",
            {"yes": "done", "no": "select models"},
            type="object",
            minProperties=2,
            additionalProperties=_NAME,
        ),
        "max_visits": _key("How often the step may run within one task.", 3, type="integer", minimum=1),
        "otherwise": _key("Where `max_visits`, or an answer that fits no label, leads.", "done", **_NAME),
        "reads": _key(
            "The steps whose results are shown to this one; without it, all before it.",
            ["select models"],
            type="array",
            items=_NAME,
        ),
        "for_each": _key("Run once for each item of this step's list result, in parallel.", "list questions", **_NAME),
        "output": _key(
            "JSON Schema that the result must fit.", {"type": "array", "items": {"type": "string"}}, type="object"
        ),
        "model": _key("Model for this step alone.", "openai/gpt-5-mini", type="string", pattern="^[a-z][a-z0-9_-]*/."),
        "timeout_s": _key("Wall-clock limit of one visit, in seconds.", 30, type="number", exclusiveMinimum=0),
    }

    def only(kind: str, required: list[Json], forbidden: list[str]) -> Json:
        return {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {"required": required, "properties": dict.fromkeys(forbidden, False)},
        }

    return {
        "type": "object",
        "required": ["name", "type"],
        "additionalProperties": False,
        "properties": properties,
        "allOf": [
            only("process", ["instruction", "next"], ["branches"]),
            only("decision", ["instruction", "branches"], ["next", "for_each"]),
            only("terminal", [], ["next", "branches", "otherwise"]),
        ],
    }


_NULLABLE: dict[str, Json] = {"type": ["string", "null"]}


def generation_schema(
    operators: Sequence[str],
    parameters: Mapping[str, Mapping[str, Json]] | None = None,
    *,
    max_steps: int | None = None,
) -> dict[str, Json]:
    """The schema that a generator's reply is held to; `from_generated` reads the reply.

    Only what llama.cpp's grammars and OpenAI's strict mode both take: every key required and nullable where it may be
    missing, no references, branches as a list of {label, target}, parameters as one of {name, value}. Which operator
    has which parameter is left to lint: the grammar stays small.

    Args:
        operators: Names that a step may use.
        parameters: The parameters that a step may state, with their schemas, whichever operator's they are; with
            none, steps have no key for them.
        max_steps: Most steps, for small models that do not know when to stop.
    """
    branch = _closed({"label": {"type": "string"}, "target": {"type": "string"}})
    step = _closed(
        {
            "name": {"type": "string"},
            "type": {"type": "string", "enum": list(STEP_TYPES)},
            "instruction": {"type": "string"},
            "operator": {"type": "string", "enum": list(operators)},
            "next": _NULLABLE,
            "branches": {"type": "array", "items": branch},
            "max_visits": {"type": ["integer", "null"]},
            "otherwise": _NULLABLE,
            **({"parameters": {"type": "array", "items": _parameter(parameters)}} if parameters else {}),
        }
    )
    steps: dict[str, Json] = {"type": "array", "items": step}
    if max_steps is not None:
        steps["maxItems"] = max_steps
    return _closed({"name": {"type": "string"}, "description": {"type": "string"}, "steps": steps})


def _parameter(parameters: Mapping[str, Mapping[str, Json]]) -> Json:
    """One parameter with its value, which has one of the types that any of them takes; lists are of texts."""
    kinds: set[Json] = set()
    for schema in parameters.values():
        stated = schema.get("type", "string")
        kinds.update(stated if isinstance(stated, list | tuple) else [stated])
    plain: list[Json] = [kind for kind in ("string", "integer", "number", "boolean") if kind in kinds]
    if "number" in plain and "integer" in plain:
        plain.remove("integer")
    values: list[Json] = [{"type": plain}] if plain else []
    if "array" in kinds:
        values.append({"type": "array", "items": {"type": "string"}})
    value = values[0] if len(values) == 1 else {"anyOf": values}
    return _closed({"name": {"type": "string", "enum": list(parameters)}, "value": value})


def _closed(properties: dict[str, Json]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def from_generated(value: Json) -> Workflow:
    """The workflow in a reply that fits `generation_schema`. Lint has not seen it.

    Raises:
        WorkflowError: If it does not fit, saying where.
    """
    if not isinstance(value, Mapping):
        raise _fault(f"the reply is a {type(value).__name__}, not an object", "write {name, description, steps}")
    steps = value.get("steps")
    if not isinstance(steps, list | tuple):
        raise _fault("the reply has no list `steps`", "write {name, description, steps: [...]}")
    converted: dict[str, Json] = {"autoflow": str(FORMAT_VERSION)}
    converted.update({key: item for key, item in value.items() if key != "autoflow"})
    converted["steps"] = [_mapped(number, step) for number, step in enumerate(steps, 1)]
    workflow, _ = read(from_json(converted), None)
    return workflow


def _mapped(number: int, step: Json) -> Json:
    """The step with its lists of pairs as mappings."""
    if not isinstance(step, Mapping):
        return step
    return {
        **step,
        **_pairs(number, step, "branches", ("branch", "label", "target")),
        **_pairs(number, step, "parameters", ("parameter", "name", "value")),
    }


def _pairs(number: int, step: Mapping[str, Json], key: str, words: tuple[str, str, str]) -> dict[str, Json]:
    """The list under `key` as a mapping; `words` are what one of it is called, and its two keys."""
    pairs = step.get(key)
    one, name, value = words
    if not isinstance(pairs, list | tuple):
        return {}
    mapped: dict[str, Json] = {}
    for pair in pairs:
        if not isinstance(pair, Mapping) or set(pair) != {name, value}:
            raise _fault(f"a {one} of step {number} is not {{{name}, {value}}}", "write both, and nothing else")
        found = pair[name]
        if not isinstance(found, str):
            raise _fault(f"a {name} of step {number} is a {type(found).__name__}", "write it as a string")
        if found in mapped:
            raise _fault(f"step {number} has the {name} {quoted(found)} twice", "word one differently")
        mapped[found] = pair[value]
    return {key: mapped}


def _fault(message: str, hint: str) -> WorkflowError:
    return WorkflowError(message, rule=UNREADABLE, hint=hint)
