"""The 15 modules as operators of a workflow's steps.

On a task of the benchmark, which has no data of its own, a module notes that it was called and processes nothing: the
steps are the plan, and the scorer runs it on the task's samples. On a task whose context names data (`image=photo.png`,
`text=...`, `query=...`, `document=...`) it is run at once, by the local expert models.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.errors import MissingDependencyError, OperatorError

from .modules import MODULES, Module
from .options import Options

if TYPE_CHECKING:
    from .crew import Crew

ROLES = ("image", "text", "query", "document")
"""Keys of a task's context that hold data; of two texts the query is the lower operand."""


class Workshop:
    """The expert models that all operators share, made when the first is run on data."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._crew: Crew | None = None

    @property
    def crew(self) -> "Crew":
        """Loads no model yet."""
        if self._crew is None:
            from .scorers import crew

            self._crew = crew("local", self._options)
        return self._crew

    @property
    def pictures(self) -> Path:
        """Where results that are pictures lie: a result is the path of one."""
        from autoflow.models.weights import cache_folder

        return cache_folder() / "openagi" / "pictures"


@dataclass(frozen=True, slots=True)
class ModuleOperator:
    """A module. Its result says whether it was run, or is what it made: a text, or the path of a picture."""

    module: Module
    workshop: Workshop = field(repr=False, compare=False)

    @property
    def card(self) -> Card:
        """Types as the plan machine checks them."""
        module = self.module
        return Card(module.name, module.description, module.inputs, module.output, kind="tool")

    async def run(self, call: Invocation) -> Json:
        """Run the module on the newest values that fit: results of earlier steps, else what the context holds.

        Raises:
            OperatorError: If nothing fits, the local set lacks the module, or the model refuses its input.
            ExpertFaultError: If the model broke.
        """
        module = self.module
        if not any(role in call.task.context for role in ROLES):
            return (
                f"[symbolic {module.output}: {module.name} was noted in the plan ({' + '.join(module.inputs)} -> "
                f"{module.output}); plan scoring runs no expert model, so nothing was processed]"
            )
        crew = self.workshop.crew
        if module.name not in crew.experts:
            raise OperatorError(f"there is no local {module.name}", hint=f"there are: {', '.join(crew.experts)}")
        missing = crew.experts[module.name].missing_packages()
        if missing:
            raise MissingDependencyError(
                f"{module.name} needs {', '.join(missing)}", hint="pip install 'autoflow[openagi]'"
            )
        # Reading a picture takes its time too: all of it off the event loop.
        return await asyncio.get_running_loop().run_in_executor(crew.pool, self._made, call)

    def _made(self, call: Invocation) -> Json:
        from .crew import Failed

        crew = self.workshop.crew
        (output,) = crew.apply(self.module.name, [self._operands(call)])
        if isinstance(output, Failed):
            raise OperatorError(f"{output.module}: {output.message}")
        return output if isinstance(output, str) else self._kept(output)

    def _operands(self, call: Invocation) -> tuple[Any, ...]:
        """One value of each type taken, the newest; of two texts the two newest, in order."""
        context = call.task.context
        made = [value for value in call.inputs.values() if isinstance(value, str)]
        # Only what was made here is a picture: a model's text that looks like a path is a text.
        paths = [*([context["image"]] if "image" in context else []), *filter(self._is_ours, made)]
        pictures = [_picture(Path(str(path))) for path in paths]
        texts = [context[role] for role in ROLES[1:] if role in context]
        texts += [value for value in made if not self._is_ours(value)]
        texts += [call.parameters["text"]] if "text" in call.parameters else []
        taken: list[Any] = []
        for kind in reversed(self.module.inputs):
            stack: list[Any] = pictures if kind == "image" else texts
            if not stack:
                raise OperatorError(
                    f"{self.module.name} takes {' + '.join(self.module.inputs)}, and there is no {kind}",
                    hint=f"name one in the task's context: {', '.join(ROLES)}",
                )
            taken.append(stack.pop())
        return tuple(reversed(taken))

    def _is_ours(self, value: str) -> bool:
        return value.endswith(".png") and Path(value).parent == self.workshop.pictures

    def _kept(self, picture: Any) -> str:
        from PIL import Image

        from .outputs import value_digest

        path = self.workshop.pictures / f"{value_digest(picture)[:24]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        return str(path)


def _picture(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path.expanduser()) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise OperatorError(f"{path}: is no picture that can be read: {error}") from error


def operators_of(options: Options) -> dict[str, ModuleOperator]:
    """All 15, by name."""
    workshop = Workshop(options)
    return {name: ModuleOperator(module, workshop) for name, module in MODULES.items()}
