"""`function`: a function of the user's own, written `module:function`.

In benchmark.yaml the scorer is `scorer: my_scorer:judge`, where `my_scorer.py` lies beside the definition or
`my_scorer` is an installed package; on the command line `--scorer my_scorer:judge`. The function takes the task and
the answer, and the parameters by name; it returns a number in [0, 1], true or false, `None` (unscored), or a `Score`.
It may be async; one that is not runs in a thread, so several calls may run at once.
"""

import asyncio
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoflow.core.json import Json, digest
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import AutoflowError, ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Function:
    """Calls `function(task, answer, **parameters)`."""

    name: str
    """`module:function`."""

    function: Callable[..., Any]
    parameters: Mapping[str, Json] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The function's name: `my_scorer:judge`."""
        return self.name

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the function raises, or returns something else.
        """
        try:
            if inspect.iscoroutinefunction(self.function):
                found = await self.function(task, trace.answer, **self.parameters)
            else:
                found = await asyncio.to_thread(self.function, task, trace.answer, **self.parameters)
                if inspect.isawaitable(found):
                    found = await found
        except AutoflowError:
            raise
        except Exception as error:  # Code of the user's: whatever it raises is theirs to read.
            place = _place(error)
            raise DataError(
                f"{place}scorer {self.name} raised {type(error).__name__} on task {task.id}: {error}"
            ) from error
        if isinstance(found, Score):
            return found
        if found is None:
            return Score(None, "unscored")
        if isinstance(found, int | float) and 0 <= found <= 1:
            return Score(float(found), "" if found == 1 else "mismatch" if found == 0 else "partial")
        raise DataError(
            f"scorer {self.name} returned {found!r} on task {task.id}; "
            "it must return a number in [0, 1], true or false, None or a Score"
        )


def is_name(scorer: str) -> bool:
    """Whether a scorer's name is written `module:function`."""
    return ":" in scorer


def make(name: str, folder: Path, parameters: Mapping[str, Json]) -> Function:
    """Find the function of that name, in a file of `folder` first.

    Raises:
        ConfigError: If module or function is not there, cannot be imported, or takes other arguments.
    """
    module_name, _, function_name = name.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or not function_name.isidentifier():
        raise ConfigError(f"scorer {name!r} must be written module:function, as in my_scorer:judge")
    file = source(name, folder)
    try:
        module = importlib.import_module(module_name) if file is None else _from_file(module_name, file)
    except ModuleNotFoundError as error:
        if error.name != module_name.split(".")[0] and error.name != module_name:
            raise ConfigError(
                f"scorer {name!r}: {file or module_name} needs {error.name!r}, which is absent"
            ) from error
        raise ConfigError(
            f"scorer {name!r}: there is neither {folder / (module_name + '.py')} "
            f"nor an installed module {module_name!r}"
        ) from error
    except Exception as error:  # Code of the user's: whatever importing it raises is theirs to read.
        raise ConfigError(
            f"{_place(error)}scorer {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = sorted(key for key, item in vars(module).items() if inspect.isfunction(item) and key[0] != "_")
        raise ConfigError(
            f"scorer {name!r}: {module_name} has no function {function_name!r}; it has: {', '.join(known)}"
        )
    try:
        inspect.signature(function).bind("task", "answer", **parameters)
    except TypeError as error:
        raise ConfigError(f"scorer {name!r} must take (task, answer{_said(parameters)}): {error}") from error
    return Function(name, function, parameters)


def source(name: str, folder: Path) -> Path | None:
    """The file beside the definition that holds the function; `None` for an installed module."""
    file = folder.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py")
    return file if file.is_file() else None


def _from_file(module_name: str, file: Path) -> Any:
    # Two files of one name, and two states of one file in one process, are different modules.
    unique = f"autoflow_scorer_{module_name.replace('.', '_')}_{digest([str(file), file.read_bytes().hex()])[:16]}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, file)
    assert spec is not None  # noqa: S101 - a .py file always has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _said(parameters: Mapping[str, Json]) -> str:
    return "".join(f", {name}" for name in parameters)


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}: "
        trace = trace.tb_next
    return place
