"""The phrases that name and describe operators and word tasks: templates of this package, in `phrases.yaml`."""

import random
from functools import cache
from importlib import resources

import yaml


@cache
def _all() -> dict[str, dict[str, tuple[str, ...]]]:
    text = resources.files("autoflow.synthesis").joinpath("phrases.yaml").read_text(encoding="utf-8")
    return {kind: {part: tuple(lines) for part, lines in parts.items()} for kind, parts in yaml.safe_load(text).items()}


def an(phrase: str) -> str:
    """With its indefinite article."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def every(effect: str, part: str, **words: str) -> tuple[str, ...]:
    """Every phrase of a part, filled in."""
    known = {**words, **{f"a_{key}": an(word) for key, word in words.items()}}
    known |= {key.capitalize(): word.capitalize() for key, word in words.items()}
    return tuple(line.format_map(known) for line in _all()[effect][part])


def one(rng: random.Random, effect: str, part: str, **words: str) -> str:
    """One of them."""
    return rng.choice(every(effect, part, **words))
