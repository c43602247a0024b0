"""Reads what demonstrations begin with alike once: the operators of a set, for all tasks over it.

Of a row, most is the list of operators, and rows of one domain share it. A bundle is that beginning and then the rest
of each row, in which each rest sees the beginning and itself alone, at the places it had by itself. The loss and its
gradient are those of the rows read one by one, but for rounding; of eight rows a bundle is about a quarter of the work.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IGNORED = -100

_ALIKE = 0.5
# Of the shorter prompt, so much must be shared for two rows to be worth bundling.


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row as tokens."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    """With the token that ends the turn."""


def tokens_of(row: Mapping[str, Any], tokenizer: Any) -> Tokens:
    """The row by the tokenizer's chat template, up to the end of the completion's turn.

    Raises:
        ValueError: If the template does not write a prompt as the beginning of the whole conversation.
    """
    before = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
    if not whole.startswith(before):
        raise ValueError("the chat template does not write the prompt as the beginning of the whole conversation")
    prompt = tokenizer(before, add_special_tokens=False)["input_ids"]
    completion = tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id in completion:
        completion = completion[: completion.index(tokenizer.eos_token_id) + 1]
    return Tokens(tuple(prompt), tuple(completion))


def bundles(rows: Sequence[Tokens], most: int) -> Iterator[dict[str, list[int]]]:
    """The rows in bundles of at most `most`, in order; rows that follow each other and begin alike share one."""
    waiting: list[Tokens] = []
    for row in rows:
        if waiting and (len(waiting) == most or not _alike(waiting[0], row)):
            yield bundle(waiting)
            waiting = []
        waiting.append(row)
    if waiting:
        yield bundle(waiting)


def _alike(first: Tokens, second: Tokens) -> bool:
    return _shared([first.prompt, second.prompt]) >= _ALIKE * min(len(first.prompt), len(second.prompt))


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; one of each is left, which its first new token is drawn after."""
    length = 0
    while length < min(map(len, prompts)) - 1 and all(prompt[length] == prompts[0][length] for prompt in prompts):
        length += 1
    return length


def bundle(rows: Sequence[Tokens]) -> dict[str, list[int]]:
    """One sequence: the shared beginning (owner 0), then the rest of each row (owners from 1)."""
    shared = _shared([row.prompt for row in rows])
    found = {
        "input_ids": list(rows[0].prompt[:shared]),
        "labels": [IGNORED] * shared,
        "position_ids": list(range(shared)),
        "owners": [0] * shared,
    }
    for owner, row in enumerate(rows, 1):
        rest = row.prompt[shared:]
        length = len(rest) + len(row.completion)
        found["input_ids"] += [*rest, *row.completion]
        found["labels"] += [*[IGNORED] * len(rest), *row.completion]
        found["position_ids"] += range(shared, shared + length)
        found["owners"] += [owner] * length
    return found


@dataclass(frozen=True, slots=True)
class Collator:
    """Bundles as a batch for a model whose attention takes a mask of any shape (sdpa, eager)."""

    padding: int
    """Token that fills shorter bundles up."""

    def __call__(self, batch: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
        """Tensors of shape (bundles, longest), and the mask (bundles, 1, longest, longest): True where a place sees."""
        import torch

        longest = max(len(item["input_ids"]) for item in batch)

        def filled(name: str, filler: int) -> Any:
            return torch.tensor([[*item[name], *[filler] * (longest - len(item[name]))] for item in batch])

        # What fills up is owned by nobody else, so that it is seen by nobody else; each of its places sees itself.
        owners = filled("owners", -1)
        order = torch.arange(longest)
        mine = (owners[:, None, :] == 0) | (owners[:, None, :] == owners[:, :, None])
        return {
            "input_ids": filled("input_ids", self.padding),
            "labels": filled("labels", IGNORED),
            "position_ids": filled("position_ids", 0),
            "attention_mask": ((order[None, :] <= order[:, None]) & mine)[:, None],
        }
