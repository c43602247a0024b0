"""Check workflow files without calling a model."""

from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli.options import Operators
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, WorkflowError

if TYPE_CHECKING:
    from autoflow.language.findings import Finding

FORMATS = ("text", "json", "sarif", "github")

app = new_app()


@app.command(
    epilog=examples(
        "autoflow lint workflows/*.yaml",
        "autoflow lint plan.yaml --operators openagi",
        "autoflow lint --format sarif plan.yaml > lint.sarif",
        "autoflow lint - < plan.yaml",
    )
)
def lint(
    workflows: Annotated[list[str], typer.Argument(metavar="WORKFLOW", help="Workflow files; - is stdin.")],
    output: Annotated[
        str, typer.Option("--format", metavar="text|json|sarif|github", help="How findings are printed.")
    ] = "text",
    operators: Operators = None,
) -> int:
    """Check workflow files: structure, references, loops, operators and the types that flow between them.

    Ends with 4 if any file has an error; warnings alone end with 0.
    """
    from autoflow.cli import files, findings
    from autoflow.language.findings import unreadable

    if output not in FORMATS:
        raise UnknownNameError("format", output, list(FORMATS))
    found: dict[str, list[Finding]] = {}
    for name in workflows:
        data, file = files.read(name)
        try:
            found[file] = _findings(name, data, file, operators or [])
        except WorkflowError as error:
            found[file] = [unreadable(error)]
    findings.write(output, found)
    wrong = any(finding.severity == "error" for listed in found.values() for finding in listed)
    return WorkflowError.exit_code if wrong else 0


def _findings(name: str, data: bytes, file: str, operators: list[str]) -> "list[Finding]":
    from autoflow.cli import files
    from autoflow.language import document
    from autoflow.language import lint as rules

    if files.is_core(name):
        from autoflow.language.core_text import parse_core

        return list(parse_core(data, file).findings)
    parsed = document.parse(data, file)
    return rules.lint(parsed, files.cards_of(name, operators, {step.operator for step in parsed.workflow.steps}))
