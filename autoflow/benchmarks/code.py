"""The Python beside a definition: `benchmark.py` for benchmark.yaml, `mytasks.py` for mytasks.yaml; imported by path,
with relative imports among its neighbours."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from autoflow.core.json import digest
from autoflow.errors import AutoflowError, DataError

FILE = "benchmark.py"


@dataclass(frozen=True, slots=True)
class Code:
    """A folder's code; `module` is `None` where there is none."""

    file: Path
    module: ModuleType | None

    def has(self, name: str) -> bool:
        """Whether benchmark.py has a function of that name."""
        return callable(getattr(self.module, name, None))

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of benchmark.py. Its own `AutoflowError`s pass.

        Raises:
            DataError: If there is no such function, or it raised anything else; with its file and line.
        """
        if self.module is None:
            raise DataError(f"{self.file} does not exist, but the definition uses its function {name!r}")
        if not self.has(name):
            raise DataError(f"{self.file} has no function {name!r}")
        try:
            return getattr(self.module, name)(*arguments)
        except AutoflowError:
            raise
        except Exception as error:  # Code of the benchmark's author: whatever it raises is theirs to read.
            raise DataError(f"{_place(error, self.file)}: {name} raised {type(error).__name__}: {error}") from error


def files(file: Path) -> list[Path]:
    """What the code consists of, sorted: every Python file of the folder, or, beside a definition that is not
    benchmark.yaml, `file` alone: its folder may hold anything."""
    if file.name != FILE:
        return [file] if file.is_file() else []
    return sorted(path for path in file.parent.rglob("*.py") if "__pycache__" not in path.parts)


def load(file: Path) -> Code:
    """Import a definition's code, once for each content of it.

    Raises:
        DataError: If importing it fails, with file and line.
    """
    folder = file.parent
    if not file.is_file():
        return Code(file, None)
    texts = [[path.relative_to(folder).as_posix(), path.read_bytes().hex()] for path in files(file)]
    # Two folders of one name, and two states of one folder in one process, are different modules.
    name = f"autoflow_benchmark_{re.sub(r'[^A-Za-z0-9]', '_', folder.name)}_{digest([str(file), texts])[:16]}"
    if name in sys.modules:
        return Code(file, sys.modules[name])
    # As a package whose folder is the benchmark's, so that `from .plan import ...` finds its neighbours.
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(folder)])
    assert spec is not None  # noqa: S101 - a .py file always has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        for imported in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[imported]
        if isinstance(error, AutoflowError) or not isinstance(error, Exception):
            raise
        raise DataError(f"{_place(error, file)}: cannot be imported: {type(error).__name__}: {error}") from error
    return Code(file, module)


def _place(error: Exception, file: Path) -> str:
    """The deepest line of the benchmark's own code in the traceback."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    place, trace = str(file), error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).is_relative_to(file.parent):
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
