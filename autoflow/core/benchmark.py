"""A set of tasks to learn from, with its scorer and operators. Test tasks are not in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoflow.core.operator import Operator
from autoflow.core.score import Scorer
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What strategies and trainers may see. The test split is read by `autoflow.bench` alone, through
    `autoflow.benchmarks.held_out`, which nothing that learns may import."""

    name: str
    description: str
    """One or two sentences; the generator reads them."""

    train: tuple[Task, ...]
    validation: tuple[Task, ...]
    scorer: Scorer
    operators: Mapping[str, Operator] = field(default_factory=dict)
    """Operators of this benchmark, by name; the library's own are in reach besides."""

    baseline: Workflow | None = None
    """The hand-written workflow that candidates are compared with."""

    baselines: Mapping[str, Workflow] = field(default_factory=dict)
    """Reference methods that this benchmark brings, by name; `autoflow.baselines` has those that any benchmark has."""

    fingerprint: str = ""
    """Hash of the definition and the data: a resumed run must find the same."""

    notes: tuple[str, ...] = ()
    """What every report on this benchmark must say, one sentence each."""

    operator_set: tuple[str, ...] | None = None
    """The operators that a generator is given, by name; `None`: all in reach. A workflow may use any in reach."""
