"""The arms: which adapter each is, how it is trained, and the model file that is measured."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SFT = Path("runs/adapter/fourth/adapter")
"""What `make adapter` trains last: the start of all that follows it."""

UNTRAINED = "embedded/smollm2-135m"


@dataclass(frozen=True, slots=True)
class Arm:
    """A generator of the experiment."""

    name: str
    method: str | None = None
    """What trains it on from the SFT adapter, by the configuration of the same name; `None`: nothing does."""


ARMS = (
    Arm("untrained"),
    Arm("sft"),
    Arm("sft+grpo", "grpo"),
    Arm("sft+reinforce", "reinforce"),
    Arm("rlao", "rlao"),
)


def run(*command: str) -> None:
    """Run a command of this checkout; it says itself what is wrong.

    Raises:
        SystemExit: If it fails.
    """
    print("$", *command, file=sys.stderr, flush=True)
    # What a step reports is in its run folder; faults and progress come by the other way.
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)  # noqa: S603  our own command
    if done.returncode:
        sys.exit(f"{' '.join(command)}: ended with {done.returncode}")


def autoflow(*command: str) -> None:
    """Run the command line of this very package."""
    run(sys.executable, "-m", "autoflow", *command)


def generator(arm: Arm, runs: Path) -> str:
    """The arm as `provider/model`; trained and exported below `runs`/NAME first, where that is not done yet."""
    if arm.name == "untrained":
        return UNTRAINED
    if not SFT.is_dir():
        run("make", "adapter")
    file = runs / arm.name / "model.gguf"
    if not file.is_file():
        adapter = SFT if arm.method is None else trained(arm.method, runs / arm.name, runs)
        file.parent.mkdir(parents=True, exist_ok=True)
        autoflow("adapters", "export", str(adapter), "--output", str(file))
    return f"embedded/{file}"


def trained(method: str, place: Path, runs: Path) -> Path:
    """The adapter of a method, from a run that is made or gone on with."""
    if method == "rlao" and not (place / "turns.jsonl").is_file():
        writer = generator(ARMS[1], runs)
        run(sys.executable, str(HERE / "turns.py"), writer, str(place / "turns.jsonl"))
    data = ["--data", str(place / "turns.jsonl")] if method == "rlao" else []
    autoflow("train", method, str(HERE / f"{method}.yaml"), "--adapter", str(SFT), *data, "--run", str(place / "train"))
    return place / "train" / "adapter"


def training(arm: Arm, runs: Path) -> dict[str, Any] | None:
    """What the arm's training took: updates, samples, seconds; `None` where nothing was trained here."""
    folder = runs / arm.name / "train"
    if not (folder / "report.json").is_file():
        return None
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
    return {
        "updates": report["steps"],
        "samples": report["samples"],
        "seconds": round(timing["seconds"]),
        "seed": report["config"]["seed"],
        "metrics": report["metrics"],
    }
