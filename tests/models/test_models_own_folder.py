"""A killed process leaves no folder behind for good."""

import subprocess
import sys
from pathlib import Path

from autoflow.models.own_folder import OwnFolder

KILLED = """
import os, signal, sys
from pathlib import Path
from autoflow.models.own_folder import OwnFolder
folder = OwnFolder("mine-", within=Path(sys.argv[1]))
(folder.path / "s.sock").touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_cleared_away_and_what_is_in_use_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    other = tmp_path / "mine-without-a-lock"
    other.mkdir()
    with OwnFolder("mine-", within=tmp_path) as first, OwnFolder("mine-", within=tmp_path) as second:
        assert not left.exists()
        assert first.path.is_dir()
        assert first.path.stat().st_mode & 0o077 == 0
        assert second.path.is_dir()
    assert list(tmp_path.iterdir()) == [other]
    first.close()
