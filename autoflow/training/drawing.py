"""Draws the samples of several prompts together, with one copy of each prompt's keys and values.

Libraries copy the prompt's keys and values for each of its samples, and copy them again for every token drawn: of a
group of short texts after a long prompt that is nearly all of the work. Here each text keeps what it has written
alone, and reads its prompt's where it lies; and a text that has ended is computed no further. What is drawn has the
distribution of the plain way, but for rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AttentionInterface, AutoModelForCausalLM, DynamicCache, LogitsProcessorList
from transformers.cache_utils import Cache, CacheLayerMixin

from autoflow.training.typed import Grammars, Holding

NAME = "autoflow_drawing"
_ROOM = 64
# Places by which the room for what is written grows.

Layers = Sequence[tuple[Any, Any]]
"""Keys and values of a prompt, each of shape (heads, places, width), by layer."""


def draw_together(model: Any, grammars: Grammars | None = None, *, half: bool = False) -> None:
    """Make `model.generate` draw so, and hold each text to its prompt's grammar.

    Args:
        half: Draw from a copy in bfloat16 with the adapter merged, for training that computes in bfloat16. On a CPU,
            to cast the weights for each token takes longer than the token.
    """
    current = _half_precision(model) if half else lambda: model

    def generate(input_ids: Any, attention_mask: Any, generation_config: Any) -> Any:
        writer = current()
        groups = list(_groups(input_ids, attention_mask))
        holding = None
        if grammars is not None:
            each = [prompt.tolist() for rows, prompt in groups for _ in range(rows.start, rows.stop)]
            holding = Holding(grammars, each, input_ids.shape[1])
        processors = writer._get_logits_processor(
            generation_config,
            input_ids_seq_length=input_ids.shape[1],
            logits_processor=LogitsProcessorList([] if holding is None else [holding]),
            device=input_ids.device,
        )
        prompts = [(rows, _read(writer, prompt)) for rows, prompt in groups]
        with _reads(writer, prompts):
            return _write(writer, input_ids, attention_mask.sum(-1), generation_config, processors, holding)

    model.generate = generate


def _write(  # noqa: PLR0917  a step of `generate`
    writer: Any, read: Any, lengths: Any, asked: Any, processors: LogitsProcessorList, holding: Holding | None
) -> Any:
    """The prompts with what is written after each. Texts that have ended are computed no further.

    Args:
        read: Prompts, padded on the left; shape (rows, places).
        lengths: Of the prompts, without their padding; shape (rows,).
    """
    stated = writer.generation_config.eos_token_id if asked.eos_token_id is None else asked.eos_token_id
    ends = torch.tensor([] if stated is None else stated, dtype=torch.long, device=read.device).reshape(-1)
    written = read.new_full((len(read), asked.max_new_tokens), asked.pad_token_id)
    live = torch.arange(len(read), device=read.device)
    cache = Cache(layers=[_Written() for _ in range(writer.config.num_hidden_layers)])
    tokens, count = read[:, -1], 0
    while count < asked.max_new_tokens:
        found = writer(
            input_ids=tokens[:, None],
            position_ids=(lengths[live] - 1 + count)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        scores = processors(torch.cat([read, written[:, :count]], dim=1)[live], found.logits[:, -1].float())
        # Drawn for all, ended or not: what one text becomes does not hang on when another ends.
        chances = torch.rand(len(read), device=read.device)[live]
        tokens = _drawn(scores, chances) if asked.do_sample else scores.argmax(-1)
        written[live, count] = tokens
        count += 1
        (staying,) = torch.nonzero(~torch.isin(tokens, ends), as_tuple=True)
        if len(staying) == 0:
            break
        if len(staying) < len(live):
            live, tokens = live[staying], tokens[staying]
            cache.batch_select_indices(staying)
            _reading.prompts = _stay(_reading.prompts, staying)
            if holding is not None:
                holding.stay(staying.tolist())
    return torch.cat([read, written[:, :count]], dim=1)


def _drawn(scores: Any, chances: Any) -> Any:
    """Of each row the token in whose share of the probability its chance, from [0, 1), falls; shape (rows,)."""
    below = scores.softmax(-1).cumsum(-1)
    total = below[:, -1:]
    # Below the total, though rounding may come to it: else a token of no probability at all would follow the last.
    falls = torch.minimum(chances[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(below, falls, right=True)[:, 0]


def _stay(prompts: Sequence[tuple[slice, Layers]], rows: Any) -> list[tuple[slice, Layers]]:
    """The prompts of the rows that stay, which move up."""
    found, start = [], 0
    for place, layers in prompts:
        count = int(((rows >= place.start) & (rows < place.stop)).sum())
        if count:
            found.append((slice(start, start + count), layers))
        start += count
    return found


def _groups(input_ids: Any, attention_mask: Any) -> Iterator[tuple[slice, Any]]:
    """Rows that follow each other and have the same prompt, and the prompt without its padding."""
    start = 0
    for row in range(1, len(input_ids) + 1):
        if row < len(input_ids) and torch.equal(input_ids[row], input_ids[start]):
            continue
        yield slice(start, row), input_ids[start][attention_mask[start].bool()]
        start = row


def _read(model: Any, prompt: Any) -> Layers:
    """The prompt but for its last token, with which writing begins."""
    config = model.config
    if len(prompt) == 1:
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        nothing = torch.empty((config.num_key_value_heads, 0, width), dtype=model.dtype, device=prompt.device)
        return [(nothing, nothing)] * config.num_hidden_layers
    cache = DynamicCache(config=config)
    model(input_ids=prompt[None, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1)
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def _half_precision(model: Any) -> Callable[[], Any]:
    """The copy, brought up to date at each call."""
    writer = AutoModelForCausalLM.from_config(model.config, dtype=torch.bfloat16).eval()
    writer.generation_config = model.generation_config
    weights = dict(writer.named_parameters())

    def current() -> Any:
        with torch.no_grad():
            for name, module in model.named_modules():
                for inner, value in module.named_parameters(recurse=False):
                    if (weight := weights.get(f"{name}.{inner}")) is not None:
                        weight.copy_(value)
                if isinstance(module, BaseTunerLayer):
                    base = module.get_base_layer()
                    merged = base.weight + sum(module.get_delta_weight(adapter) for adapter in module.active_adapters)
                    weights[f"{name}.weight"].copy_(merged)
                    if base.bias is not None:
                        weights[f"{name}.bias"].copy_(base.bias)
        return writer

    return current


class _Written(CacheLayerMixin):
    """Keys and values of what has been written after the prompts; each of shape (rows, heads, places, width)."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self._places = 0

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        rows, heads, _, width = key_states.shape
        self.keys = key_states.new_empty((rows, heads, _ROOM, width))
        self.values = value_states.new_empty((rows, heads, _ROOM, width))
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._places + key_states.shape[2]
        if end > self.keys.shape[2]:
            self.keys, self.values = (
                torch.cat([kept, kept.new_empty(kept.shape)], dim=2) for kept in (self.keys, self.values)
            )
        self.keys[:, :, self._places : end] = key_states
        self.values[:, :, self._places : end] = value_states
        self._places = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return self._places

    def batch_select_indices(self, indices: Any) -> None:
        self.keys = self.keys[indices]
        self.values = self.values[indices]

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._places + query_length, 0


