"""Models opened once and lent out: who asks for the same one again gets the same, and closing is left to the owner."""

from collections.abc import Callable
from types import TracebackType

from autoflow.core.model import Feature, Model, Reply, Request


class Shared:
    """Opens models by `provider/model`. As a context manager it closes them all at its end.

    A run closes what it opens; several runs in one process share a model only where that does nothing.
    """

    def __init__(self, open_model: Callable[[str], Model]) -> None:
        self._open = open_model
        self._opened: dict[str, Model] = {}

    def __call__(self, spec: str) -> Model:
        """The model; its `aclose` does nothing."""
        if spec not in self._opened:
            self._opened[spec] = self._open(spec)
        return _Lent(self._opened[spec])

    async def __aenter__(self) -> "Shared":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._opened:
            _, model = self._opened.popitem()
            await model.aclose()


class _Lent:
    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        return await self._model.complete(request)

    async def aclose(self) -> None:
        """The model belongs to whoever opened it."""
