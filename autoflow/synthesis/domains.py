"""Draws domains: which tools there are, what they are called, how their cards describe them, how a task words them.

Names follow one style a domain. In two of the styles they say nothing: the description alone tells what a tool does.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoflow.synthesis import phrases
from autoflow.synthesis.words import Words, dealt, invented, mixed, pseudo
from autoflow.synthesis.world import Domain, Tool

STYLES = ("plain", "plain", "plain", "coined", "code", "numbered")

_FIGURES: tuple[str, ...] = (
    *("Osprey", "Harbour", "Lantern", "Maple", "Orion", "Pebble", "Juno", "Falcon", "Cobalt", "Willow", "Atlas"),
    *("Saffron", "Comet", "Badger", "Velvet", "Quartz", "Nimbus", "Tundra", "Marlin", "Clover", "Ember", "Sable"),
)
_SERIES = ("Tool", "Unit", "Module", "Op", "Service")
_SMALL = ("to", "and", "for", "of")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tool makes, as tasks ask for it."""

    tool: str
    asked: tuple[str, ...]
    """Wordings: verb phrases, such as "return the price"."""


@dataclass(frozen=True, slots=True)
class Worded:
    """A domain with the words for its tasks."""

    domain: Domain
    nouns: Mapping[str, tuple[str, ...]]
    """Type -> what a task may call a value of it."""

    defects: Mapping[str, tuple[str, str]]
    """Adjective -> the type that has it, and its noun."""

    wishes: tuple[Wish, ...]
    partners: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Tool with two operands -> what a task calls the one beside the main value, and that one's place."""

    in_order: bool = True
    """Whether tasks name defects in the order in which they are repaired."""


def draw(seed: int, number: int, split: str) -> Worded:
    """The domain of that number. Equal arguments give equal domains; of two splits, no two share a concept."""
    rng = random.Random(f"{seed}/{split}/{number}")  # noqa: S311  no secret
    words = dealt(split)
    kind = rng.random()
    if kind < 0.15:
        words = invented(rng, words)
    elif kind < 0.27:
        words = mixed(rng, words, invented(rng, words))
    return _Maker(rng, words, f"{split}-{seed}-{number}").make()


