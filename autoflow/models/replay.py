"""`replay/<run folder>`: answers from the replies that a run recorded; a prompt that the run never saw is an error.

The folder's `ledger.sqlite` holds a table `replies` with the columns `key` (`Request.key` under the recorded model's
name), `model` and `reply` (the JSON of a `Reply`, fields at their default left out).
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.errors import ProviderError, RunError
from autoflow.models.options import ModelOptions
from autoflow.models.provider import Provider, free

LEDGER = "ledger.sqlite"


class Replay:
    """Answers by the request's key under each model that the run used; the features are those of any provider."""

    def __init__(self, folder: Path, database: sqlite3.Connection, models: tuple[str, ...]) -> None:
        self._folder = folder
        self._database: sqlite3.Connection | None = database
        self._models = models

    @property
    def name(self) -> str:
        return f"replay/{self._folder}"

    @property
    def features(self) -> frozenset[Feature]:
        """All: a request must be built just as it was when it was recorded, under whatever the provider offered."""
        return frozenset({"schema", "labels", "grammar", "logprobs"})

    async def complete(self, request: Request) -> Reply:
        if self._database is None:
            raise ProviderError(f"{self.name} is closed", transient=False)
        for model in self._models:
            row = self._database.execute("SELECT reply FROM replies WHERE key = ?", (request.key(model),)).fetchone()
            if row is not None:
                return _reply(row[0])
        last = request.messages[-1].text if request.messages else ""
        raise ProviderError(
            f"{self.name} has no reply to this call (purpose {request.purpose!r}, sample {request.sample}, "
            f"temperature {request.sampling.temperature:g}, seed {request.sampling.seed}), ending {last[-200:]!r}",
            transient=False,
            hint=f"the run recorded: {', '.join(self._models)}; settings and texts must be the same as then",
        )

    async def aclose(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _reply(text: str) -> Reply:
    fields: dict[str, Any] = json.loads(text)
    usage = Usage(**fields.pop("usage", {}))
    return Reply(**{**fields, "usage": usage, "cached": True})


def _open(name: str, options: ModelOptions) -> Replay:
    del options
    folder = Path(name)
    path = folder / LEDGER
    if not path.is_file():
        raise RunError(f"{folder} is no run folder: it has no {LEDGER}", hint="list the runs with: autoflow runs")
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        models = tuple(row[0] for row in database.execute("SELECT DISTINCT model FROM replies ORDER BY model"))
    except sqlite3.DatabaseError as error:
        database.close()
        raise RunError(f"{path} cannot be read: {error}") from error
    if not models:
        database.close()
        raise RunError(f"{folder} has recorded no replies")
    return Replay(folder, database, models)


PLUGIN = Provider(_open, free)
