"""`autoflow.toml`: named endpoints, prices and default settings, in the working directory or the nearest one above it.

    [defaults]
    interpreter = "local/qwen3-8b"

    [defaults.bench]
    epochs = 3

    [endpoints.local]
    base_url = "http://127.0.0.1:8000/v1"
    api_key_env = "LOCAL_API_KEY"
    models = ["qwen3-8b"]

    [prices."local/qwen3-8b"]
    input = 0.10
    output = 0.40

Prices are in US dollars per million tokens. A key itself has no place in the file: an endpoint names the environment
variable that holds it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from autoflow.core.json import Json
from autoflow.errors import ConfigError

FILE = "autoflow.toml"
_SECTIONS = ("defaults", "endpoints", "prices")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server under a name of the user's; its models are asked for as `<name>/<model>`."""

    base_url: str
    api_key_env: str | None = None
    """Environment variable that holds the key; `None`: the server asks for none, and is sent none of the user's."""

    models: tuple[str, ...] = ()
    """What it serves, as far as the file says."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model costs, in US dollars per million tokens."""

    input: float
    output: float
    cached: float | None = None
    """Of input that the provider read from its prefix cache; `None`: as `input`."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says; empty where there is none."""

    path: Path | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    prices: Mapping[str, Rates] = field(default_factory=dict)
    """`provider/model` -> what the user says it costs; it wins over every table."""

    defaults: Mapping[str, Json] = field(default_factory=dict)
    """Flag, with underscores -> value, for every command that has the flag."""

    command_defaults: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Command -> flag -> value; they win over `defaults`."""


def find(start: Path) -> Path | None:
    """The nearest `autoflow.toml` in `start` or a folder above it."""
    return next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def load(start: Path) -> Config:
    """Read the nearest configuration file.

    Raises:
        ConfigError: Naming the file, the key and what would fit.
    """
    path = find(start)
    return Config() if path is None else _read(path)


def _read(path: Path) -> Config:
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error), re.DOTALL)
        text = f"{path}: {error}" if said is None else f"{path}:{said[2]}:{said[3]}: {said[1]}"
        raise ConfigError(text, hint="the file is TOML: [sections] of key = value") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    unknown = sorted(set(data) - set(_SECTIONS))
    if unknown:
        raise ConfigError(f"{path}: unknown section {unknown[0]!r}; there are: {', '.join(_SECTIONS)}")
    defaults: dict[str, Json] = {}
    command_defaults: dict[str, Mapping[str, Json]] = {}
    for key, value in _table(path, "defaults", data.get("defaults", {})).items():
        if isinstance(value, dict):
            command_defaults[key] = {name.replace("-", "_"): item for name, item in value.items()}
        else:
            defaults[key.replace("-", "_")] = value
    endpoints = {
        name: _endpoint(path, name, value)
        for name, value in _table(path, "endpoints", data.get("endpoints", {})).items()
    }
    prices = {name: _rates(path, name, value) for name, value in _table(path, "prices", data.get("prices", {})).items()}
    return Config(path, endpoints, prices, defaults, command_defaults)


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {key!r} must be a table, written [{key}]")
    return value


def _endpoint(path: Path, name: str, value: Any) -> Endpoint:
    table = _table(path, f"endpoints.{name}", value)
    known = ("base_url", "api_key_env", "models")
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(
            f"{path}: endpoints.{name}: unknown key {unknown[0]!r}; there are: {', '.join(known)}",
            hint="a key is never written here: api_key_env names the environment variable that holds it",
        )
    base_url, key_variable, models = table.get("base_url"), table.get("api_key_env"), table.get("models", [])
    if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"{path}: endpoints.{name}: base_url must be an http:// or https:// address")
    if key_variable is not None and not isinstance(key_variable, str):
        raise ConfigError(f"{path}: endpoints.{name}: api_key_env must be the name of an environment variable")
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise ConfigError(f"{path}: endpoints.{name}: models must be a list of names")
    return Endpoint(base_url, key_variable, tuple(models))


def _rates(path: Path, name: str, value: Any) -> Rates:
    table = _table(path, f'prices."{name}"', value)
    place = f'{path}: prices."{name}"'
    if not all(name.partition("/")):
        # Without quotes TOML makes a table of tables at the first dot of a model's name.
        raise ConfigError(f"{place}: is no model", hint='write provider/model in quotes: [prices."openai/gpt-5-mini"]')
    known = tuple(item.name for item in fields(Rates))
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"{place}: unknown key {unknown[0]!r}; there are: {', '.join(known)}")
    missing = [key for key in ("input", "output") if key not in table]
    if missing:
        raise ConfigError(f"{place}: {missing[0]} is missing; both input and output are needed")
    for key, number in table.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
            raise ConfigError(f"{place}: {key} must be a number of US dollars per million tokens, not {number!r}")
    return Rates(**{key: float(number) for key, number in table.items()})
