"""Prompt templates: Jinja2 files under `prompts/`, each with a frozen dataclass that names its variables.

A template is a file of this project. Values are data: they are inserted, never rendered, so a task or a model's
reply that contains `{{ ... }}` comes out as it went in.
"""

from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError

from autoflow import resources
from autoflow.errors import PromptError


class Prompt(Protocol):
    """A frozen dataclass whose fields are its template's variables; `template` is the file's path under `prompts/`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    template: ClassVar[str]


@cache
def _environment() -> Environment:
    # autoescape is for HTML; a prompt is plain text and must reach the model as written.
    return Environment(  # noqa: S701
        loader=FileSystemLoader(resources.folder("prompts")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


@cache
def _template(path: str) -> Template:
    template = _environment().get_template(path)
    # Jinja copies them at each rendering, and its own mapping takes longer to copy than the rest takes.
    template.globals = dict(template.globals)
    return template


def render(prompt: Prompt) -> str:
    """Fill the prompt's template. Leading and trailing white space of the whole is dropped.

    Raises:
        PromptError: If the template is missing, broken, or names a variable that the dataclass lacks.
    """
    try:
        values = {item.name: getattr(prompt, item.name) for item in fields(prompt)}
        return _template(prompt.template).render(values).strip()
    except TemplateError as error:
        raise PromptError(f"prompts/{prompt.template}: {type(error).__name__}: {error}") from error
