"""`rlao`: offline regression on recorded actions, each weighted by exp(r/tau). Source: W4S (METHODS.md, section 4).

loss = mean over actions of exp(r/tau) * (mean over the action's tokens of -log pi), weights not normalised.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from trl import SFTTrainer

from autoflow.errors import DataError
from autoflow.training.sampling import chat
from autoflow.training.trajectories import Turn, weight

IGNORED = -100


def rows(
    turns: Sequence[Turn], tokenizer: Any, *, tau: float, whole_prefix: bool, max_length: int | None
) -> list[dict[str, Any]]:
    """Each turn as `input_ids`, `labels` and `weight`.

    Args:
        whole_prefix: Put the loss on the prefix's actions too, all with the last one's weight, as the release does.

    Raises:
        DataError: If a row is longer than `max_length` tokens.
    """
    made = [_row(turn, tokenizer, tau, whole_prefix) for turn in turns]
    longest = max(len(row["input_ids"]) for row in made)
    if max_length is not None and longest > max_length:
        raise DataError(
            f"a trajectory has {longest} tokens, more than {max_length}", hint=f"trainer: {{max_length: {longest}}}"
        )
    return made


def _row(turn: Turn, tokenizer: Any, tau: float, whole_prefix: bool) -> dict[str, Any]:
    messages = [*chat(turn.prefix), {"role": "assistant", "content": turn.action}]
    whole = _tokens(tokenizer, messages, asking=False)
    labels = [IGNORED] * len(whole)
    for place, message in enumerate(messages):
        last = place == len(messages) - 1
        if message["role"] != "assistant" or not (last or whole_prefix):
            continue
        before = _tokens(tokenizer, messages[:place], asking=True)
        after = _tokens(tokenizer, messages[: place + 1], asking=False)
        if whole[: len(before)] != before or whole[: len(after)] != after:
            raise DataError(
                f"the chat template renders turn {place + 1} of trajectory {turn.trial or turn.run!r} differently once "
                "more turns follow, so its tokens cannot be found",
                hint="take a model whose template leaves earlier turns as they are",
            )
        labels[len(before) : len(after)] = whole[len(before) : len(after)]
    return {"input_ids": whole, "labels": labels, "weight": weight(turn.reward, tau)}


def _tokens(tokenizer: Any, messages: Sequence[Mapping[str, str]], *, asking: bool) -> list[int]:
    tokens: list[int] = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=asking, tokenize=True, return_dict=True
    )["input_ids"]
    return tokens


class WeightedTrainer(SFTTrainer):
    """TRL's SFT trainer with the weighted loss, on `rows`."""

    # A mean over the rows of a batch: the base class divides it by the batches of an update.
    loss_is_scaled_for_ga = False

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids", "labels", "weight"]

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch that `Collator` made."""
        given = {name: value for name, value in inputs.items() if name != "weight"}
        outputs = model(**given, use_cache=False, fused_lm_head=True)
        counted = (inputs["labels"][:, 1:] != IGNORED).sum(1)
        # Ignored places have log-probability 0.
        losses = -outputs.log_probs.sum(1) / counted
        loss = (inputs["weight"] * losses).mean()
        return (loss, outputs) if return_outputs else loss


class Collator:
    """Pads the rows of a batch on the right."""

    def __init__(self, pad: int) -> None:
        """`pad` is the token that fills up."""
        self._pad = pad

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch: `input_ids`, `labels` and `attention_mask` of shape (rows, longest), `weight` of shape (rows)."""
        longest = max(len(item["input_ids"]) for item in items)

        def padded(lists: Sequence[Sequence[int]], filler: int) -> Any:
            return torch.tensor([[*numbers, *[filler] * (longest - len(numbers))] for numbers in lists])

        return {
            "input_ids": padded([item["input_ids"] for item in items], self._pad),
            "labels": padded([item["labels"] for item in items], IGNORED),
            "attention_mask": padded([[1] * len(item["input_ids"]) for item in items], 0),
            "weight": torch.tensor([item["weight"] for item in items], dtype=torch.float32),
        }
