"""Trajectories for `rlao`: one row for each workflow that a run of `w4s` tried, as JSON Lines.

    {"prefix": [{"role": "user", "content": "..."}, ...], "action": "...", "reward": 0.5, "run": "...", "trial": "r2c1"}

`prefix` is what the generator saw: the query, then each turn's best action and its feedback. `action` is what it wrote
then, as sampled; `reward` is what it earned (METHODS.md, section 4).
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoflow.core.json import Json, digest
from autoflow.core.model import Message
from autoflow.errors import DataError
from autoflow.runs.ledger import Ledger
from autoflow.training.outcome import Outcome, Past
from autoflow.training.rewards.best_so_far import BestSoFar


@dataclass(frozen=True, slots=True)
class Turn:
    """One action with what led to it and what it earned."""

    prefix: tuple[Message, ...]
    action: str
    reward: float
    run: str = ""
    trial: str = ""

    def to_json(self) -> dict[str, Json]:
        """As a row of the file."""
        return {
            "prefix": [{"role": message.role, "content": message.text} for message in self.prefix],
            "action": self.action,
            "reward": self.reward,
            "run": self.run,
            "trial": self.trial,
        }


def weight(reward: float, tau: float) -> float:
    """exp(r/tau), unnormalised. Source: W4S (METHODS.md, section 4): tau 0.4 takes 1 to 12.18 and -0.1 to 0.78."""
    return math.exp(reward / tau)


def load(places: Sequence[str]) -> list[Turn]:
    """The rows of all files, and of the runs that folders hold, in order.

    Raises:
        DataError: At `file:line`; and for a run without trajectories.
        RunError: For a folder that holds no run.
    """
    found: list[Turn] = []
    for place in places:
        path = Path(place).expanduser()
        found += of_run(path) if path.is_dir() else _read(path)
    return found


def of_run(folder: Path, malus: float = 0.0) -> list[Turn]:
    """The trajectories of a run of `w4s`, in the order of its trials, one for each that was scored on validation.

    A trial's notes say what was asked (`request`, the key of the recorded call), what was answered (`action`), and what
    its score is compared with (`best`, `previous`). The reward is 1 above the best, 0.5 above the previous, else 0.

    Args:
        malus: Taken off where the score is below 0.3: 0.1 in the release, 0 in ours.

    Raises:
        RunError: If the folder holds no run.
        DataError: If the run has no trajectories.
    """
    reward = BestSoFar(malus)
    found = []
    with Ledger.reading(folder / "ledger.sqlite") as ledger:
        for trial in ledger.trials():
            value = None if trial.validation is None else trial.validation.mean
            notes: Any = trial.proposal.notes
            asked = None if not notes.get("request") else ledger.request(notes["request"])
            if value is None or asked is None or not notes.get("action"):
                continue
            past = Past(best=notes["best"], previous=notes["previous"])
            earned = reward(Outcome(valid=True, readable=True, score=value), past)
            assert earned is not None  # noqa: S101  there is a score
            found.append(Turn(asked.messages, notes["action"], earned, folder.name, trial.id))
    if not found:
        raise DataError(
            f"{folder}: has no trajectories", hint="they are recorded by: autoflow improve BENCHMARK --strategy w4s"
        )
    return found


def write(turns: Sequence[Turn], file: Path) -> None:
    """Write the rows, whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.write_text("".join(f"{json.dumps(turn.to_json())}\n" for turn in turns), encoding="utf-8")
    new.replace(file)


def fingerprint(turns: Sequence[Turn]) -> str:
    """Hash of what is learned from, in order."""
    return digest([[turn.to_json()["prefix"], turn.action, turn.reward] for turn in turns])


def _read(file: Path) -> Iterator[Turn]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    found = False
    for number, line in enumerate(lines, 1):
        if line.strip():
            found = True
            yield _turn(f"{file}:{number}", line)
    if not found:
        raise DataError(f"{file}: has no rows")


def _turn(place: str, line: str) -> Turn:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: is no JSON: {error}") from error
    try:
        prefix = tuple(Message(item["role"], item["content"]) for item in row["prefix"])
        turn = Turn(prefix, row["action"], float(row["reward"]), str(row.get("run", "")), str(row.get("trial", "")))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: needs prefix (a list of role and content), action and reward; {type(error).__name__}: {error}"
        ) from error
    if not turn.prefix or not isinstance(turn.action, str) or not turn.action or not math.isfinite(turn.reward):
        raise DataError(f"{place}: prefix and action must not be empty, and reward must be a number")
    return turn
