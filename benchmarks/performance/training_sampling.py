"""How long a trainer's samples take to draw: together from one copy of each prompt, beside the library's own way.

    python benchmarks/performance/training_sampling.py [--prompts 4] [--prompt-tokens 900] [--tokens 64] [--rounds 2]

Eight texts of `--tokens` tokens for each of `--prompts` prompts, from the embedded model's weights; no text ends early.
"library" is `generate` of transformers on the padded batch under autocast to bfloat16, as trl asks it; "together" is
what `autoflow.training.drawing` makes of it. The ratio is that of the medians, of rounds that take turns.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig

from autoflow.training import base
from autoflow.training.config import TrainConfig
from autoflow.training.defaults import SAMPLES
from autoflow.training.drawing import draw_together


def batch(prompts: int, tokens: int, vocabulary: int) -> dict[str, Any]:
    """Prompts of about as many tokens, each as often as it has samples, padded on the left."""
    torch.manual_seed(0)
    rows, masks = [], []
    for number in range(prompts):
        short = 8 * number
        ids = torch.cat([torch.zeros(short, dtype=torch.long), torch.randint(100, vocabulary, (tokens - short,))])
        rows += [ids] * SAMPLES
        masks += [
            torch.cat([torch.zeros(short, dtype=torch.long), torch.ones(tokens - short, dtype=torch.long)])
        ] * SAMPLES
    return {"input_ids": torch.stack(rows), "attention_mask": torch.stack(masks)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--prompt-tokens", type=int, default=900)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    config = TrainConfig.model_validate(
        {"method": "grpo", "model": "smollm2-135m", "tasks": {"benchmarks": ["openagi"]}}
    )
    plain = base.load_model(config).eval()
    together = copy.deepcopy(plain)
    draw_together(together, half=True)
    drawing = GenerationConfig(
        max_new_tokens=given.tokens, min_new_tokens=given.tokens, do_sample=True, temperature=1.0, top_k=0,
        pad_token_id=0, eos_token_id=[],
    )  # fmt: skip
    asked = batch(given.prompts, given.prompt_tokens, plain.config.vocab_size)
    taken: dict[str, list[float]] = {"library": [], "together": []}
    ways: dict[str, Callable[..., Any]] = {"library": plain.generate, "together": together.generate}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for _ in range(given.rounds):
            for name, draw in ways.items():
                began = time.perf_counter()
                draw(**asked, generation_config=drawing)
                taken[name].append(time.perf_counter() - began)
    for name, seconds in taken.items():
        print(f"{name:10} {statistics.median(seconds):8.1f} s   {' '.join(f'{each:.1f}' for each in seconds)}")
    ratio = statistics.median(taken["library"]) / statistics.median(taken["together"])
    count = given.prompts * SAMPLES
    print(f"{count} texts of {given.tokens} tokens: together {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
