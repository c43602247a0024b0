"""Reads a prompt once for all its samples. The k samples of a group share one long prompt and are short themselves:
read k times, as trainers do, it is most of the work.

Sampling fills the cache from one copy of the prompt. Log-probabilities are computed on one sequence, the prompt and
then every completion, in which each completion sees the prompt and itself alone, at the places it had by itself.
Both give what the plain way gives, but for rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from transformers import DynamicCache

from autoflow.errors import UsageError

IGNORED = -100

ATTENTION = ("sdpa", "eager")
"""Implementations of attention that take a mask of any shape."""


def wanted(asked: bool | None, model: Any) -> bool:
    """Whether to share: as asked, and where nothing is asked if the model can be told which places see which.

    Raises:
        UsageError: If it is asked for and cannot be.
    """
    used = model.config._attn_implementation
    sliding = getattr(model.config, "sliding_window", None)
    can = used in ATTENTION and sliding is None
    if asked and not can:
        raise UsageError(
            f"shared_prompt needs full attention by {' or '.join(ATTENTION)}, and this model has {used}"
            + (f" with a window of {sliding}" if sliding is not None else ""),
            hint="shared_prompt: false",
        )
    return can if asked is None else asked


def share_sampling(model: Any) -> None:
    """Make `model.generate` read each run of equal prompts once."""
    plain = model.generate

    def generate(input_ids: Any, attention_mask: Any, generation_config: Any, **options: Any) -> Any:
        drawn = [
            _group(partial(plain, generation_config=generation_config, **options), model, prompt, count)
            for prompt, count in _runs(input_ids, attention_mask)
        ]
        longest = max(part.shape[1] for part in drawn)
        # A part is shorter only where each of its texts has ended.
        filled = [
            torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=generation_config.pad_token_id)
            for part in drawn
        ]
        return torch.cat([input_ids, torch.cat(filled)], dim=1)

    model.generate = generate


def _runs(input_ids: Any, attention_mask: Any) -> Iterator[tuple[Any, int]]:
    """Each prompt without its padding, and how many rows in a row have it."""
    start = 0
    for row in range(1, len(input_ids) + 1):
        if row < len(input_ids) and torch.equal(input_ids[row], input_ids[start]):
            continue
        yield input_ids[start][attention_mask[start].bool()], row - start
        start = row


def _group(draw: Callable[..., Any], model: Any, prompt: Any, count: int) -> Any:
    """`count` texts for one prompt; shape (count, longest)."""
    cache = DynamicCache(config=model.config)
    if len(prompt) > 1:
        model(input_ids=prompt[None, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(count)
    rows = prompt.repeat(count, 1)
    drawn = draw(input_ids=rows, attention_mask=torch.ones_like(rows), past_key_values=cache)
    return drawn[:, len(prompt) :]


def sharing(trainer: type) -> type:
    """The trainer's class, computing log-probabilities with one copy of each prompt."""

    class Sharing(trainer):
        def _get_per_token_logps_and_entropies(  # noqa: PLR0917  called so by the trainers
            self,
            model: Any,
            input_ids: Any,
            attention_mask: Any,
            logits_to_keep: int,
            batch_size: int | None = None,
            compute_entropy: bool = False,
            **_: Any,
        ) -> tuple[Any, Any, None]:
            size = batch_size or len(input_ids)
            logs, entropies = [], []
            for start in range(0, len(input_ids), size):
                rows = slice(start, start + size)
                attention = self.accelerator.unwrap_model(model).config._attn_implementation
                with self.accelerator.autocast():
                    found = log_probabilities(
                        model, input_ids[rows], attention_mask[rows], logits_to_keep, attention=attention
                    )
                logs.append(found[0])
                entropies.append(found[1])
            return torch.cat(logs), torch.cat(entropies) if compute_entropy else None, None

    Sharing.__name__ = trainer.__name__
    return Sharing


def log_probabilities(
    model: Any, input_ids: Any, attention_mask: Any, length: int, *, attention: str
) -> tuple[Any, Any]:
    """Log-probabilities and entropies of the last `length` tokens of each row, 0 at padding; shape (rows, length).

    `model` has the fused head of `trl`; `attention` is one of `ATTENTION`.
    """
    rows = len(input_ids)
    logs: list[Any] = [None] * rows
    entropies: list[Any] = [None] * rows
    prompts, mask = input_ids[:, :-length], attention_mask.bool()
    waiting = list(range(rows))
    while waiting:
        same = [row for row in waiting if torch.equal(prompts[row], prompts[waiting[0]])]
        waiting = [row for row in waiting if row not in same]
        # One order whatever the batch's: policy and reference then round alike, and equal models have no divergence.
        same.sort(key=lambda row: input_ids[row].tolist())
        prompt = prompts[same[0]][mask[same[0], :-length]]
        completions = [input_ids[row, -length:][mask[row, -length:]] for row in same]
        found = model(**_packed(prompt, completions, attention), use_cache=False, fused_lm_head=True)
        at = len(prompt) - 1
        for row, completion in zip(same, completions, strict=True):
            place = slice(at, at + len(completion))
            padding = (0, length - len(completion))
            logs[row] = torch.nn.functional.pad(found.log_probs[0, place], padding)
            # The trainers ask for entropies of the policy alone.
            entropy = torch.zeros_like(logs[row]) if found.entropy is None else found.entropy[0, place]
            entropies[row] = entropy if found.entropy is None else torch.nn.functional.pad(entropy, padding)
            at += len(completion) + 1
    return torch.stack(logs), torch.stack(entropies)


def _packed(prompt: Any, completions: Sequence[Any], attention: str) -> dict[str, Any]:
    """One sequence: the prompt but for its last token, then for each completion that token and the completion."""
    device, shared = prompt.device, len(prompt) - 1
    pieces, labels, places, owners = [prompt[:-1]], [torch.full_like(prompt[:-1], IGNORED)], [], []
    places.append(torch.arange(shared, device=device))
    owners.append(torch.zeros(shared, dtype=torch.long, device=device))
    for number, completion in enumerate(completions, 1):
        pieces += [prompt[-1:], completion]
        labels += [completion, torch.full_like(prompt[-1:], IGNORED)]
        places.append(torch.arange(shared, shared + 1 + len(completion), device=device))
        owners.append(torch.full((1 + len(completion),), number, device=device))
    owner = torch.cat(owners)
    order = torch.arange(len(owner), device=device)
    sees = (order[None, :] <= order[:, None]) & ((owner[None, :] == 0) | (owner[None, :] == owner[:, None]))
    mask = sees[None, None]
    if attention == "eager":
        mask = torch.zeros(mask.shape, device=device).masked_fill(~mask, torch.finfo(torch.float32).min)
    return {
        "input_ids": torch.cat(pieces)[None],
        "shift_labels": torch.cat(labels)[None],
        "position_ids": torch.cat(places)[None],
        "attention_mask": mask,
    }
