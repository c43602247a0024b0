"""No boundary: a plain process with limits, for people who trust the code they run."""

import sys
import tempfile
from pathlib import Path

from autoflow.sandbox.process import Handover, Start, execute
from autoflow.sandbox.program import Outcome, Program


class Unsafe:
    """The program can read, write and send all that its user can. Only the clock and the limits hold it."""

    name = "unsafe-local"
    enforced = False

    async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
        """See `Sandbox.run`."""
        with Handover(fds) as inherited, tempfile.TemporaryDirectory(prefix="autoflow-sandbox-") as work:
            return await execute(Start((sys.executable,), folder=Path(work)), program, inherited)
