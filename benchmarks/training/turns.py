"""Makes the trajectories that the arm `rlao` learns from, out of what the SFT generator writes for train tasks.

    python benchmarks/training/turns.py embedded/runs/training-experiment/sft/model.gguf turns.jsonl

A run of `w4s` is a conversation about one workflow for many tasks. A generator of this size writes workflows for one
task and knows no conversation, so an episode here is that of one task: its greedy draft is the start, then come two
turns of five drafts at temperature 1, each earning W4S's reward (1 above the best so far, 0.5 above the turn before,
else 0; 0.1 less below a score of 0.3). No feedback is shown: each turn is asked the same. Episodes in which nothing
beat what came before are left out, as they would teach to repeat.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autoflow.benchmarks import loader
from autoflow.core.model import Model, Sampling
from autoflow.errors import ReplyError
from autoflow.generator.draft import draft
from autoflow.interpreter.run import Interpreter
from autoflow.models.factory import ModelOptions, open_model
from autoflow.objective.objective import Objective
from autoflow.operators.library import library
from autoflow.runs.ledger import Ledger
from autoflow.training.assignments import Assignment, Shape, assignments
from autoflow.training.judge import Ground, Judge, Judged, Sampled
from autoflow.training.rewards.best_so_far import BestSoFar
from autoflow.training.trajectories import Turn, write

TURNS = 2
CANDIDATES = 5
MAX_TOKENS = 256


async def drafts(model: Model, assignment: Assignment, turn: int, seed: int) -> list[Sampled]:
    """The drafts of one turn; turn 0 is the greedy one."""
    sampling = Sampling(0.0 if turn == 0 else 1.0, max_tokens=MAX_TOKENS, seed=seed)

    async def one(sample: int) -> Sampled:
        request = replace(assignment.request, sampling=sampling, sample=sample)
        try:
            found = await draft(model, request, repairs=0, form=assignment.form)
        except ReplyError as error:
            return Sampled(error.text)
        return Sampled(found.text)

    start = 0 if turn == 0 else 1 + (turn - 1) * CANDIDATES
    return list(await asyncio.gather(*(one(start + place) for place in range(1 if turn == 0 else CANDIDATES))))


async def episode(model: Model, assignment: Assignment, judge: Judge, seed: int) -> list[Turn]:
    """The turns of one task; none where nothing beat what came before."""
    found: list[Judged] = []
    for turn in range(TURNS + 1):
        judged = await judge.group(assignment, await drafts(model, assignment, turn, seed), turn)
        if turn == 0 and judged[0].outcome.score == 1.0:
            return []  # nothing can beat it
        found += judged if turn else []
    if not any(item.reward is not None and item.reward > 0 for item in found):
        return []
    return [
        Turn(assignment.messages, item.sampled.text, item.reward, assignment.benchmark, f"{assignment.id}#{number}")
        for number, item in enumerate(found)
        if item.reward is not None and item.sampled.text
    ]


async def collect(spec: str, places: Sequence[str], tasks: int, seed: int, concurrency: int) -> list[Turn]:
    """The turns of all episodes, over the first `tasks` train tasks of each benchmark, in order."""
    model = open_model(spec, ModelOptions(slots=concurrency, context_tokens=2048, timeout_s=600))
    at_once = asyncio.Semaphore(concurrency)
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        grounds, found = {}, []
        for place in places:
            benchmark = loader.load(place)
            runner = Interpreter(model, {**library(), **benchmark.operators})
            grounds[benchmark.name] = Ground(benchmark, Objective(benchmark.name, benchmark.scorer, runner, ledger))
            found += assignments(benchmark, benchmark.train[:tasks], scope="task", form="outline", shape=Shape())
        judge = Judge(grounds, ledger, BestSoFar(), instances=1, seed=seed)

        async def one(assignment: Assignment) -> list[Turn]:
            async with at_once:
                return await episode(model, assignment, judge, seed)

        try:
            episodes = await asyncio.gather(*(one(assignment) for assignment in found))
        finally:
            await model.aclose()
    kept = [turns for turns in episodes if turns]
    print(f"{len(found)} episodes, {len(kept)} with a reward above 0: {sum(map(len, kept))} actions", file=sys.stderr)
    return [turn for turns in kept for turn in turns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator")
    parser.add_argument("file", type=Path)
    parser.add_argument("--domains", default="runs/adapter/signed/environments/train-4-*7", metavar="PATTERN")
    parser.add_argument("--tasks", type=int, default=1, help="of each domain's train split")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=4)
    given = parser.parse_args()
    places = [str(path) for path in sorted(Path().glob(given.domains))]
    turns = asyncio.run(collect(given.generator, places, given.tasks, given.seed, given.concurrency))
    if not turns:
        sys.exit("no draft beat what came before: there is nothing to learn from")
    given.file.parent.mkdir(parents=True, exist_ok=True)
    write(turns, given.file)


if __name__ == "__main__":
    main()
