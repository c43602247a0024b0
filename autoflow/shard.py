"""Which part of a split's tasks one of several machines measures: `--shard 2/4` is the second of four parts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoflow.core.json import digest
from autoflow.core.task import Task
from autoflow.errors import UsageError
from autoflow.spool import Picked


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts, whose sizes differ by one task at most."""

    number: int
    """From 1."""

    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "2/4".

        Raises:
            UsageError: If it is not of that form, or there is no such part.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = None if found is None else cls(int(found[1]), int(found[2]))
        if shard is None or not 1 <= shard.number <= shard.of:
            raise UsageError(f"a shard is written i/n with i from 1 to n, not {text!r}", hint="for example --shard 2/4")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def part(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Its tasks, in their order. Which they are follows from all ids together, not from the order of the tasks.

        Raises:
            UsageError: If it has none.
        """
        # Dealt out by a hash: neighbours are often of one kind, and every part should have some of each.
        ids = [task.id for task in tasks]
        dealt = sorted(range(len(ids)), key=lambda place: (digest(ids[place]), place))
        if self.number > len(dealt):
            raise UsageError(f"shard {self} has no task: there are only {len(dealt)}", hint="take fewer shards")
        return Picked(tasks, sorted(dealt[self.number - 1 :: self.of]))
