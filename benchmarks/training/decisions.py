"""How often does a model take the right decision about tasks and operators that it has not seen?

    python benchmarks/training/decisions.py runs/adapter/domains embedded/smollm2-135m embedded/autoflow-135m

The decisions are those of the test split that are asked for as a bare label; each is asked once, held to its labels.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from autoflow.core.model import Request, Sampling
from autoflow.models.factory import ModelOptions, open_model
from autoflow.statistics import mean_interval
from autoflow.synthesis import dataset
from autoflow.synthesis.rows import Row

_ASKED = "Answer with one of: "


def labels(row: Row) -> tuple[str, ...]:
    """What the row's question may be answered with."""
    return tuple(row.prompt[-1].text.rpartition(_ASKED)[2].split(" | "))


async def right(spec: str, rows: list[Row]) -> dict[str, float]:
    """1 for each right answer, else 0, by row."""
    model = open_model(spec, ModelOptions(slots=4, context_tokens=2048, timeout_s=600))
    try:
        asked = [Request(row.prompt, Sampling(max_tokens=24), labels=labels(row)) for row in rows]
        replies = await asyncio.gather(*(model.complete(request) for request in asked))
    finally:
        await model.aclose()
    return {row.id: float(reply.text.strip() == row.completion) for reply, row in zip(replies, rows, strict=True)}


def measure(place: Path, spec: str, kept: Path | None = None) -> dict[str, Any]:
    """`right`, what guessing would get (`chance`), and the seconds; read from `kept`, where it was measured before."""
    file = None if kept is None else kept / "decisions.json"
    if file is not None and file.is_file():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    rows = [row for row in dataset.read(place, "test") if row.form == "label" and row.completion in labels(row)]
    began = time.perf_counter()
    scores = asyncio.run(right(spec, rows))
    found = {
        "chance": sum(1 / len(labels(row)) for row in rows) / len(rows),
        "seconds": round(time.perf_counter() - began, 1),
        "right": scores,
    }
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return found


def main() -> None:
    place, *specs = sys.argv[1:]
    for spec in specs:
        found = measure(Path(place), spec)
        interval = mean_interval(list(found["right"].values()), seed=0)
        print(
            f"{spec}: {interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}] of {interval.n},"
            f" chance {found['chance']:.3f}, {found['seconds']} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
