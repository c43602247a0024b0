"""One training run: from a configuration to weights with their provenance, resumable at any point.

runs/train-grpo-1a2b3c4d/
    config.yaml, ledger.sqlite, log, lock    as of any run
    checkpoints/                             the newest, and the best by held-out score; resumed from
    adapter/, or model/                      the trained weights, the tokenizer and provenance.json
    history.jsonl                            what each step logged
    report.json, report.txt, timing.json
"""

import asyncio
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from autoflow import plugins
from autoflow.benchmarks import loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.json import Json, digest
from autoflow.core.model import Model, Sampling
from autoflow.core.task import Task
from autoflow.errors import BudgetExhaustedError, ProviderError, UsageError
from autoflow.generator.draft import Scope
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.models.factory import open_model as factory
from autoflow.objective.judging import ready
from autoflow.objective.meter import Meter, Price
from autoflow.objective.metered import Metered
from autoflow.objective.objective import Objective
from autoflow.operators.library import library
from autoflow.runs.folder import RunFolder, default_name
from autoflow.training import base, provenance, report
from autoflow.training.assignments import Assignment, Shape, assignments
from autoflow.training.bridge import Bridge, in_thread
from autoflow.training.config import SAMPLING_METHODS, TrainConfig
from autoflow.training.held_out import Looker
from autoflow.training.judge import Ground, Judge
from autoflow.training.outcome import Reward
from autoflow.training.policy import Scoring, rows
from autoflow.training.report import State, TrainReport

_UNSHARED = ("time", "runtime", "per_second", "total_flos", "num_tokens")
# Of a log line: what no two executions share. TRL's count of tokens begins anew in a resumed run.


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """Something happened. `message` is for a person, `logs` for a program."""

    kind: Literal["resumed", "data", "baseline", "step", "look"]
    message: str
    logs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What a run works with besides its configuration."""

    open_model: Callable[[str], Model] = factory
    price: Price | None = None
    clock: Callable[[], float] = time.time
    on_event: Callable[[TrainEvent], None] | None = None
    stop: asyncio.Event | None = None
    """Once set, the step in hand ends, a checkpoint is written, and the run ends resumable."""


async def train(
    config: TrainConfig,
    given: Collaborators = Collaborators(),
    *,
    budget: Budget = Budget(),  # noqa: B008  frozen
    command: str = "",
    runs: Path = Path("runs"),
    folder: Path | None = None,
) -> TrainReport:
    """Train a generator and leave its weights in the run folder.

    A run that is stopped (budget, `stop`, provider gone) says so in its state. The same call goes on from the last
    checkpoint along the same trajectory: random states, order of the data, recorded replies and rewards are restored.

    Args:
        runs: Where the folder is made, unless `folder` names it.

    Raises:
        MissingDependencyError: Without the extra `train`.
        UsageError, DataError: For a configuration, model or data that does not fit.
        RunError: If the folder is held by another process or holds another configuration.
        ProviderError: If a model cannot be asked at all.
    """
    base.require()
    benchmarks = _benchmarks(config)
    recorded = _recorded(config)
    data = {**_fingerprints(config, benchmarks), **recorded.fingerprints}
    settled: dict[str, Json] = {
        "kind": "train",
        "command": command,
        **config.model_dump(mode="json"),
        "fingerprints": data,
        "budget": asdict(budget),
    }
    path = folder if folder is not None else runs / default_name("train", config.method, settled)
    with ExitStack() as stack:
        run = stack.enter_context(RunFolder.open(_own(path), settled, clock=given.clock))
        done = report.finished(path)
        if done is not None:
            run.end("complete")
            return done
        sitting = _Sitting(config, given, run, path=path, benchmarks=benchmarks, recorded=recorded, budget=budget)
        try:
            made = await sitting.drive()
        finally:
            await sitting.aclose()
        for name, text in report.files(made).items():
            run.write(name, text)
        run.end(made.state)
        return made


def _own(path: Path) -> Path:
    """The folder that this process writes: of several that a launcher started together, the first has `path` itself,
    where the checkpoints of all are, and the others have one beside it for their ledgers."""
    rank = os.environ.get("RANK", "0")
    return path if rank == "0" else path.with_name(f"{path.name}-rank{rank}")


@dataclass(frozen=True, slots=True)
class _Recorded:
    """Data that is learned from, read before anything is made."""

    demonstrations: Any = None
    turns: Sequence[Any] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)


def _recorded(config: TrainConfig) -> _Recorded:
    if config.method == "sft":
        from autoflow.training import demonstrations

        found = demonstrations.load(config.data)
        return _Recorded(demonstrations=found, fingerprints={"data": demonstrations.fingerprint(found)})
    if config.method == "rlao":
        from autoflow.training import trajectories

        turns = trajectories.load(config.data)
        return _Recorded(turns=turns, fingerprints={"data": trajectories.fingerprint(turns)})
    return _Recorded()


def _benchmarks(config: TrainConfig) -> dict[str, Benchmark]:
    """By the name or path that the configuration gives them.

    Raises:
        UnknownNameError, DataError: From the loader.
        UsageError: If two of them have the same name.
    """
    asked = [name for part in (config.tasks, config.held_out) if part is not None for name in _each(part.benchmarks)]
    options = config.tasks.options if config.tasks else {}
    found = {name: loader.load(name, options=options) for name in dict.fromkeys(asked)}
    if len({item.name for item in found.values()}) < len(found):
        raise UsageError("two of the benchmarks have the same name, so their scores could not be told apart")
    return found


def _fingerprints(config: TrainConfig, benchmarks: Mapping[str, Benchmark]) -> dict[str, str]:
    """Of the data, by the names and patterns that the configuration states."""
    stated = [name for part in (config.tasks, config.held_out) if part is not None for name in part.benchmarks]
    return {name: digest([benchmarks[item].fingerprint for item in _each([name])]) for name in stated}


def _each(names: Sequence[str]) -> list[str]:
    """The names, with every `*` in a path filled in.

    Raises:
        UsageError: If nothing fits one.
    """
    found = []
    for name in names:
        if "*" not in name:
            found.append(name)
            continue
        pattern = Path(name).expanduser()
        paths = sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
        if not paths:
            raise UsageError(f"there is no benchmark folder {name}")
        found += [str(path) for path in paths]
    return found


@dataclass(frozen=True, slots=True)
class _Trained:
    """What the trainer's thread brings back."""

    stopped: bool
    steps: int
    history: Sequence[Mapping[str, Json]]
    weights: Path | None
    metrics: Mapping[str, Json]


