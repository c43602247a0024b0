"""What judging samples adds to a training step, beside a step whose reward is free.

    python benchmarks/performance/training_overlap.py [--latency 0.5] [--samples 8] [--instances 8] [--steps 7] [--json]

A small random Llama is trained by GRPO. Its samples stand for workflows of two model steps, each of which is run on all
instances by a model that takes `--latency` seconds a call. The critical path of such a reward is one workflow on one
instance, measured alone. A judged step may take at most 1.1 times a free step and that path together.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.generator.draft import DraftRequest
from autoflow.interpreter.run import Interpreter
from autoflow.objective.objective import Objective
from autoflow.operators.library import library
from autoflow.runs.ledger import Ledger
from autoflow.training.assignments import Assignment
from autoflow.training.bridge import Bridge, in_thread
from autoflow.training.config import TrainConfig
from autoflow.training.judge import Ground, Judge, Judged, Sampled, read
from autoflow.training.outcome import Outcome
from autoflow.training.policy import Scoring
from autoflow.training.rewards.score import ScoreReward

TARGET = 1.1
"""A judged step, as a multiple of a free step and the reward's critical path together."""


class Slow:
    """A model that answers after a while."""

    name = "scripted/slow"
    features: frozenset[Feature] = frozenset()

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s

    async def complete(self, request: Request) -> Reply:
        await asyncio.sleep(self._latency_s)
        return Reply("Done.", self.name, Usage(100, 2, None, 0.0), finish="stop")

    async def aclose(self) -> None:
        """Nothing is held."""


class Even:
    """Scores everything 1."""

    label = "made up"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(1.0)


def make_model(folder: Path) -> None:
    """A random Llama of about four million weights, over bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokens = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    named = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **named)
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}assistant: "
    torch.manual_seed(0)
    size = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4}
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokens), max_position_embeddings=4096, **size, **ends)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)


def workflows(count: int) -> list[Sampled]:
    """Texts of different workflows of two model steps each; the last result is the answer."""
    return [
        Sampled(json.dumps({"steps": [[f"Think of {number}.", "generate"], ["Answer.", "generate"]], "answer": ""}))
        for number in range(count)
    ]


def step_seconds(folder: Path, score: Any, bridge: Bridge, options: argparse.Namespace) -> float:
    """The median step of a run, the first left out: it warms up. In the trainer's thread."""
    from autoflow.training.callbacks import Following
    from autoflow.training.trainer import Material, build, quiet

    quiet()
    found: list[float] = []

    def keep(logs: Any) -> None:
        if "step_time" in logs:
            found.append(logs["step_time"])

    config = TrainConfig.model_validate(
        {
            "method": "grpo",
            "model": str(folder / "model"),
            "lora": {"rank": 4},
            "tasks": {"benchmarks": ["made-up"]},
            "trainer": {
                "max_steps": options.steps,
                "max_completion_length": 64,
                "num_generations": options.samples,
                "per_device_train_batch_size": options.samples,
                "save_strategy": "no",
            },
        }
    )
    prompts = [{"prompt": [{"role": "user", "content": "Plan it. " * 40}], "assignment": "one"}]
    following = Following(bridge, keep, dict)
    build(config, Material(prompts, score=score), folder / "checkpoints", following).train()
    # What was logged comes to the event loop by itself, after this thread's work.
    bridge.wait_for(asyncio.sleep(0))
    return statistics.median(found[1:])


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a free step, of a judged one, and of the critical path."""
    with tempfile.TemporaryDirectory() as name, Ledger(Path(name) / "ledger.sqlite") as ledger:
        folder = Path(name)
        make_model(folder / "model")
        tasks = tuple(Task(str(number), "?") for number in range(options.instances))
        interpreter = Interpreter(Slow(options.latency), library())
        benchmark = Benchmark("made-up", "Made up.", tasks, (), Even())
        ground = Ground(benchmark, Objective("made-up", Even(), interpreter, ledger, concurrency=64))
        cards = tuple(operator.card for operator in library().values())
        assignment = Assignment("one", "made-up", DraftRequest("Made up.", cards), "outline", tasks)
        judge = Judge({"made-up": ground}, ledger, ScoreReward(), options.instances, 0)
        texts = workflows(options.samples)

        paths = []
        first = await read(texts[0], assignment)
        assert first.workflow is not None
        for _ in range(3):
            began = time.perf_counter()
            await interpreter.run(first.workflow, tasks[0])
            paths.append(time.perf_counter() - began)

        def free(ids: Sequence[str], samples: Sequence[Sampled], step: int) -> Callable[[], list[Judged]]:
            return lambda: [Judged(item, Outcome(True, True, 1.0), 1.0) for item in samples]

        def judged(bridge: Bridge) -> Any:
            score = Scoring({"one": assignment}, judge, bridge)

            def _score(ids: Sequence[str], samples: Sequence[Sampled], step: int) -> Callable[[], list[Judged]]:
                # New workflows in each step: the ledger would answer for known ones.
                shift = len(samples) * (step + 1)
                return score(ids, workflows(shift + len(samples))[shift:], step)

            return _score

        return {
            "free_s": await in_thread(lambda bridge: step_seconds(folder, free, bridge, options)),
            "judged_s": await in_thread(lambda bridge: step_seconds(folder, judged(bridge), bridge, options)),
            "path_s": statistics.median(paths),
        }


def main() -> int:
    """Measure, print, and end with 3 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of a model call")
    parser.add_argument("--samples", type=int, default=8, help="k")
    parser.add_argument("--instances", type=int, default=8, help="tasks that each sample is scored on")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    found["ratio"] = found["judged_s"] / (found["free_s"] + found["path_s"])
    if options.json:
        print(json.dumps({**vars(options), **found, "target": TARGET}))
    else:
        print(f"free step              {found['free_s']:.2f} s")
        print(f"critical path          {found['path_s']:.2f} s")
        print(f"judged step            {found['judged_s']:.2f} s")
        print(f"judged / (free + path) {found['ratio']:.2f}, at most {TARGET}")
    return 0 if found["ratio"] <= TARGET else 3


if __name__ == "__main__":
    sys.exit(main())
