"""A trainer that halts at each update until it is told what its samples earned: the part of it that proposes.

The samples of a step and their rewards decide its update, and nothing else does. So a trainer that is given recorded
steps first comes to the weights that it had, and goes on from there: whoever keeps samples and rewards can resume.
"""

import asyncio
import queue
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autoflow.training.assignments import Assignment
from autoflow.training.bridge import LAST_WORDS_S, Abandoned
from autoflow.training.config import TrainConfig
from autoflow.training.judge import Judged, Sampled
from autoflow.training.outcome import Outcome
from autoflow.training.policy import Waiting, rows

T = TypeVar("T")

_AT_WORK = threading.Lock()
"""Held by the trainer that computes, not by those that wait: accelerate keeps one state for the process, and each
trainer sets it anew as it is built."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is over."""

    tokens: tuple[tuple[int, ...], ...]
    """Of each sample."""

    rewards: tuple[float | None, ...]


class PausedTrainer:
    """One prompt, k samples a step. For one event loop; it works in a thread of its own."""

    def __init__(
        self, config: TrainConfig, assignment: Assignment, recorded: Sequence[Step], save: Path | None = None
    ) -> None:
        """Begin with the steps that are `recorded`. `config.trainer` says how many there are to be in all.

        `save` is where the trained weights go once the last step is over.
        """
        self._config = config
        self._assignment = assignment
        self._recorded = tuple(recorded)
        self._save = save
        self._seeds: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._rewards: queue.SimpleQueue[Sequence[float | None] | None] = queue.SimpleQueue()
        self._drawn: queue.SimpleQueue[list[Sampled] | BaseException | None] = queue.SimpleQueue()
        self.steps = len(self._recorded)
        """Steps that are over."""

        self.waiting: tuple[tuple[int, ...], ...] | None = None
        """The tokens that rewards are awaited for; `None` where none are."""

        work = _Work(config, assignment, self._recorded, save, self._seeds, self._rewards, self._drawn)
        thread = threading.Thread(target=work, name="autoflow-paused-trainer", daemon=True)
        thread.start()
        # The thread waits in a queue, perhaps for ever: letting go of the trainer, or the program's end, ends it.
        self._end = weakref.finalize(self, _end, thread, self._seeds, self._rewards)

    async def draw(self, seed: int) -> list[Sampled]:
        """The next step's samples. Follow with `earn`.

        Raises:
            UsageError, DataError: If there is no such model, or the configuration does not fit.
        """
        self._seeds.put(seed)
        found = await self._next()
        assert found is not None  # noqa: S101  there is a step to draw for
        self.waiting = tuple(item.tokens for item in found)
        return found

    def earn(self, rewards: Sequence[float | None]) -> None:
        """What the samples earned, in order; the update begins."""
        self.waiting = None
        self.steps += 1
        self._rewards.put(tuple(rewards))

    async def finish(self) -> None:
        """Wait for the last update, and for the weights to be saved."""
        await self._next()
        self._end.detach()

    async def _next(self) -> list[Sampled] | None:
        found = await asyncio.to_thread(self._drawn.get)
        if isinstance(found, BaseException):
            raise found
        return found


def _end(thread: threading.Thread, seeds: "queue.SimpleQueue[int | None]", rewards: "queue.SimpleQueue[Any]") -> None:
    seeds.put(None)
    rewards.put(None)
    if thread is not threading.current_thread():
        thread.join(LAST_WORDS_S)


@dataclass(slots=True)
class _Work:
    """What runs in the thread. It holds no reference to its `PausedTrainer`, or that would never be let go."""

    config: TrainConfig
    assignment: Assignment
    recorded: Sequence[Step]
    save: Path | None
    seeds: "queue.SimpleQueue[int | None]"
    rewards: "queue.SimpleQueue[Sequence[float | None] | None]"
    drawn: "queue.SimpleQueue[list[Sampled] | BaseException | None]"

    stopping: bool = False

    def __call__(self) -> None:
        _AT_WORK.acquire()
        try:
            self._train()
        except Abandoned:
            return  # while it waited, without the lock
        except BaseException as error:  # noqa: BLE001  boundary: it is raised where the samples are awaited
            outcome: BaseException | None = error
        else:
            outcome = None
        _AT_WORK.release()
        self.drawn.put(outcome)

    def _train(self) -> None:
        from autoflow.training.callbacks import Following
        from autoflow.training.trainer import Material, build, quiet

        quiet()
        with tempfile.TemporaryDirectory(prefix="autoflow-") as folder:
            material = Material(rows([self.assignment]), score=self._score)
            following = Following(self, lambda _: None, dict)
            trainer = build(self.config, material, Path(folder), following, wrap=self._supplied)
            trainer.train()
            if self.save is not None:
                model = trainer.accelerator.unwrap_model(trainer.model)
                model.save_pretrained(str(self.save), selected_adapters=["default"])
                trainer.processing_class.save_pretrained(str(self.save))

    # In the place of a bridge: nobody stops or watches this trainer from outside.

    def check(self) -> None:
        """Whoever lets go ends it through the queues."""

    def tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Progress is the strategy's to tell."""

    def _supplied(self, kind: type) -> type:
        """The trainer's class, sampling what is recorded, and else by the seed that it is given."""
        work = self

        class Supplied(kind):
            def _generate_single_turn(self, *arguments: Any, **options: Any) -> Any:
                step = self.state.global_step
                if step < len(work.recorded):
                    tokens = [list(item) for item in work.recorded[step].tokens]
                    # GRPO's trainer also expects log-probabilities, which only vLLM gives.
                    return (tokens, None) if work.config.method == "grpo" else tokens
                return work.seeded(lambda: super(Supplied, self)._generate_single_turn(*arguments, **options))

        Supplied.__name__ = kind.__name__
        return Supplied

    def seeded(self, draw: Callable[[], Any]) -> Any:
        """What `draw` gives with the next seed; the process's random state stays as it was."""
        import torch

        seed = _waiting(self.seeds.get)
        devices = list(range(torch.cuda.device_count()))
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            return draw()

    def _score(self, ids: Sequence[str], samples: Sequence[Sampled], step: int) -> Waiting:
        if step >= len(self.recorded):
            self.drawn.put(list(samples))

        def wait() -> list[Judged]:
            rewards = self.recorded[step].rewards if step < len(self.recorded) else _waiting(self.rewards.get)
            return [
                Judged(item, Outcome(True, True, reward), reward) for item, reward in zip(samples, rewards, strict=True)
            ]

        return wait


def _waiting(get: Callable[[], T | None]) -> T:
    """What `get` gives in the end; meanwhile others may work.

    Raises:
        Abandoned: If it gives nothing. The lock is not taken again: whoever lets go may hold it and wait for this end.
    """
    _AT_WORK.release()
    found = get()
    if found is None:
        raise Abandoned
    _AT_WORK.acquire()
    return found
