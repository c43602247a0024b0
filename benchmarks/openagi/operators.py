"""The 15 modules as operators for plan scoring: each notes that it was called and processes nothing."""

from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation

from .modules import MODULES, Module


@dataclass(frozen=True, slots=True)
class SymbolicModule:
    """A module that is named, not run. Its result says so."""

    module: Module

    @property
    def card(self) -> Card:
        """Types as the plan machine checks them."""
        module = self.module
        return Card(module.name, module.description, module.inputs, module.output, kind="tool")

    async def run(self, call: Invocation) -> Json:
        """One line that stands for the value the module would give."""
        module = self.module
        return (
            f"[symbolic {module.output}: {module.name} was noted in the plan ({' + '.join(module.inputs)} -> "
            f"{module.output}); plan scoring runs no expert model, so nothing was processed]"
        )


def symbolic() -> dict[str, SymbolicModule]:
    """All 15, by name."""
    return {name: SymbolicModule(module) for name, module in MODULES.items()}
