"""The words that domains are made of: real ones from `words.yaml`, dealt to the splits, and made-up ones."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import TypeVar

import yaml

T = TypeVar("T")

_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

_SYLLABLES = re.compile(" ")
_ONSETS = _SYLLABLES.split("b br c d dr f fl g gl h j k kl l m n p pl qu r s sk sn st t tr v vr w z zw")
_VOWELS = _SYLLABLES.split("a e i o u a e o ai ou ee")
_CODAS = _SYLLABLES.split(" b ck d g l m n nd p r rt s sk st t x z")


@dataclass(frozen=True, slots=True)
class Words:
    """Concepts that a domain may use."""

    types: tuple[tuple[str, tuple[str, ...]], ...]
    """A type's name, and what a task may call its values."""

    defects: tuple[tuple[str, ...], ...]
    """Adjective, noun, adjective of a value without it."""

    nouns: tuple[tuple[str, ...], ...]
    """What can be said of a value, in two wordings."""

    verbs: tuple[tuple[str, ...], ...]
    """Base, third person, gerund, noun."""

    pairs: tuple[tuple[str, ...], ...]
    """What comes beside a value; the wish; the operation as a sentence with {other} and {main}."""

    forms: tuple[tuple[str, ...], ...]
    """The usual form, then others."""

    conversions: tuple[tuple[str, ...], ...]
    """Base, gerund, third person."""


@cache
def all_words() -> Words:
    """The whole list."""
    text = resources.files("autoflow.synthesis").joinpath("words.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    lists = {name: tuple(tuple(row) for row in rows) for name, rows in data.items() if name != "types"}
    return Words(types=tuple((name, tuple(nouns)) for name, nouns in data["types"].items()), **lists)


def dealt(split: str) -> Words:
    """The concepts of a split: disjoint between splits, the same at every call."""
    return Words(**{item.name: _share(getattr(all_words(), item.name), item.name, split) for item in fields(Words)})


def _share(rows: Sequence[T], kind: str, split: str) -> tuple[T, ...]:
    order = list(range(len(rows)))
    random.Random(f"autoflow/{kind}").shuffle(order)  # noqa: S311  no secret
    bounds, at = {}, 0.0
    for name, share in _SHARES.items():
        bounds[name] = (round(at * len(rows)), round((at + share) * len(rows)))
        at += share
    first, last = bounds[split]
    return tuple(rows[index] for index in sorted(order[first:last]))


def pseudo(rng: random.Random, syllables: int = 2) -> str:
    """A word that means nothing."""
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)]
    return "".join(parts) + rng.choice(_CODAS)


def invented(rng: random.Random, like: Words) -> Words:
    """As many concepts as a domain can need, all of them made up. Kinds of wish stay real, or nobody could ask."""

    def word() -> str:
        return pseudo(rng, rng.choice((1, 2, 2, 3)))

    def defect() -> tuple[str, ...]:
        root, good = word(), word()
        return (root + rng.choice(("y", "ed", "ish", "ous", "al")), root, good + rng.choice(("y", "ed", "ish")))

    def verb() -> tuple[str, ...]:
        root = word()
        return (root, root + "s", root + "ing", root + "ing")

    return Words(
        types=tuple((name, (name,)) for name in (word() for _ in range(6))),
        defects=tuple(defect() for _ in range(16)),
        nouns=tuple(
            (name, name) for name in (f"{word()} {word()}" if rng.random() < 0.3 else word() for _ in range(16))
        ),
        verbs=tuple(verb() for _ in range(6)),
        pairs=tuple(
            (name, f"settle the {name}", "Settles a {other} on a {main}.") for name in (word() for _ in range(4))
        ),
        forms=tuple(tuple(word() for _ in range(4)) for _ in range(3)),
        conversions=like.conversions,
    )


def mixed(rng: random.Random, left: Words, right: Words) -> Words:
    """Each kind of concept from one of the two."""
    return Words(**{item.name: getattr(rng.choice((left, right)), item.name) for item in fields(Words)})
