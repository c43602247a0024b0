"""A world in which every workflow's true score is known: orders to be totted up, each with peculiarities.

A task is an order with up to two peculiarities out of eight. A workflow solves it if every peculiarity is dealt with,
and each is dealt with by something that stands in the workflow: a sentence in the instruction of the step whose work it
is, an operator, or a step of its own. The model that carries workflows out is a function of what it is asked. It does
what its instructions say, at most `CAPACITY` special rules a step, and reports in plain words what it left undone.

The best reachable score is 1, by `optimum`. Scores are noisy: a share `noise` of (workflow, task) pairs is judged the
wrong way round, always the same; a share `faults` of first calls fails as a provider does.
"""

import hashlib
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ProviderError
from autoflow.interpreter.run import Interpreter
from autoflow.operators.library import library

CAPACITY = 4
"""Special rules that one step keeps in mind; later ones are forgotten."""

STEADY = 0.55
"""Chance that a long order is added up right in one go; several goes vote."""


@dataclass(frozen=True, slots=True)
class Need:
    """A peculiarity of orders."""

    name: str
    phrase: str
    """How an order shows it."""

    role: str
    """Whose work it is: `read`, `work` or `answer`."""

    rule: str
    """What an instruction says that deals with it."""

    undone: str
    """What a step reports that did not deal with it."""

    done: str


NEEDS = (
    Need(
        "dozens", "bolts by the dozen", "read", "Convert dozens to pieces.", "dozens left as they are", "all in pieces"
    ),
    Need("returns", "some of it sent back", "read", "Leave out what was sent back.", "returns still in", "returns out"),
    Need("dollars", "prices in dollars", "work", "Change dollars to euros.", "sum still in dollars", "sum in euros"),
    Need("discount", "a discount of a tenth", "work", "Take off the discount.", "discount not given", "discount off"),
    Need("tax", "tax to be added", "work", "Add the tax.", "tax not added", "tax added"),
    Need("cents", "a till without cents", "answer", "Round to whole euros.", "odd cents kept", "rounded"),
)
"""Dealt with by a rule in the instruction of a step with that role."""

LONG = Need("long", "forty lines to add up", "work", "", "lost count while adding", "added up")
"""Dealt with by an operator that works the total out several times and votes."""

SMUDGED = Need("smudged", "a smudged paper", "check", "", "smudges taken as read", "smudges cleared up")
"""Dealt with by a step between reading and working that checks what was read."""

ALL = (*NEEDS, LONG, SMUDGED)

SHARES = (1, 3, 3)
"""How many orders have no, one and two peculiarities."""

HAND_WRITTEN = Workflow(
    "orders",
    (
        Step("read", "process", "Read the order and list its lines.", next="work"),
        Step("work", "process", "Work out the total.", next="answer"),
        Step("answer", "terminal", "Say what is to be paid, as a number."),
    ),
    "Tot up an order.",
)


def optimum() -> Workflow:
    """A workflow that deals with everything: the planted optimum."""
    rules = {role: " ".join(need.rule for need in NEEDS if need.role == role) for role in ("read", "work", "answer")}
    read, work, answer = HAND_WRITTEN.steps
    return Workflow(
        "optimum",
        (
            Step("read", "process", f"{read.instruction} {rules['read']}", next="check"),
            Step("check", "process", "Check the lines against the order and clear up smudges.", next="work"),
            Step(
                "work",
                "process",
                f"{work.instruction} {rules['work']}",
                operator="ensemble",
                parameters={"samples": 15},
                next="answer",
            ),
            Step("answer", "terminal", f"{answer.instruction} {rules['answer']}"),
        ),
    )


def order(number: int, needs: Sequence[Need], split: str) -> Task:
    """One task. Its reference is a number that nothing in the text gives away."""
    shown = ", ".join(need.phrase for need in needs)
    text = f"Order {number}: bolts and nuts{f', with {shown}' if shown else ''}. What is to be paid?"
    return Task(f"{split}-{number}", text, reference={"answer": _total(number)})


def orders(split: str, count: int, seed: int) -> tuple[Task, ...]:
    """Tasks of a split: none to two peculiarities, each as likely as the next."""
    rng = random.Random(f"{seed}/{split}")
    start = {"train": 1000, "validation": 2000, "test": 3000}[split]
    return tuple(
        order(start + number, sorted(rng.sample(ALL, rng.choices(range(3), SHARES)[0]), key=ALL.index), split)
        for number in range(count)
    )


def benchmark(seed: int, *, train: int, validation: int, noise: float) -> Benchmark:
    """The benchmark of one seed."""
    return Benchmark(
        "orders",
        "Tot up an order of goods: what is to be paid? Orders have peculiarities.",
        orders("train", train, seed),
        orders("validation", validation, seed),
        Till(noise, seed),
        baseline=HAND_WRITTEN,
        fingerprint=f"orders {seed} {train} {validation} {noise}",
        notes=("A synthetic benchmark with a known optimum of 1; its models are simulated.",),
    )


class Till:
    """Compares the last number of the answer; a share of judgements is turned round."""

    label = "synthetic score"

    def __init__(self, noise: float, seed: int) -> None:
        self._noise = noise
        self._seed = seed

    async def score(self, task: Task, trace: Trace) -> Score:
        """1 or 0."""
        numbers = re.findall(r"\d+(?:\.\d+)?", str(trace.answer))
        right = bool(numbers) and float(numbers[-1]) == task.reference["answer"]
        if _draw("flip", self._seed, trace.workflow, task.id) < self._noise:
            right = not right
        return Score(float(right), "" if right else "wrong_total")