_reading = local()
# The prompts that this thread is drawing after: attention is called by the model, not by us.


def _attention(  # noqa: PLR0917  called so by the models
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **_: Any
) -> tuple[Any, None]:
    """Of one new token a row: what its prompt and what it has written say; shape (rows, 1, heads, width)."""
    del attention_mask  # a row sees all that it has
    rows, heads, _one, width = query.shape
    shared = key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    query = query.reshape(rows, shared, heads // shared, width) * scale
    own = query @ key.transpose(2, 3)
    out = torch.empty_like(query)
    for place, layers in _reading.prompts:
        keys, values = layers[module.layer_idx]
        count, places = place.stop - place.start, keys.shape[1]
        by_row = (shared, count, heads // shared)
        as_one = (shared, count * heads // shared)
        told = query[place].transpose(0, 1).reshape(*as_one, width) @ keys.transpose(1, 2)
        told = told.view(*by_row, places).transpose(0, 1)
        chances = torch.cat([told, own[place]], dim=-1).float().softmax(-1).to(query.dtype)
        read = chances[..., :places].transpose(0, 1).reshape(*as_one, places) @ values
        out[place] = read.view(*by_row, width).transpose(0, 1) + chances[..., places:] @ value[place]
    return out.reshape(rows, 1, heads, width), None


AttentionInterface.register(NAME, _attention)


@contextmanager
def _reads(model: Any, prompts: Sequence[tuple[slice, Layers]]) -> Iterator[None]:
    before = model.config._attn_implementation
    _reading.prompts = prompts
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        del _reading.prompts
