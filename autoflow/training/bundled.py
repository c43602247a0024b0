"""TRL's SFT trainer on bundles (`autoflow.training.alike`): the loss is the mean over all tokens that are learned."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from trl import SFTTrainer

from autoflow.training.alike import IGNORED, bundles, tokens_of


def rows(demonstrations: Iterable[Mapping[str, Any]], tokenizer: Any, most: int) -> list[dict[str, list[int]]]:
    """The demonstrations in bundles of at most `most`; a bundle is a row of the trainer."""
    return list(bundles([tokens_of(row, tokenizer) for row in demonstrations], most))


class BundledTrainer(SFTTrainer):
    """Learns from batches that `alike.Collator` made. Of the logits, only those that are learned from are computed."""

    loss_is_scaled_for_ga = True

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids", "labels", "position_ids", "owners"]

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch: the sum over its learned tokens, divided by those of the whole update."""
        learned = inputs["labels"][:, 1:]
        places = (learned != IGNORED).any(0).nonzero()[:, 0]
        given = {name: value for name, value in inputs.items() if name != "labels"}
        outputs = model(**given, use_cache=False, logits_to_keep=places)
        wanted = learned[:, places].flatten()
        total = torch.nn.functional.cross_entropy(
            outputs.logits.flatten(0, 1).float(), wanted, ignore_index=IGNORED, reduction="sum"
        )
        loss = total / (num_items_in_batch if num_items_in_batch is not None else (wanted != IGNORED).sum())
        return (loss, outputs) if return_outputs else loss
