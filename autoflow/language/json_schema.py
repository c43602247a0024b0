"""What is wrong with a JSON Schema, or with a value under one, in one line. Loads jsonschema: import it where used."""

from collections.abc import Mapping

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from autoflow.core.json import Json
from autoflow.language.names import quoted


def fault_of_schema(schema: Mapping[str, Json]) -> str | None:
    """Why `schema` is no JSON Schema (2020-12), or `None`. A reference out of it is a fault: it would be fetched."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return _told(error.message, list(error.absolute_path))
    except RecursionError:
        return "it is nested too deeply"
    outside = _outside_reference(schema)
    return None if outside is None else f"{quoted(outside)} refers to another document"


def fault_of_value(value: Json, schema: Mapping[str, Json]) -> str | None:
    """Why `value` does not fit `schema`, a valid one; `None` where it fits."""
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return None if error is None else _told(error.message, list(error.absolute_path))


def _told(message: str, path: list[str | int]) -> str:
    place = "/".join(str(part) for part in path)
    return quoted(message, 200)[1:-1].replace('\\"', '"') + (f" (at {quoted(place)[1:-1]})" if place else "")


def _outside_reference(schema: Json) -> str | None:
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            for key in ("$ref", "$dynamicRef"):
                target = value.get(key)
                if isinstance(target, str) and not target.startswith("#"):
                    return target
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return None
