"""What came of a training run, as it is returned, written and read again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from autoflow import __version__
from autoflow.core.budget import Spend
from autoflow.core.json import Json

State = Literal["complete", "budget", "interrupted", "provider"]

FILE = "report.json"
_TIMING = "timing.json"


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came of a run."""

    folder: Path
    state: State
    stopped: str
    """Why the run stopped before its end; empty where it is complete."""

    steps: int
    """Updates made."""

    samples: int
    """Texts judged for updates; 0 for methods that learn from recorded data."""

    weights: Path | None
    """The folder of the trained weights; `None` where the run is not complete."""

    metrics: Mapping[str, Json]
    """What the last step logged; as `best_...` the best look at held-out prompts, as `start_...` the one before any
    update."""

    spend: Spend
    """Of running the sampled workflows."""

    seconds: float
    """Of all sittings."""

    config: Mapping[str, Json]

    @property
    def exit_code(self) -> int:
        """0 complete, 5 the provider was gone, 6 budget reached, 130 interrupted; all but 0 resume."""
        return {"complete": 0, "budget": 6, "interrupted": 130, "provider": 5}[self.state]

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`: equal for equal work, however often it was interrupted."""
        return {
            "kind": "train",
            "autoflow": __version__,
            "state": self.state,
            "stopped": self.stopped,
            "steps": self.steps,
            "samples": self.samples,
            "weights": None if self.weights is None else self.weights.name,
            "metrics": dict(self.metrics),
            "spend": asdict(self.spend),
            "config": dict(self.config),
        }

    def to_text(self) -> str:
        """The content of `report.txt`."""
        lines = [f"{self.config['method']} on {self.config['model']}: {self.steps} updates, {self.samples} samples"]
        if self.state != "complete":
            lines.append(f"not complete ({self.state}): {self.stopped}; the same command resumes")
        lines += [f"  {name}: {shown(value)}" for name, value in self.metrics.items()]
        spend = self.spend
        lines.append(f"interpreter spent {spend.calls} calls, {spend.tokens} tokens, ${spend.usd:.4f}")
        lines.append(f"{self.seconds:.0f} s in all")
        if self.weights is not None:
            lines.append(f"weights: {self.weights}")
        return "\n".join(lines) + "\n"


def shown(value: Json) -> str:
    """A metric for a person."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def files(report: TrainReport) -> dict[str, str]:
    """The files of the run folder that tell of the run, by name."""
    return {
        FILE: json.dumps(report.to_json(), indent=2) + "\n",
        "report.txt": report.to_text(),
        _TIMING: json.dumps({"seconds": report.seconds}, indent=2) + "\n",
    }


def finished(folder: Path) -> TrainReport | None:
    """The report of a run that is complete; `None` for any other."""
    if not (folder / FILE).is_file():
        return None
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if found["state"] != "complete":
        return None
    return TrainReport(
        folder=folder,
        state="complete",
        stopped="",
        steps=found["steps"],
        samples=found["samples"],
        weights=folder / found["weights"],
        metrics=found["metrics"],
        spend=Spend(**found["spend"]),
        seconds=json.loads((folder / _TIMING).read_text(encoding="utf-8"))["seconds"],
        config=found["config"],
    )
