"""A temporary folder that nobody else may enter and that does not outlive its process for long: the next one that makes
such a folder clears away those whose process is gone, however it ended."""

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

_LOCK = "lock"


class OwnFolder:
    """Made at once, removed by `close`. `path` is short enough for a socket in it."""

    def __init__(self, prefix: str, *, within: Path | None = None) -> None:
        within = within or Path(tempfile.gettempdir())
        for left in within.glob(f"{prefix}*"):
            _clear(left)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
        # Renamed once it is locked: others must not find it before. The system unlocks it with the process.
        new = self.path / f"{_LOCK}.new"
        self._lock = new.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self.path / _LOCK)

    def __enter__(self) -> "OwnFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder. Safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _clear(folder: Path) -> None:
    # Another user's folder cannot be looked into; one that is locked is in use.
    with contextlib.suppress(OSError), (folder / _LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
