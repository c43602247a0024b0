"""The expert models of one run: each loaded at its first use, kept warm, fed in batches, one batch at a time."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from autoflow.errors import OperatorError

from .expert import Apply, Expert, ExpertFaultError, Site, Value
from .modules import MODULES
from .outputs import OutputCache, output_key

LARGEST = 2048
"""Longest side of a picture that an expert is given, in pixels: a plan may double a picture again and again."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A sample that an expert could not process. The modules after it leave it as it is."""

    module: str
    message: str


Outcome: TypeAlias = Value | Failed


class Crew:
    """Safe to use from several threads and event loops: models run in one thread of its own, in turn."""

    def __init__(
        self, experts: Mapping[str, Expert], site: Site | None = None, cache: OutputCache | None = None
    ) -> None:
        self.experts = experts
        self.loads: Counter[str] = Counter()
        """How often each model was loaded, by module, or by its own name where several share it."""

        self.ran: Counter[str] = Counter()
        """Samples that each module processed."""

        self.cached: Counter[str] = Counter()
        """Samples whose output was taken from the cache."""

        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="experts")
        self.site = replace(site or Site(), shared=self._shared)
        self._cache = cache
        self._warm: dict[str, Apply] = {}
        self._common: dict[str, Any] = {}
        self._versions: dict[str, str] = {}
        self._lock = threading.RLock()

    def apply(self, module: str, batch: Sequence[tuple[Outcome, ...]]) -> list[Outcome]:
        """One module on the operands of each sample; one outcome a sample, in order.

        A sample that failed before stays failed; one that the model refuses fails alone.

        Raises:
            ExpertFaultError: If the model cannot be loaded or breaks.
        """
        outcomes: list[Outcome | None] = [_failure(operands) for operands in batch]
        with self._lock:
            keys = [
                output_key(self._version(module), _sound(operands)) if outcomes[index] is None else ""
                for index, operands in enumerate(batch)
            ]
            for index, key in enumerate(keys):
                kept = self._kept(module, key) if key else None
                if kept is not None:
                    outcomes[index] = kept
                    self.cached[module] += 1
            waiting = [index for index, outcome in enumerate(outcomes) if outcome is None]
            if waiting:
                made = self._run(module, [_sound(batch[index]) for index in waiting])
                for index, outcome in zip(waiting, made, strict=True):
                    outcomes[index] = outcome
                    if self._cache is not None and not isinstance(outcome, Failed):
                        self._cache.put(keys[index], outcome)
        assert all(outcome is not None for outcome in outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Let the models go."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._warm.clear()
            self._common.clear()

    def _run(self, module: str, rows: list[tuple[Value, ...]]) -> list[Outcome]:
        apply = self._loaded(module)
        try:
            return self._checked(module, apply, rows)
        except Exception as error:  # boundary: whatever a model raises
            if len(rows) > 1:
                # One sample must not fail its batch.
                return [outcome for row in rows for outcome in self._run(module, [row])]
            if isinstance(error, OperatorError):
                self.ran[module] += 1
                return [Failed(module, error.message)]
            if isinstance(error, ExpertFaultError):
                raise
            raise ExpertFaultError(f"the expert model {module} broke: {type(error).__name__}: {error}") from error

    def _checked(self, module: str, apply: Apply, rows: list[tuple[Value, ...]]) -> list[Outcome]:
        for value in (value for row in rows for value in row if not isinstance(value, str)):
            if max(value.shape[:2]) > LARGEST:
                raise OperatorError(f"{module}: the picture is larger than {LARGEST} pixels a side: {value.shape[:2]}")
        made = list(apply(rows))
        if len(made) != len(rows):
            raise ExpertFaultError(f"the expert model {module} gave {len(made)} outputs for {len(rows)} samples")
        wanted = MODULES[module].output
        for value in made:
            kind = "text" if isinstance(value, str) else "image"
            if kind != wanted or (kind == "image" and not _is_picture(value)):
                raise ExpertFaultError(f"the expert model {module} gave {type(value).__name__}, not {wanted}")
        self.ran[module] += len(rows)
        return made

    def _loaded(self, module: str) -> Apply:
        if module not in self._warm:
            self._warm[module] = self._opened(module, lambda: self.experts[module].load(self.site))
            self.loads[module] += 1
        return self._warm[module]

    def _shared(self, name: str, load: Callable[[], Any]) -> Any:
        if name not in self._common:
            self._common[name] = load()
            self.loads[name] += 1
        return self._common[name]

    def _opened(self, name: str, load: Callable[[], Any]) -> Any:
        try:
            return load()
        except Exception as error:  # boundary: whatever a loader raises
            raise ExpertFaultError(
                f"the expert model {name} cannot be loaded: {type(error).__name__}: {error}",
                hint="see: autoflow doctor openagi",
            ) from error

    def _kept(self, module: str, key: str) -> Value | None:
        return None if self._cache is None else self._cache.get(key, MODULES[module].output)

    def _version(self, module: str) -> str:
        if module not in self._versions:
            self._versions[module] = self.experts[module].version(self.site)
        return self._versions[module]


def _failure(operands: tuple[Outcome, ...]) -> Failed | None:
    return next((value for value in operands if isinstance(value, Failed)), None)


def _sound(operands: tuple[Outcome, ...]) -> tuple[Value, ...]:
    return tuple(value for value in operands if not isinstance(value, Failed))


def _is_picture(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3