class _Sitting:
    """One sitting on one run."""

    def __init__(
        self,
        config: TrainConfig,
        given: Collaborators,
        run: RunFolder,
        *,
        path: Path,
        benchmarks: Mapping[str, Benchmark],
        recorded: _Recorded,
        budget: Budget,
    ) -> None:
        self._path = path
        self._config = config
        self._given = given
        self._run = run
        self._benchmarks = benchmarks
        self._recorded = recorded
        self._meter = Meter.resuming(budget, run.ledger, given.clock, price=given.price)
        self._began = given.clock()
        self._opened: dict[str, Metered] = {}
        self._judge: Judge | None = None

    async def aclose(self) -> None:
        """Release the models."""
        for model in self._opened.values():
            await model.aclose()

    async def drive(self) -> TrainReport:
        """Train, or go on with it, until the end or a stop."""
        if self._run.resumed:
            self._tell(TrainEvent("resumed", f"resuming {self._run.path}"))
        prompts, held_out = self._prompts(), self._held_out()
        trained: _Trained | None = None
        state: State = "complete"
        stopped = ""
        try:
            if self._benchmarks:
                self._judge = await self._make_judge()
            trained = await in_thread(lambda bridge: self._train(bridge, prompts, held_out), self._given.stop)
            if trained.stopped:
                state, stopped = "interrupted", "interrupted"
        except BudgetExhaustedError as error:
            state, stopped = "budget", error.message
        except ProviderError as error:
            if not error.transient:
                raise
            state, stopped = "provider", error.message
        return self._report(trained, state, stopped)

    # What is learned

    def _prompts(self) -> list[Assignment]:
        tasks = self._config.tasks
        if tasks is None or self._config.method not in SAMPLING_METHODS:
            return []
        found = []
        for name in _each(tasks.benchmarks):
            benchmark = self._benchmarks[name]
            if not benchmark.train:
                raise UsageError(f"benchmark {name!r} has no train tasks to learn from")
            found += self._assigned(benchmark, benchmark.train[: tasks.limit], tasks.scope)
        benchmarks = _each(tasks.benchmarks)
        named = benchmarks[0] if len(benchmarks) == 1 else f"{len(benchmarks)} benchmarks"
        self._tell(TrainEvent("data", f"{len(found)} prompts of {named}"))
        return found

    def _held_out(self) -> list[Assignment]:
        held = self._config.held_out
        if held is None:
            return []
        found = []
        for name in _each(held.benchmarks):
            benchmark = self._benchmarks[name]
            if not benchmark.validation:
                raise UsageError(f"benchmark {name!r} has no validation tasks to look at")
            found += self._assigned(benchmark, benchmark.validation[: held.limit], held.scope)
        return found

    def _assigned(self, benchmark: Benchmark, tasks: Sequence[Task], scope: Scope) -> list[Assignment]:
        shape = Shape(**self._config.prompt.model_dump())
        return assignments(benchmark, tasks, scope=scope, form=self._config.form, shape=shape)

    # What scores

    async def _make_judge(self) -> Judge:
        config = self._config
        choice = config.reward
        plugin = plugins.load("training.rewards", choice.name)
        try:
            reward: Reward = plugin(**choice.options)
        except TypeError as error:
            raise UsageError(f"reward {choice.name}: {error}") from error
        grounds = {item.name: Ground(item, self._objective(item)) for item in self._benchmarks.values()}
        baselines = {}
        if getattr(reward, "uses_baseline", False) and config.tasks is not None:
            trained_on = {self._benchmarks[name].name for name in _each(config.tasks.benchmarks)}
            baselines = await self._baselines([grounds[name] for name in sorted(trained_on)])
        instances = config.tasks.instances if config.tasks is not None else 1
        return Judge(grounds, self._run.ledger, reward, instances, config.seed, baselines)

    async def _baselines(self, grounds: Sequence[Ground]) -> dict[str, float]:
        found = {}
        for ground in grounds:
            name, workflow = ground.benchmark.name, ground.benchmark.baseline
            if workflow is None or not ground.benchmark.validation:
                continue
            evaluation = await ground.objective.score_all(workflow, ground.benchmark.validation, f"{name}/validation")
            if evaluation.mean is not None:
                found[name] = evaluation.mean
                message = f"the hand-written workflow of {name} scores {evaluation.mean:.3f} on validation"
                self._tell(TrainEvent("baseline", message))
        return found

    def _objective(self, benchmark: Benchmark) -> Objective:
        chosen = self._config.interpreter
        settings = Settings(
            protocol=chosen.protocol,
            max_steps=chosen.max_steps,
            sampling=Sampling(chosen.temperature, max_tokens=chosen.max_tokens),
            seed=self._config.seed,
        )
        operators = {**library(), **benchmark.operators}
        interpreter = Interpreter(self._open(chosen.model), operators, settings, open_model=self._open)
        return Objective(
            benchmark.name,
            ready(benchmark.scorer, self._open),
            interpreter,
            self._run.ledger,
            concurrency=self._config.concurrency,
            seed=self._config.seed,
        )

    def _open(self, spec: str) -> Model:
        if spec not in self._opened:
            self._opened[spec] = Metered(self._given.open_model(spec), self._run.ledger, self._meter)
        return self._opened[spec]

    # In the trainer's thread

    def _train(self, bridge: Bridge, prompts: Sequence[Assignment], held_out: Sequence[Assignment]) -> _Trained:
        # Torch and all that hangs on it are loaded here and nowhere else.
        from autoflow.training import callbacks
        from autoflow.training.trainer import Material, build, quiet

        quiet()
        config, judge = self._config, self._judge
        folder = self._path / "checkpoints"
        following = callbacks.Following(bridge, self._on_progress, lambda: {} if judge is None else judge.state)
        score = None
        if judge is not None and prompts:
            score = Scoring({item.id: item for item in prompts}, judge, bridge)
        material = Material(
            prompts=rows(prompts, typed=config.typed),
            held_out=rows(held_out, typed=config.typed),
            demonstrations=self._recorded.demonstrations,
            turns=self._recorded.turns,
            score=score,
        )
        look = None
        if judge is not None and config.held_out is not None:
            chosen = config.held_out
            look = Looker(held_out, judge, bridge, chosen.samples, chosen.max_tokens, config.seed).look
        trainer = build(config, material, folder, following, look)
        checkpoint = callbacks.latest(folder)
        if checkpoint is not None and judge is not None:
            judge.state = json.loads((checkpoint / callbacks.STATE).read_text(encoding="utf-8"))
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        history = [_comparable(line) for line in trainer.state.log_history]
        steps = trainer.state.global_step
        metrics = _metrics(history)
        if following.stopped:
            return _Trained(True, steps, history, None, metrics)
        weights = self._save(trainer, metrics, steps)
        return _Trained(False, steps, history, weights, metrics)

    def _save(self, trainer: Any, metrics: Mapping[str, Json], steps: int) -> Path:
        lora = self._config.lora is not None
        weights = self._path / ("adapter" if lora else "model")
        if not trainer.is_world_process_zero():
            return weights
        model = trainer.accelerator.unwrap_model(trainer.model)
        # The copy that the divergence is measured from is an adapter too, and not to be saved.
        if lora:
            # Under the name that the configuration has, not the place where this machine keeps it.
            model.peft_config["default"].base_model_name_or_path = self._config.model
        # No vocabulary is resized here; left to find out, peft would ask the hub for a model of that name.
        only: dict[str, Any] = {"selected_adapters": ["default"], "save_embedding_layers": False} if lora else {}
        model.save_pretrained(str(weights), **only)
        trainer.processing_class.save_pretrained(str(weights))
        # The library's card is a form that nobody has filled in; what there is to say is in the provenance.
        (weights / "README.md").unlink(missing_ok=True)
        provenance.write(
            weights,
            config={key: value for key, value in self._run.config.items() if key not in ("command", "fingerprints")},
            data=self._run.config["fingerprints"],  # type: ignore[arg-type]
            metrics=metrics,
            steps=steps,
            samples=0 if self._judge is None else self._judge.judged,
            model=model,
        )
        return weights

    # What is told

    def _on_progress(self, logs: Mapping[str, Any]) -> None:
        """On the event loop."""
        judged = 0 if self._judge is None else self._judge.judged
        kind: Literal["look", "step"] = "look" if "eval_score" in logs else "step"
        if kind == "step" and "loss" not in logs and "reward" not in logs:
            return
        clean = {key: value for key, value in logs.items() if not (isinstance(value, float) and math.isnan(value))}
        self._run.event(kind, clean)
        self._tell(TrainEvent(kind, progress_line(clean, judged), clean))

    def _tell(self, event: TrainEvent) -> None:
        if self._given.on_event is not None:
            self._given.on_event(event)

    def _report(self, trained: _Trained | None, state: State, stopped: str) -> TrainReport:
        history: Sequence[Mapping[str, Json]] = () if trained is None else trained.history
        self._run.write("history.jsonl", "".join(f"{json.dumps(dict(line))}\n" for line in history))
        earlier = self._run.ledger.earlier_seconds
        return TrainReport(
            folder=self._path,
            state=state,
            stopped=stopped,
            steps=0 if trained is None else trained.steps,
            samples=0 if self._judge is None else self._judge.judged,
            weights=None if trained is None else trained.weights,
            metrics={} if trained is None else trained.metrics,
            spend=self._run.ledger.spend(),
            seconds=earlier + self._given.clock() - self._began,
            config=self._run.config,
        )


