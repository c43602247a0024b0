"""The plan machine: runs a plan on a goal symbolically, as postfix on a stack or flat on preloaded inputs.

- Postfix: `Input Image k` and `Input Text k` push an input; a module pops its operands from the top and pushes its
  result.
- Flat, a plan without any `Input`: the inputs lie ready in operand order, and a module with one operand acts, in place,
  on the topmost value of its type that it would change, else on the topmost of its type.

A module with two operands pops the two topmost in either form. Exactly one value must be left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .goal import Goal
from .modules import DEFECT_ORDER, MODULES, Module
from .plan import Pick, Token
from .state import Content, Value, given

StructuralCode = Literal["wrong_input", "type_mismatch", "arity", "wrong_output"]


@dataclass(frozen=True, slots=True)
class Application:
    """A module on values that are there. Values are numbered: the task's inputs from 0, then each module's result."""

    module: str
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a plan came to."""

    code: StructuralCode | None
    """Why the plan cannot run, or `None` if it ran and left one value of the type asked for."""

    message: str = ""
    """The code in words, with the place in the plan."""

    value: Value | None = None
    """What is left; `None` with a code."""

    restored: frozenset[tuple[int, str]] = frozenset()
    """(input, defect) pairs that were removed before anything read the input."""

    needless: tuple[str, ...] = ()
    """Modules that changed nothing, in order."""

    order_faults: tuple[str, ...] = ()
    """Restorations applied while a defect that an earlier one removes was still there, in order."""

    applications: tuple[Application, ...] = ()
    """The plan as it runs on data, in its order; empty with a code."""

    result: int = 0
    """Number of the value that is left."""


class _Stop(Exception):  # noqa: N818 - control flow within this file
    def __init__(self, code: StructuralCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Machine:
    goal: Goal
    flat: bool
    stack: list[Value] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)
    removed: set[tuple[int, str]] = field(default_factory=set)
    spoilt: set[tuple[int, str]] = field(default_factory=set)
    needless: list[str] = field(default_factory=list)
    order_faults: list[str] = field(default_factory=list)

    def push(self, pick: Pick) -> None:
        matching = [index for index, item in enumerate(self.goal.inputs) if item.type == pick.type]
        if pick.index >= len(matching):
            raise _Stop("wrong_input", f"the task has {len(matching)} {pick.type} input(s), no {pick}")
        self.load(matching[pick.index])

    def load(self, index: int) -> None:
        self.stack.append(given(self.goal, index))
        self.numbers.append(index)

    def note(self, module: Module, operands: Sequence[int]) -> int:
        self.applications.append(Application(module.name, tuple(operands)))
        return len(self.goal.inputs) + len(self.applications) - 1

    def apply(self, module: Module) -> None:
        if len(module.inputs) == 1:
            place = self._place(module)
            self.stack[place] = self._result(module, self.stack[place])
            self.numbers[place] = self.note(module, (self.numbers[place],))
            return
        if len(self.stack) < len(module.inputs):
            raise _Stop("arity", f"{module.name} takes {len(module.inputs)} values, {len(self.stack)} there")
        operands = self.stack[-len(module.inputs) :]
        types = tuple(value.type for value in operands)
        if types != module.inputs:
            raise _Stop("type_mismatch", f"{module.name} takes {' + '.join(module.inputs)}, not {' + '.join(types)}")
        numbers = self.numbers[-len(module.inputs) :]
        del self.stack[-len(module.inputs) :], self.numbers[-len(module.inputs) :]
        self.stack.append(self._make(module, operands))
        self.numbers.append(self.note(module, numbers))

    def _place(self, module: Module) -> int:
        wanted = module.inputs[0]
        if not self.stack:
            raise _Stop("arity", f"{module.name} takes a value, none is there")
        if not self.flat:
            if self.stack[-1].type != wanted:
                raise _Stop("type_mismatch", f"{module.name} takes {wanted}, not {self.stack[-1].type}")
            return len(self.stack) - 1
        fitting = [index for index, value in enumerate(self.stack) if value.type == wanted]
        if not fitting:
            raise _Stop("type_mismatch", f"{module.name} takes {wanted}, there is only {self.stack[-1].type}")
        return next((index for index in reversed(fitting) if _changes(module, self.stack[index])), fitting[-1])

    def _result(self, module: Module, value: Value) -> Value:
        if module.makes_content:
            return self._make(module, [value])
        if not _changes(module, value):
            self.needless.append(module.name)
            return value
        if module.restores is not None:
            earlier = DEFECT_ORDER[: DEFECT_ORDER.index(module.restores)]
            if any(defect in earlier for item in self.stack for defect in item.defects):
                self.order_faults.append(module.name)
            if value.source is not None:
                self.removed.add((value.source, module.restores))
            return value.without(module.restores)
        self._read(value)
        return Value(value.type, value.content, module.translates, value.source, value.defects)

    def _make(self, module: Module, operands: Sequence[Value]) -> Value:
        for value in operands:
            self._read(value)
        content: Content = (module.name, tuple(value.source for value in operands if value.source is not None))
        # The experts read English: what they make of anything else, or of another expert's words, no task asks for.
        if any(value.source is None or value.language not in (None, "English") for value in operands):
            content = None
        return Value(module.output, content, "English" if module.output == "text" else None)

    def _read(self, value: Value) -> None:
        if value.source is not None:
            self.spoilt.update((value.source, defect) for defect in value.defects)

    def finish(self) -> Value:
        if len(self.stack) != 1:
            raise _Stop("arity", f"{len(self.stack)} values are left at the end, not one")
        (value,) = self.stack
        if value.type != self.goal.output:
            raise _Stop("wrong_output", f"the plan ends with {value.type}, the task asks for {self.goal.output}")
        self._read(value)
        return value


def _changes(module: Module, value: Value) -> bool:
    if module.restores is not None:
        return module.restores in value.defects
    return module.makes_content or value.language != module.translates


def execute(goal: Goal, plan: Sequence[Token]) -> Outcome:
    """Run the plan. Never raises: what cannot run has a code."""
    flat = not any(isinstance(token, Pick) for token in plan)
    machine = _Machine(goal, flat)
    if flat:
        for index in goal.operands():
            machine.load(index)
    done = 0
    try:
        for token in plan:
            if isinstance(token, Pick):
                machine.push(token)
            else:
                machine.apply(MODULES[token])
            done += 1
        value = machine.finish()
    except _Stop as stop:
        where = "at the end" if done == len(plan) else f"at step {done + 1} of the plan"
        return Outcome(stop.code, f"{where}: {stop}")
    return Outcome(
        None,
        "",
        value,
        frozenset(machine.removed - machine.spoilt),
        tuple(machine.needless),
        tuple(machine.order_faults),
        tuple(machine.applications),
        machine.numbers[0],
    )
