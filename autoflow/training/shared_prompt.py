"""Reads a prompt once for all its samples. The k samples of a group share one long prompt and are short themselves:
read k times, as trainers do, it is most of the work.

`autoflow.training.drawing` draws so. Log-probabilities are computed on one sequence, the prompt and then every
completion, in which each completion sees the prompt and itself alone, at the places it had by itself. They are those of
the plain way, but for rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from autoflow.errors import UsageError
from autoflow.training.typed import Grammars
from autoflow.training.typed import log_probabilities as typed_log_probabilities

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
    capped = getattr(model.config, "attn_logit_softcapping", None)
    can = used in ATTENTION and sliding is None and capped is None
    if asked and not can:
        raise UsageError(
            f"shared_prompt needs full attention by {' or '.join(ATTENTION)}, and this model has {used}"
            + (f" with a window of {sliding}" if sliding is not None else "")
            + (f" capped at {capped}" if capped is not None else ""),
            hint="shared_prompt: false",
        )
    return can if asked is None else asked


def sharing(trainer: type, grammars: Grammars | None = None) -> type:
    """The trainer's class, computing log-probabilities with one copy of each prompt, and its grammar if it has one."""

    class Sharing(trainer):
        _buffered_inputs: Any  # the trainer's own

        def _prepare_inputs(self, generation_batch: Any) -> Any:
            before = self._buffered_inputs
            inputs = super()._prepare_inputs(generation_batch)
            # The trainers deal a step's samples out at random, and each batch would read each prompt again. Where all
            # of them go into one update, their order is nothing but time.
            batches, update = self.args.steps_per_generation, self.args.gradient_accumulation_steps
            if self._buffered_inputs is before or batches > update:
                return inputs
            self._buffered_inputs = by_prompt(self._buffered_inputs)
            return self._buffered_inputs[self._step % batches]

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
            head = _fused if grammars is None else partial(_typed, grammars, self.temperature)
            logs, entropies = [], []
            for start in range(0, len(input_ids), size):
                rows = slice(start, start + size)
                attention = self.accelerator.unwrap_model(model).config._attn_implementation
                with self.accelerator.autocast():
                    found = log_probabilities(
                        model, input_ids[rows], attention_mask[rows], logits_to_keep, attention=attention, head=head
                    )
                logs.append(found[0])
                entropies.append(found[1])
            return torch.cat(logs), torch.cat(entropies) if compute_entropy else None, None

    Sharing.__name__ = trainer.__name__
    return Sharing


def by_prompt(batches: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the batches, dealt out anew with those of one prompt next to each other; what is no row stays."""
    prompts = [row.tolist() for batch in batches for row in batch["prompt_ids"]]
    order = sorted(range(len(prompts)), key=lambda row: prompts[row])
    size = len(prompts) // len(batches)
    dealt: list[dict[str, Any]] = [{} for _ in batches]
    for name, first in batches[0].items():
        if first is None or (isinstance(first, torch.Tensor) and first.ndim == 0):
            rows = None
        elif isinstance(first, torch.Tensor):
            rows = torch.cat([batch[name] for batch in batches])[order]
        else:
            joined = [item for batch in batches for item in batch[name]]
            rows = [joined[row] for row in order]
        for number, batch in enumerate(dealt):
            batch[name] = first if rows is None else rows[number * size : (number + 1) * size]
    return dealt


Head = Callable[[Any, Mapping[str, Any], Any, Sequence[Any]], tuple[Any, Any | None]]
"""(model, packed sequence, prompt, completions) -> log-probabilities of the completions' tokens, one completion after
the other, and entropies, `None` where the model has been told to spare them."""


def _fused(model: Any, packed: Mapping[str, Any], prompt: Any, completions: Sequence[Any]) -> tuple[Any, Any | None]:
    """By the fused head of `trl`."""
    del prompt, completions
    found = model(**packed, use_cache=False, fused_lm_head=True)
    places = packed["shift_labels"][0] != IGNORED
    return found.log_probs[0, places], None if found.entropy is None else found.entropy[0, places]


def _typed(  # noqa: PLR0917  the first two are bound, the rest is a head's
    grammars: Grammars,
    temperature: float,
    model: Any,
    packed: Mapping[str, Any],
    prompt: Any,
    completions: Sequence[Any],
) -> tuple[Any, Any | None]:
    """Among what the prompt's grammar leaves at each place; a prompt without one leaves everything."""
    labels = packed["shift_labels"][0]
    read = {name: value for name, value in packed.items() if name != "shift_labels"}
    (places,) = torch.nonzero(labels != IGNORED, as_tuple=True)
    logits = model(**read, use_cache=False, logits_to_keep=places).logits[0]
    allowed = [grammars.along(prompt.tolist(), completion.tolist()) for completion in completions]
    held = torch.ones_like(logits, dtype=torch.bool) if allowed[0] is None else torch.cat(allowed).to(logits.device)
    return typed_log_probabilities(logits, labels[places], held, temperature)


def log_probabilities(
    model: Any, input_ids: Any, attention_mask: Any, length: int, *, attention: str, head: Head = _fused
) -> tuple[Any, Any]:
    """Log-probabilities and entropies of the last `length` tokens of each row, 0 at padding; shape (rows, length).

    `model` has the fused head of `trl`, unless `head` uses another; `attention` is one of `ATTENTION`.
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
        found, entropy = head(model, _packed(prompt, completions, attention), prompt, completions)
        lengths = [len(completion) for completion in completions]
        # The trainers ask for entropies of the policy alone.
        entropy = torch.zeros_like(found) if entropy is None else entropy
        for row, log, spread in zip(same, found.split(lengths), entropy.split(lengths), strict=True):
            padding = (0, length - len(log))
            logs[row] = torch.nn.functional.pad(log, padding)
            entropies[row] = torch.nn.functional.pad(spread, padding)
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
