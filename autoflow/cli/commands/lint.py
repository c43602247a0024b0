"""Check workflow files without calling a model."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli.options import Operators
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError, WorkflowError

if TYPE_CHECKING:
    from autoflow.language.findings import Finding

FORMATS = ("text", "json", "sarif", "github")

app = new_app()


@app.command(
    epilog=examples(
        "autoflow lint workflows/*.yaml",
        "autoflow lint plan.yaml --operators openagi",
        "autoflow lint --format sarif plan.yaml > lint.sarif",
        "autoflow lint --fix plan.yaml",
        "autoflow lint - < plan.yaml",
    )
)
def lint(
    workflows: Annotated[list[str], typer.Argument(metavar="WORKFLOW", help="Workflow files; - is stdin.")],
    output: Annotated[
        str, typer.Option("--format", metavar="text|json|sarif|github", help="How findings are printed.")
    ] = "text",
    operators: Operators = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended without a doubt, in the files; comments stay.")
    ] = False,
) -> int:
    """Check workflow files: structure, references, loops, operators and the types that flow between them.

    Ends with 4 if any file has an error; warnings alone end with 0. With --fix, of what is left.
    """
    from autoflow.cli import files, findings
    from autoflow.language.findings import unreadable

    if output not in FORMATS:
        raise UnknownNameError("format", output, list(FORMATS))
    found: dict[str, list[Finding]] = {}
    for name in workflows:
        data, file = files.read(name)
        try:
            if fix:
                data = _mended(name, data, file, operators or [])
            found[file] = _findings(name, data, file, operators or [])
        except WorkflowError as error:
            found[file] = [unreadable(fault) for fault in (error, *error.others)]
    findings.write(output, found)
    wrong = any(finding.severity == "error" for listed in found.values() for finding in listed)
    return WorkflowError.exit_code if wrong else 0


def _mended(name: str, data: bytes, file: str, operators: list[str]) -> bytes:
    from autoflow.cli import files
    from autoflow.cli.output import say
    from autoflow.language import document, fixes, report

    if name == files.STDIN or files.is_core(name):
        raise UsageError(f"--fix writes YAML workflow files, and {file} is none", hint="leave --fix out")
    needed = {step.operator for step in document.parse(data, file).workflow.steps}
    fixed = fixes.fix(data, files.cards_of(name, operators, needed), file)
    if fixed.mended:
        files.rewrite(name, fixed.text)
        say(report.to_text([replace(item, hint=None) for item in fixed.mended], file).rstrip())
        say(f"{file}: mended {len(fixed.mended)}")
    return fixed.text.encode()


def _findings(name: str, data: bytes, file: str, operators: list[str]) -> "list[Finding]":
    from autoflow.cli import files
    from autoflow.language import document
    from autoflow.language import lint as rules

    if files.is_core(name):
        from autoflow.language.core_text import parse_core

        return list(parse_core(data, file).findings)
    parsed = document.parse(data, file)
    return rules.lint(parsed, files.cards_of(name, operators, {step.operator for step in parsed.workflow.steps}))
