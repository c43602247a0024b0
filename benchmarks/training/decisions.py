"""How often does a model take the right decision about tasks and operators that it has not seen?

    python benchmarks/training/decisions.py runs/adapter/domains embedded/smollm2-135m embedded/autoflow-135m

The decisions are those of the test split that are asked for as a bare label; each is asked once, held to its labels.
"""

import asyncio
import sys
from pathlib import Path

from autoflow.core.model import Request, Sampling
from autoflow.models.factory import ModelOptions, open_model
from autoflow.statistics import mean_interval, paired
from autoflow.synthesis import dataset
from autoflow.synthesis.rows import Row

_ASKED = "Answer with one of: "


def labels(row: Row) -> tuple[str, ...]:
    """What the row's question may be answered with."""
    return tuple(row.prompt[-1].text.rpartition(_ASKED)[2].split(" | "))


async def right(spec: str, rows: list[Row]) -> list[float]:
    """1 for each right answer, else 0."""
    model = open_model(spec, ModelOptions(slots=4, context_tokens=2048, timeout_s=600))
    try:
        asked = [Request(row.prompt, Sampling(max_tokens=24), labels=labels(row)) for row in rows]
        replies = await asyncio.gather(*(model.complete(request) for request in asked))
    finally:
        await model.aclose()
    return [float(reply.text.strip() == row.completion) for reply, row in zip(replies, rows, strict=True)]


def main() -> None:
    place, *specs = sys.argv[1:]
    found = dataset.read(Path(place), "test")
    rows = [row for row in found if row.form == "label" and row.completion in labels(row)]
    chance = sum(1 / len(labels(row)) for row in rows) / len(rows)
    print(f"{len(rows)} decisions; chance {chance:.3f}")
    before: list[float] | None = None
    for spec in specs:
        now = asyncio.run(right(spec, rows))
        interval = mean_interval(now, seed=0)
        line = f"{spec}: {interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
        if before is not None:
            gap = paired(now, before, seed=0)
            line += (
                f"; {gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] over the one before, p {gap.p_value:.2g}"
            )
        print(line, flush=True)
        before = now


if __name__ == "__main__":
    main()
