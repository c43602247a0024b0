"""Lays a workflow file out anew: indentation and spacing only. Comments, order, quotes and meaning stay."""

import io
import re
from typing import Any

from autoflow.core.workflow import Workflow
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.nodes import UNREADABLE, comments, scalar_lines

_NO_LIMIT = 1 << 24


def format_text(text: str | bytes, file: str | None = None) -> str:
    """The text in its usual layout; formatting it again changes nothing.

    Raises:
        WorkflowError: If the text is no workflow, or cannot be laid out without losing a comment or its meaning.
    """
    before = parse(text, file)
    first = _laid_out(before.text, file)
    second = _laid_out(first, file)
    if second != first:
        # A comment can move once, when what it hangs on is laid out anew.
        first, second = second, _laid_out(second, file)
    _must(first == second, "its layout does not settle", file)
    _must(comments(first) == comments(before.text), "a comment would be lost", file)
    after = parse(first, file).workflow
    _must(_same(before.workflow, after), "its meaning would change", file)
    return first


def _same(one: Workflow, two: Workflow) -> bool:
    # Equality of mappings does not see the order of branches; the fingerprint does.
    return one == two and one.fingerprint() == two.fingerprint()


def _must(holds: bool, fault: str, file: str | None) -> None:
    if not holds:
        raise WorkflowError(
            f"the file cannot be formatted: {fault}",
            file=file,
            rule=UNREADABLE,
            hint="simplify the YAML there; `autoflow convert` writes the canonical form, without comments",
        )


def _laid_out(text: str, file: str | None) -> str:
    from ruamel.yaml.error import YAMLError

    stream = io.StringIO()
    yaml = round_trip()
    try:
        yaml.dump(yaml.load(text), stream)
    except (YAMLError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError, IndexError) as error:
        # ruamel.yaml fails in all these ways on rare layouts that are valid YAML.
        raise WorkflowError(
            f"the file cannot be formatted: {type(error).__name__}",
            file=file,
            rule=UNREADABLE,
            hint="simplify the YAML; `autoflow convert` writes the canonical form, without comments",
        ) from error
    return _comments_beside_what_follows(stream.getvalue())


def _comments_beside_what_follows(text: str) -> str:
    # ruamel.yaml leaves comments at their old column when it moves what they stand before.
    lines = text.split("\n")
    inside = scalar_lines(text)
    indent = 0
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number].lstrip(" ")
        if not line or number in inside:
            continue
        column = len(lines[number]) - len(line)
        if not line.startswith("#"):
            indent = column
        elif column < indent:
            lines[number] = " " * indent + line
    return "\n".join(lines)


def round_trip() -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.resolver import VersionedResolver

    class _Literal(VersionedResolver):
        """Leaves every plain scalar a text, so that 1.10, 0x10 and yes come out as they went in."""

        @property
        def versioned_resolver(self) -> dict[str | None, list[Any]]:
            null = ("tag:yaml.org,2002:null", re.compile("^(?:~|null|Null|NULL|)$"))
            return {"~": [null], "n": [null], "N": [null], "": [null], None: []}

    yaml = YAML(typ="rt")
    yaml.Resolver = _Literal
    yaml.preserve_quotes = True
    yaml.width = _NO_LIMIT
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
