"""The layer between a run and a model: every call passes the run's desk."""

from typing import Protocol, TypeVar

from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.objective.desk import Desk, Role
from autoflow.objective.meter import Meter
from autoflow.runs.ledger import Ledger

S = TypeVar("S")


class AnyDesk(Protocol[S]):
    """A desk in this process, or the way to one in another; S is what it lets calls through with."""

    async def ask(self, key: str, model: str, role: Role, request: Request) -> Reply | S:
        """As `Desk.ask`."""
        ...

    async def answered(self, slip: S, reply: Reply) -> Reply:
        """As `Desk.answered`."""
        ...

    def failed(self, slip: S, error: BaseException) -> None:
        """As `Desk.failed`."""
        ...


class AtDesk:
    """A model whose replies are recorded. A recorded reply costs nothing and comes back with `cached` set.

    Equal requests in flight at the same time are one call. A reply is in the ledger before `complete` returns.
    """

    def __init__(self, model: Model, desk: AnyDesk[S], *, role: Role = "interpreter") -> None:
        self._model = model
        self._desk = desk
        self._role: Role = role

    @property
    def name(self) -> str:
        """Of the model within."""
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        """Of the model within."""
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        """Answer from the record, else ask the model and record its answer.

        Raises:
            ProviderError: From the model.
            BudgetExhaustedError: Before the call that would pass a limit.
        """
        name = self._model.name
        found = await self._desk.ask(request.key(name), name, self._role, request)
        if isinstance(found, Reply):
            return found
        try:
            reply = await self._model.complete(request)
        except BaseException as error:
            self._desk.failed(found, error)
            raise
        return await self._desk.answered(found, reply)

    async def aclose(self) -> None:
        """Close the model within."""
        await self._model.aclose()


class Metered(AtDesk):
    """A model at a desk of its own, or at `desk`."""

    def __init__(
        self, model: Model, ledger: Ledger, meter: Meter, *, role: Role = "interpreter", desk: Desk | None = None
    ) -> None:
        """Wrap `model`.

        Raises:
            UsageError: If the budget is in dollars and the model has no known price.
        """
        meter.check(model.name)
        super().__init__(model, desk or Desk(ledger, meter), role=role)
