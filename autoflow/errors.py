"""Every error that autoflow raises on purpose. Imports nothing of autoflow.

Each class carries `exit_code`, what the command line returns: 2 usage, 3 threshold not met, 4 invalid
workflow, 5 provider, 6 budget reached (resumable). 130, interrupted, is not an error of ours.
`docs/errors.md` has a section for each class, found by its `code`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yaml import MarkedYAMLError


class AutoflowError(Exception):
    """What happened; `hint` says what to do about it."""

    code = "autoflow-error"
    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[object, ...]]:
        # By its attributes: the arguments of the constructors differ, and errors travel between processes.
        return _made_again, (type(self), self.args, dict(self.__dict__))


def _made_again(kind: type[Exception], arguments: tuple[object, ...], attributes: dict[str, object]) -> Exception:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class UsageError(AutoflowError):
    """The command, flag or argument does not fit; the message lists what would."""

    code = "usage"


class UnknownNameError(UsageError):
    """A name that nothing answers to; `known` lists what exists."""

    code = "unknown-name"

    def __init__(self, kind: str, name: str, known: list[str], *, hint: str | None = None) -> None:
        listing = ", ".join(known) if known else "none"
        # The list names what exists; a hint, where there is one, says how to get what does not.
        super().__init__(
            f"unknown {kind} {name!r}; there are: {listing}",
            hint=hint,
        )
        self.kind = kind
        self.name = name
        self.known = known


class ConfigError(UsageError):
    """A configuration file or environment variable that cannot be read or does not fit."""

    code = "config"


class MissingDependencyError(AutoflowError):
    """An optional package, weight file or key is absent; the hint is the command that provides it."""

    code = "missing-dependency"


class DataError(AutoflowError):
    """Benchmark data is missing or malformed; the message names the file and the row."""

    code = "data"


class WorkflowError(AutoflowError):
    """A workflow file that cannot be read or does not pass lint, at `file:line:column`.

    Lines and columns count from 1. `None` where the text came from no file or the fault has no one place.
    """

    code = "workflow"
    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        rule: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.column = column
        self.rule = rule
        self.others: tuple[WorkflowError, ...] = ()
        """Faults of further steps of the same file."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file or "<text>", self.line, self.column) if part is not None)
        text = f"{place}: {self.message}"
        return text if self.hint is None else f"{text}\n  {self.hint}"


class AgentSpecError(WorkflowError):
    """An Open Agent Spec flow that says what no workflow can, or a workflow that no flow can."""

    code = "agent-spec"


class ProviderError(AutoflowError):
    """A model could not be asked: network, quota, key, server. Never the fault of a workflow.

    `transient` says whether asking again can help; `retry_after_s` is the server's own word, in seconds.
    """

    code = "provider"
    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        transient: bool,
        status: int | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient
        self.status = status
        self.retry_after_s = retry_after_s


class ReplyError(AutoflowError):
    """A model answered, but not in the form asked for, also after the repair. A fault of the workflow's run."""

    code = "reply"
    exit_code = 5

    def __init__(self, message: str, *, text: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.text = text
        """What the model wrote last."""


class OperatorError(AutoflowError):
    """An operator refused its input or failed on it; scored as a failure of the workflow."""

    code = "operator"


class SandboxError(AutoflowError):
    """The sandbox itself failed or is absent; never scored."""

    code = "sandbox"
    exit_code = 5


class PromptError(AutoflowError):
    """A prompt template is missing or names a variable that its type does not have."""

    code = "prompt"


class RunError(AutoflowError):
    """A run folder cannot be used: another configuration, another process, or damage."""

    code = "run"


class WorkerError(AutoflowError):
    """The processes or nodes that carry a run's tasks out could not be started, or all of them were lost."""

    code = "worker"


class BudgetExhaustedError(AutoflowError):
    """The next call would pass a limit. What is recorded stays; the same command with more budget resumes."""

    code = "budget"
    exit_code = 6


class ThresholdError(AutoflowError):
    """A stated threshold was not met."""

    code = "threshold"
    exit_code = 3


def place_in_yaml(file: object, error: "MarkedYAMLError") -> str:
    """`file:line:column` of what PyYAML could not read, or the file alone where it does not know."""
    mark = error.problem_mark or error.context_mark
    return f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
