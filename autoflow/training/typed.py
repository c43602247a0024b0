"""Holds sampled plans to those that type-check, and credits them as drawn so.

A runtime with grammars writes nothing else (`autoflow.generator.typed`), so this is the policy that is used in the end:
pi_G(a | s) = pi(a | s) / sum_{b in G(s)} pi(b | s) for the tokens G(s) that the grammar leaves at s. What the grammar
alone decides has probability 1, and no gradient.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor

from autoflow.errors import MissingDependencyError, UsageError
from autoflow.training.sampling import templated

_COMPILED = 64
# Grammars kept ready: a step has a few prompts, and asks of each while it samples and for every log-probability.


class Grammars:
    """The grammar of each prompt."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], tokenizer: Any, vocabulary: int) -> None:
        """`rows` have a `prompt` and its `grammar`, `None` where it has none; `vocabulary` is how many tokens the model
        gives logits for.

        Raises:
            MissingDependencyError: Without llguidance.
            UsageError: If no prompt has a grammar.
        """
        try:
            import llguidance
            import llguidance.hf
        except ImportError as error:
            raise MissingDependencyError(
                "typed samples need llguidance, which is not installed", hint="pip install 'autoflow[train]'"
            ) from error
        self._grammars = {
            tuple(templated(tokenizer, row["prompt"])): row["grammar"] for row in rows if row["grammar"] is not None
        }
        if not self._grammars:
            raise UsageError(
                "typed: no prompt has a grammar, since no task says what types it brings",
                hint="typed: false, or tasks with `context: {inputs: [...]}` and operators that are tools with types",
            )
        self._vocabulary = vocabulary
        self._end = torch.zeros(vocabulary, dtype=torch.bool)
        self._end[tokenizer.eos_token_id] = True
        tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary)

        @lru_cache(_COMPILED)
        def compiled(grammar: str) -> Any:
            matcher = llguidance.LLMatcher(tokens, grammar.removeprefix("%llguidance {}"))
            if matcher.is_error():
                raise ValueError(matcher.get_error())
            return matcher

        self._compiled = compiled

    def matcher(self, prompt: Sequence[int]) -> Any | None:
        """A fresh matcher for what follows the prompt; `None` where nothing holds it."""
        grammar = self._grammars.get(tuple(prompt))
        return None if grammar is None else self._compiled(grammar).deep_copy()

    def allowed(self, matcher: Any) -> Any:
        """Which tokens may come next; bool, shape (vocabulary,)."""
        if matcher.is_stopped():  # nothing can follow but the end
            return self._end
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        return torch.from_numpy(np.unpackbits(bits, bitorder="little")[: self._vocabulary].astype(bool))

    def along(self, prompt: Sequence[int], completion: Sequence[int]) -> Any | None:
        """Which tokens could have stood at each place of a completion; bool, shape (its length, vocabulary).

        Raises:
            ValueError: If the completion is not of the grammar.
        """
        matcher = self.matcher(prompt)
        if matcher is None:
            return None
        rows = []
        for place, token in enumerate(completion):
            rows.append(self.allowed(matcher))
            if not rows[-1][token]:
                raise ValueError(f"token {token} at place {place} is not of the grammar that held the sample")
            if not matcher.is_stopped():
                matcher.consume_token(token)
        return torch.stack(rows)


class Holding(LogitsProcessor):
    """Leaves each row the tokens that its prompt's grammar leaves it."""

    def __init__(self, grammars: Grammars, prompts: Sequence[Sequence[int]], read: int) -> None:
        """`prompts` by row; `read` is how many tokens a row has before the first is drawn, padding and all."""
        self._grammars = grammars
        self._matchers = [grammars.matcher(prompt) for prompt in prompts]
        self._read = read

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        for row, matcher in enumerate(self._matchers):
            if matcher is None:
                continue
            for token in input_ids[row, self._read :].tolist():
                if not matcher.is_stopped():  # else it is the end, or fills up a text that has ended
                    matcher.consume_token(token)
            allowed = self._grammars.allowed(matcher).to(scores.device)
            scores[row] = scores[row].masked_fill(~allowed, -torch.inf)
        self._read = input_ids.shape[1]
        return scores

    def stay(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        self._matchers = [self._matchers[row] for row in rows]


def log_probabilities(logits: Any, tokens: Any, allowed: Any, temperature: float) -> tuple[Any, Any]:
    """Log-probabilities of the tokens, and entropies, among those allowed; each of shape (places,).

    Args:
        logits: Shape (places, vocabulary).
        allowed: Bool, shape (places, vocabulary).
    """
    logs = (logits.float() / temperature).masked_fill(~allowed, -torch.inf).log_softmax(-1)
    taken = logs.gather(-1, tokens[:, None])[:, 0]
    with torch.no_grad():
        # 0 log 0 is 0.
        entropy = -(logs.exp() * logs.masked_fill(~allowed, 0.0)).sum(-1)
    return taken, entropy