def _draw(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") / 2**64


def _total(number: int) -> float:
    return float(100 + int(_draw("total", number) * 9000))


# -- the model that carries workflows out

_ORDER = re.compile(r"Order (\d+): ([^\n]*)")
_ROLES = {
    "check": re.compile(r"\b(check|compare|verify)", re.IGNORECASE),
    "read": re.compile(r"\b(read|list|extract|what the task gives)", re.IGNORECASE),
    "work": re.compile(r"\b(work out|compute|calculate|add up|total)", re.IGNORECASE),
    "answer": re.compile(r"\b(say|give|state|answer)\b", re.IGNORECASE),
}


def role_of(instruction: str) -> str:
    """What a step is about, by its first words; one that names no part of the work does all of it."""
    first = instruction.split(".", maxsplit=1)[0]
    found = [(match.start(), role) for role, words in _ROLES.items() if (match := words.search(first))]
    return min(found)[1] if found else "all"


def rules_in(instruction: str) -> list[Need]:
    """The rules that an instruction states, in their order, as many as one step keeps in mind."""
    places = sorted((place, need.name) for need in NEEDS if (place := instruction.find(need.rule)) >= 0)
    by_name = {need.name: need for need in NEEDS}
    return [by_name[name] for _, name in places][:CAPACITY]


class Clerk:
    """The interpreter: answers each step from the order and from what the steps before it reported."""

    name = "synthetic/clerk"
    features: frozenset[Feature] = frozenset()

    def __init__(self, seed: int = 0, *, faults: float = 0.0) -> None:
        self._seed = seed
        self._faults = faults
        self.calls = 0

    async def complete(self, request: Request) -> Reply:
        """What the clerk writes for a step.

        Raises:
            ProviderError: For a share of the first steps of a run.
        """
        self.calls += 1
        turns = [message for message in request.messages if message.role != "system"]
        key = request.key(self.name)
        if len(turns) == 1 and _draw("fault", self._seed, key) < self._faults:
            raise ProviderError("the clerk is out", transient=True)
        text = self._answer(turns[0].text, [turn.text for turn in turns if turn.role == "assistant"], request)
        words = sum(len(message.text) for message in request.messages) // 4
        usage = Usage(words, len(text) // 4 + 1, cost_usd=(words + 4 * (len(text) // 4 + 1)) * 1e-7)
        return Reply(text, self.name, usage, seconds=0.4 + len(text) / 400, finish="stop")

    def _answer(self, opening: str, reports: Sequence[str], request: Request) -> str:
        found = _ORDER.search(opening)
        if found is None:
            return "There is no order."
        number, rest = int(found[1]), found[2]
        # The task shares the first turn with the first instruction.
        asked = request.messages[-1].text.removeprefix(found[0]).strip()
        asked = asked if len(reports) else opening.partition("\n\n")[2]
        needs = [need for need in ALL if need.phrase in rest]
        role, rules = role_of(asked), rules_in(asked)
        said: list[str] = []
        for need in needs:
            if need.role == role or (role == "all" and need.role != "check"):
                said.append(self._dealt_with(need, need in rules, request))
            elif need is SMUDGED and role in {"read", "all"}:
                said.append(need.undone)
        report = "; ".join(said)
        past = "\n".join(reports)
        if role == "check":
            # Too late once the total has been worked out from what was read.
            found_smudges = SMUDGED in needs and "subtotal" not in past
            return f"Checked. {SMUDGED.done if found_smudges else 'Nothing found'}."
        if role == "read":
            return f"Lines listed. {report}".strip()
        settled = f"{past}\n{report}"
        open_ = [need for need in needs if need.done not in settled]
        # What is left undone, and how, decides how far the sum is off.
        off = round(sum(1 + 97 * _draw("off", need.name, settled.count(need.name)) for need in open_))
        total = _total(number) + off
        if LONG in needs and LONG.undone in settled:
            total += 1 + int(500 * _draw("slip", request.key(self.name)))
        last = f"{report}. " if report else ""
        return f"{last}subtotal {total:.0f}" if role == "work" else f"{last}To pay: {total:.0f}"

    def _dealt_with(self, need: Need, ruled: bool, request: Request) -> str:
        if need is LONG:
            steady = _draw("steady", self._seed, request.key(self.name)) < STEADY
            return need.done if steady else need.undone
        return need.done if ruled else need.undone

    async def aclose(self) -> None:
        """Nothing is held."""


async def true_score(workflow: Workflow, *, draws: int = 10) -> float:
    """The expected score without noise and faults, over all orders that there are.

    Orders differ by their peculiarities alone: each set of them is run once, weighted by how often it occurs; those
    that come out by chance, `draws` times on different orders.
    """
    runner = Interpreter(Clerk(), library())
    expected = []
    number = 3000
    for size, weight in enumerate(SHARES):
        sets = list(combinations(ALL, size))
        for needs in sets:
            count = draws if LONG in needs else 1
            right = 0
            for _ in range(count):
                number += 1
                task = order(number, needs, "test")
                trace = await runner.run(workflow, task)
                numbers = re.findall(r"\d+", str(trace.answer))
                right += bool(numbers) and float(numbers[-1]) == task.reference["answer"]
            expected.append(weight / sum(SHARES) / len(sets) * right / count)
    return min(1.0, math.fsum(expected))
