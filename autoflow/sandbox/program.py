"""What is run in a sandbox, within which limits, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

MIB = 1024 * 1024

Killer = Literal["memory", "cpu", "output"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. It is one process, with threads: making another is refused, except by `Unsafe`."""

    wall_s: float = 15.0
    """Seconds from the moment that the program begins; the start of Python is not counted."""

    cpu_s: int | None = None
    """Seconds of processor time; `None`: `wall_s`, rounded up."""

    memory_bytes: int = 1024 * MIB
    """Address space. Going past it is a `MemoryError` in the program."""

    file_bytes: int = 16 * MIB
    """Size of one file."""

    folder_bytes: int = 64 * MIB
    """Size of everything in the program's own folder, where the boundary lets it write there."""

    open_files: int = 64
    output_bytes: int = 1 * MIB
    """What each of stdout and stderr may carry; a program that writes more is stopped."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"limit {name} must be positive, not {value}")


@dataclass(frozen=True, slots=True)
class Program:
    """Python source files; the one named `main` is run as `__main__`, with its folder as working directory."""

    files: Mapping[str, str]
    """Relative path -> source. Folders are importable."""

    main: str = "main.py"
    argv: tuple[str, ...] = ()
    stdin: bytes = b""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.main not in self.files:
            raise ValueError(f"no file {self.main!r} to run; there are: {', '.join(self.files)}")
        for name in self.files:
            if name.startswith("/") or ".." in name.split("/") or "\0" in name:
                raise ValueError(f"file {name!r} is not inside the program's folder")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. What it wrote is hostile text."""

    status: int
    """Exit status; 128 + n where signal n ended it."""

    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    """Stopped at `Limits.wall_s`."""

    killed_by: Killer | None = None
    """The limit that ended it, as far as can be told; `None` also where `timed_out`."""

    seconds: float = 0.0
    """Wall-clock time, from the moment that the program began."""


class Sandbox(Protocol):
    """A boundary around programs. Safe to use concurrently."""

    @property
    def name(self) -> str:
        """What `autoflow doctor` and reports call it."""
        ...

    @property
    def enforced(self) -> bool:
        """Whether the kernel keeps a program from files, network and environment."""
        ...

    async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
        """Run one program from a fresh start to its end.

        Cancelling stops the program.

        Args:
            fds: Open descriptors that the program inherits under their numbers. They are closed in this process in
                every case, as soon as the program has them.

        Raises:
            SandboxError: If the boundary could not be set up, so that the program did not begin.
        """
        ...


@dataclass(frozen=True, slots=True)
class Boundary:
    """One way to run programs, and whether it works on this machine."""

    name: str
    works: bool
    detail: str
    """Version, or why it does not work and how to get it."""

    sandbox: Sandbox | None = field(default=None, compare=False)
    """`None` where it does not work."""