def progress_line(logs: Mapping[str, Any], samples: int) -> str:
    """One line on one step, or on one look at held-out prompts."""
    start = f"step {logs['step']}/{logs['steps']}:"
    if "eval_score" in logs or "eval_valid" in logs:
        score = "unknown" if "eval_score" not in logs else f"{logs['eval_score']:.3f}"
        return f"{start} held out: score {score}, valid {logs['eval_valid']:.0%}"
    parts = []
    if "reward" in logs and logs["reward"] is not None:
        parts.append(f"reward {logs['reward']:.3f} (sd {logs['reward_std'] or 0:.3f})")
    if "loss" in logs:
        parts.append(f"loss {logs['loss']:.4f}")
    if "valid" in logs:
        parts.append(f"valid {logs['valid']:.0%}")
    if "kl" in logs:
        parts.append(f"KL {logs['kl']:.4f}")
    if samples:
        parts.append(f"{samples} samples")
    if logs.get("unscored"):
        parts.append(f"{logs['unscored']:.0f} unscored")
    if logs.get("flat"):
        parts.append(f"{logs['flat']:.0f} group{'s' if logs['flat'] > 1 else ''} without spread")
    if "step_time" in logs:
        parts.append(f"{logs['step_time']:.1f} s")
    return f"{start} {', '.join(parts)}"


def _comparable(line: Mapping[str, Any]) -> dict[str, Json]:
    """A log line without what no two executions share, and with NaN as the `None` that it means."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in line.items()
        if not any(word in key for word in _UNSHARED)
    }


def _metrics(history: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    steps = [line for line in history if "loss" in line or "reward" in line]
    looks = [line for line in history if line.get("eval_score") is not None]
    found = dict(steps[-1]) if steps else {}
    if looks:
        best = max(looks, key=lambda line: float(str(line["eval_score"])))
        for name, line in (("start", looks[0]), ("best", best)):
            found |= {f"{name}_{key.removeprefix('eval_')}": value for key, value in line.items() if key != "epoch"}
    return found


__all__ = ["Collaborators", "TrainEvent", "TrainReport", "train"]