class _Maker:
    """Draws one domain."""

    def __init__(self, rng: random.Random, words: Words, name: str) -> None:
        self.rng = rng
        self.words = words
        self.id = name
        self.style = rng.choice(STYLES)
        self.used: set[str] = set()
        types = rng.sample(words.types, rng.choice((1, 2, 2, 2, 3)))
        self.nouns = dict(types)
        self.kinds = list(self.nouns)
        self.said = rng.choice(self.kinds)
        """The type that most tools answer in, as text is elsewhere."""

        self.usual: str | None = None
        """The form that it comes in."""

        self.wishes: list[Wish] = []
        self.defects: dict[str, tuple[str, str]] = {}
        self.partners: dict[str, tuple[str, int]] = {}

    def make(self) -> Worded:
        rng = self.rng
        usual, *others = rng.choice(self.words.forms) if rng.random() < 0.6 else (None,)
        self.usual = usual
        repairs = self._repairs()
        makes = [self._say(concept, rng.choice(self.kinds)) for concept in self._some(self.words.nouns, (1, 2, 3, 4))]
        makes += [self._verb(concept, rng.choice(self.kinds)) for concept in self._some(self.words.verbs, (0, 1, 1, 2))]
        makes += self._conversions()
        makes += self._pairs()
        count = rng.randint(1, len(others)) if others else 0
        forms = [self._form(form) for form in rng.sample(others, count)]
        return Worded(
            Domain(self.id, self._listed(repairs, makes, forms), {} if self.usual is None else {self.said: self.usual}),
            self.nouns,
            self.defects,
            tuple(self.wishes),
            self.partners,
            in_order=rng.random() < 0.9,
        )

    def _some(self, concepts: Sequence[tuple[str, ...]], counts: Sequence[int]) -> list[tuple[str, ...]]:
        return self.rng.sample(concepts, min(len(concepts), self.rng.choice(counts)))

    def _listed(self, repairs: list[Tool], makes: list[Tool], forms: list[Tool]) -> tuple[Tool, ...]:
        rng = self.rng
        rest = [*makes, *forms]
        if rng.random() < 0.3:
            rng.shuffle(rest)
        if rng.random() < 0.5:
            # Repairs in their order of drawing, among the rest: their order in the list is the order they are due in.
            places = sorted(rng.sample(range(len(repairs) + len(rest)), len(repairs)))
            for place, tool in zip(places, repairs, strict=True):
                rest.insert(place, tool)
            return tuple(rest)
        late = [tool for tool in repairs if tool.output == self.said] if len(self.kinds) > 1 else []
        if rng.random() < 0.5:
            late = []
        return (*(tool for tool in repairs if tool not in late), *rest, *late)

    # -- tools

    def _repairs(self) -> list[Tool]:
        rng = self.rng
        main = rng.choice(self.kinds)
        found = []
        for adjective, noun, good in self._some(self.words.defects, (2, 3, 4, 5, 6)):
            kind = main if rng.random() < 0.6 else rng.choice(self.kinds)
            words = {"kind": kind, "adjective": adjective, "noun": noun, "good": good}
            self.defects[adjective] = (kind, noun)
            name = self._named("repair", **words)
            found.append(Tool(name, phrases.one(rng, "repair", "lines", **words), (kind,), kind, "repair", adjective))
        if rng.random() < 0.8:
            # What a task brings beside its main value mostly is of the type that tools answer in: repaired last, as it
            # is named last.
            found.sort(key=lambda tool: (tool.output == self.said, tool.output))
        return found

    def _say(self, concept: tuple[str, ...], kind: str) -> Tool:
        rng = self.rng
        asked = rng.choice(concept)
        # The card mostly has the task's own words, in its name or its description; sometimes only the other ones.
        word = asked if rng.random() < 0.75 else rng.choice(concept)
        title = asked if rng.random() < 0.6 else rng.choice(concept)
        return self._made("say", (kind,), self.said, kind=kind, word=word, title=title, asked=asked)

    def _verb(self, concept: tuple[str, ...], kind: str) -> Tool:
        base, third, gerund, noun = concept
        return self._made("verb", (kind,), self.said, kind=kind, base=base, third=third, gerund=gerund, noun=noun)

    def _conversions(self) -> list[Tool]:
        rng = self.rng
        found = []
        for kind in self.kinds:
            if kind != self.said and rng.random() < 0.5:
                source, target = rng.choice(((kind, self.said), (self.said, kind)))
                base, gerund, third = rng.choice(self.words.conversions)
                words = {"source": source, "target": target, "called": rng.choice(self.nouns[target])}
                found.append(self._made("convert", (source,), target, base=base, gerund=gerund, third=third, **words))
        return found

    def _pairs(self) -> list[Tool]:
        rng = self.rng
        found = []
        for other, wish, line in self._some(self.words.pairs, (0, 1, 1, 2)):
            # One wish over several types of value, so that the value, not the wish, says which tool it takes.
            for kind in rng.sample(self.kinds, min(len(self.kinds), rng.choice((1, 2, 2)))):
                partner = self.said if rng.random() < 0.7 else rng.choice(self.kinds)
                place = rng.choice((0, 1))
                inputs = (partner, kind) if place == 0 else (kind, partner)
                name = self._named("pair", kind=kind, other=other, wish=wish)
                described = line.format(other=other, main=kind).rstrip(".")
                self.partners[name] = (other, place)
                self.wishes.append(Wish(name, (wish,)))
                found.append(Tool(name, f"{described}{self._in_form(self.said)}.", inputs, self.said, "make"))
        return found

    def _form(self, form: str) -> Tool:
        kind = self.said
        words = {"kind": kind, "usual": self.usual or "", "form": form}
        line = phrases.one(self.rng, "form", "lines", **words)
        return Tool(self._named("form", **words), line, (kind,), kind, "form", form)

    def _made(self, effect: str, inputs: tuple[str, ...], output: str, **words: str) -> Tool:
        line = f"{phrases.one(self.rng, effect, 'lines', **words)}{self._in_form(output)}."
        tool = Tool(self._named(effect, **words), line, inputs, output, "make")
        self.wishes.append(Wish(tool.name, phrases.every(effect, "wishes", **words)))
        return tool

    # -- words

    def _in_form(self, kind: str) -> str:
        return f" in {self.usual}" if self.usual and kind == self.said and self.rng.random() < 0.4 else ""

    def _named(self, effect: str, **words: str) -> str:
        while True:
            name = self._name(phrases.one(self.rng, effect, "names", **words))
            if name.casefold() not in self.used:
                self.used.add(name.casefold())
                return name

    def _name(self, plain: str) -> str:
        rng = self.rng
        style = self.style if rng.random() < 0.9 else rng.choice(STYLES)
        if style == "coined":
            word = pseudo(rng, rng.choice((2, 3))).capitalize() if rng.random() < 0.6 else rng.choice(_FIGURES)
            return f"{word} {rng.randint(2, 9)}" if rng.random() < 0.25 else word
        if style == "numbered":
            return f"{rng.choice(_SERIES)} {rng.choice('ABCDEFGHKLMNPRSTUVWXYZ')}{rng.randint(1, 99)}"
        if style == "code":
            return "_".join(plain.replace("-", " ").split()).lower()
        shown = " ".join(word if word in _SMALL else word[:1].upper() + word[1:] for word in plain.split())
        # A plain name that is taken gets a number: two makers offer the same.
        return shown if shown.casefold() not in self.used else f"{shown} {rng.randint(2, 9)}"
