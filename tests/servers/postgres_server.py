"""A PostgreSQL server on loopback with a password, for tests; needs the programs of Debian's package `postgresql`."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`; `None` where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3].zfill(4))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def serve() -> Iterator[str]:
    """The address of a database, password included."""
    folder = programs()
    assert folder is not None
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    password = f"{secrets.token_hex(8)}/@:{secrets.token_hex(8)}"
    try:
        if user is not None:
            os.chown(place, pwd.getpwnam(user).pw_uid, -1)
        entry = place / "password"
        entry.write_text(password)
        if user is not None:
            os.chown(entry, pwd.getpwnam(user).pw_uid, -1)
        data = place / "data"
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "tester", "-A", "scram-sha-256", f"--pwfile={entry}", "-N"],
            check=True,
            user=user,
            capture_output=True,
            cwd=place,
        )
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        control = [folder / "pg_ctl", "-D", data, "-w", "-l", place / "log"]
        options = f"-h 127.0.0.1 -p {port} -k {place} -c fsync=off"
        subprocess.run([*control, "-o", options, "start"], check=True, user=user, cwd=place, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql://tester:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, user=user, cwd=place, capture_output=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
