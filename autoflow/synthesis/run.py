"""One synthesis from its configuration to a folder. What models answered is recorded: a stopped run goes on unpaid."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autoflow.benchmarks import loader
from autoflow.core.budget import Budget, Spend
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.errors import UsageError
from autoflow.generator.draft import Scope
from autoflow.objective.judging import ready
from autoflow.objective.meter import Meter, Price
from autoflow.objective.metered import Metered
from autoflow.runs.folder import RunFolder, default_name
from autoflow.synthesis import dataset, practice
from autoflow.synthesis.exercise import Exercise, of_benchmark
from autoflow.synthesis.synthesize import DomainPlan, Kept, Terms, decisions_of, draw_domains, of_domains, synthesize
from autoflow.synthesis.teachers import ModelTeacher, SearchTeacher, Teacher

SEARCH = "search"


@dataclass(frozen=True, slots=True)
class SynthesisConfig:
    """What is made, by whom."""

    domains: DomainPlan = field(default_factory=DomainPlan)
    benchmarks: tuple[str, ...] = ()
    """Their train tasks become rows of `train`."""

    practice: tuple[str, ...] = ()
    """Benchmarks over whose operators tasks are drawn that are none of theirs; `domains.tasks` over each."""

    worded: tuple[str, ...] = ()
    """Benchmarks whose train tasks are worded in several sentences; `domains.tasks` of each."""

    scope: Scope = "task"
    """Of benchmarks: a workflow for each train task, or one for them all."""

    teacher: str = SEARCH
    """`search`, or a `provider/model`."""

    samples: int = 1
    """Drafts of a model for each exercise."""

    repairs: int = 3
    interpreter: str | None = None
    """Runs steps that ask a model; `None`: workflows with such steps are refused."""

    avoid: tuple[str, ...] = ()
    """Benchmarks whose operators' names may stand in no row, so that they stay unseen."""

    terms: Terms = field(default_factory=Terms)
    """`avoid` there is filled in from these benchmarks."""

    budget: Budget = field(default_factory=Budget)
    command: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it."""

    folder: Path
    kept: Kept
    spend: Spend


def _settled(config: SynthesisConfig) -> dict[str, Json]:
    terms = asdict(config.terms)
    concurrency = terms.pop("concurrency")
    return {
        "kind": "synthesize",
        "command": config.command,
        "domains": asdict(config.domains),
        "benchmarks": list(config.benchmarks),
        "practice": list(config.practice),
        "worded": list(config.worded),
        "scope": config.scope,
        "teacher": config.teacher,
        "samples": config.samples,
        "repairs": config.repairs,
        "interpreter": config.interpreter,
        "avoid": list(config.avoid),
        "terms": {**terms, "avoid": list(terms["avoid"])},
        "form": config.terms.form,
        "concurrency": concurrency,
        "budget": asdict(config.budget),
    }


async def run(
    config: SynthesisConfig,
    folder: Path,
    *,
    open_model: Callable[[str], Model],
    runs: Path = Path("runs"),
    price: Price | None = None,
    clock: Callable[[], float] = time.time,
    on_progress: Callable[[int, int, int], None] | None = None,
) -> Made:
    """Make the data set and write it into `folder`, which is new or empty.

    Calls of models are recorded in a run folder below `runs`, which only a teacher or an interpreter makes.

    Raises:
        UsageError: If nothing is asked for, or the folder is not empty.
        ProviderError, BudgetExhaustedError: From the models; the same command goes on.
    """
    dataset.check_empty(folder)
    drawn = draw_domains(config.domains)
    exercises = list(of_domains(drawn, config.domains))
    for name in config.benchmarks:
        exercises += of_benchmark(name, config.scope)
    for name in config.practice:
        exercises += practice.exercises(
            name, config.domains.tasks, config.domains.seed, signatures=config.domains.signatures
        )
    for name in config.worded:
        exercises += practice.exercises(
            name, config.domains.tasks, config.domains.seed, train=True, signatures=config.domains.signatures
        )
    if not exercises:
        raise UsageError("nothing is asked for", hint="--domains N, --practice NAME, or --benchmark NAME")
    names = [name for benchmark in config.avoid for name in loader.load(benchmark).operators]
    terms = replace(config.terms, avoid=tuple(names))
    settled = _settled(config)
    async with AsyncExitStack() as stack:
        teacher: Teacher = SearchTeacher()
        interpreter: Model | None = None
        spend: Callable[[], Spend] = Spend
        if config.teacher != SEARCH or config.interpreter is not None:
            record = stack.enter_context(
                RunFolder.open(runs / default_name("synthesize", config.teacher, settled), settled, clock=clock)
            )
            meter = Meter.resuming(config.budget, record.ledger, clock, price=price)
            opened: dict[tuple[str, Any], Metered] = {}

            def metered(spec: str, role: Any = "interpreter") -> Metered:
                if (spec, role) not in opened:
                    opened[spec, role] = Metered(open_model(spec), record.ledger, meter, role=role)
                    stack.push_async_callback(opened[spec, role].aclose)
                return opened[spec, role]

            spend = record.ledger.spend
            if config.teacher != SEARCH:
                teacher = ModelTeacher(metered(config.teacher, "generator"), config.samples, config.repairs)
            if config.interpreter is not None:
                interpreter = metered(config.interpreter)
            exercises = [_judged_by(exercise, metered) for exercise in exercises]
        more = await decisions_of(drawn, exercises, config.domains)
        kept = await synthesize(exercises, teacher, terms, model=interpreter, more=more, on_progress=on_progress)
        dataset.write(folder, kept, [worded.domain for _, worded in drawn], exercises, settled)
        return Made(folder, kept, spend())


def _judged_by(exercise: Exercise, open_model: Callable[[str], Model]) -> Exercise:
    return replace(exercise, scorer=ready(exercise.scorer, open_model))
