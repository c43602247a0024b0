"""The run folder: what one invocation leaves on disk, found again by the same command.

runs/improve-openagi-1a2b3c4d/
    config.yaml      the resolved configuration, without secrets
    ledger.sqlite    replies, results, faults, trials, events (`autoflow.runs.ledger`)
    workflows/       every workflow of the run, as canonical YAML
    report.json      the same bytes for the same work, however often it was interrupted
    report.txt
    timing.json      what no two executions share: seconds, sittings, cache hits
    log
    lock             held by the process that is using the folder
"""

import fcntl
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import yaml

from autoflow import __version__
from autoflow.core.budget import Spend
from autoflow.core.json import Json, digest
from autoflow.core.workflow import Workflow
from autoflow.errors import RunError, UnknownNameError, place_in_yaml
from autoflow.language.dump import dump
from autoflow.runs.ledger import DAMAGED, Ledger
from autoflow.runs.secrets import blotter

State = Literal["running", "complete", "budget", "interrupted", "provider", "failed", "killed", "damaged"]
"""All but `complete` and `damaged` resume. `budget`, `interrupted` and `provider` were stopped, `failed` met an error,
`killed` left no word, `damaged` cannot be read."""

ENDS: tuple[State, ...] = ("complete", "budget", "interrupted", "provider", "failed")

FREE_KEYS = ("budget", "concurrency", "command")
"""Top-level configuration keys that may change from one sitting to the next: they do not change what is measured."""

_SECRET = re.compile(r"(?i)(api[-_]?key|access[-_]?key|password|passwd|secret|credentials?|authorization|bearer)$")
_IN_URL = re.compile(r"(?i)([?&](?:[a-z_-]*key|token|sig|signature|secret|password)=)[^&#\s]+")
_USER_IN_URL = re.compile(r"(://)[^/@\s]+@")


def identity(config: Mapping[str, Json]) -> dict[str, Json]:
    """The part of a configuration that a resumed run must share, without secrets."""
    return {key: value for key, value in public(config).items() if key not in FREE_KEYS}


def default_name(command: str, subject: str, config: Mapping[str, Json]) -> str:
    """The folder name of a command without an explicit one: equal for equal configurations.

    `command` and `subject` ("improve", "openagi") make it readable; the digest of `identity(config)` makes it unique.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", f"{command}-{Path(subject).stem if '/' in subject else subject}".lower())
    return f"{slug.strip('-')[:60]}-{digest(identity(config))[:8]}"


def public(config: Mapping[str, Json]) -> dict[str, Json]:
    """The configuration with credentials blotted out.

    Raises:
        RunError: If a key is named like a secret; keys come from the environment and are never written.
    """
    blot = blotter(os.environ)
    return {key: _public(value, key, blot) for key, value in config.items()}


def _public(value: Json, place: str, blot: Callable[[str], str]) -> Json:
    if _SECRET.search(place.rsplit(".", 1)[-1]) and value is not None:
        raise RunError(
            f"the configuration carries a secret at {place}; a run folder never does",
            hint="leave it in the environment",
        )
    if isinstance(value, str):
        return blot(_IN_URL.sub(r"\1***", _USER_IN_URL.sub(r"\1***@", value)))
    if isinstance(value, Mapping):
        return {key: _public(item, f"{place}.{key}", blot) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_public(item, f"{place}[{index}]", blot) for index, item in enumerate(value)]
    return value


@dataclass(frozen=True, slots=True)
class Difference:
    """A configuration key, dotted, with the value in the folder and the value asked for; `None` also where absent."""

    key: str
    stored: Json
    asked: Json

    def __str__(self) -> str:
        return f"{self.key}: {json.dumps(self.stored)} in the folder, {json.dumps(self.asked)} now"


def differences(stored: Json, asked: Json, key: str = "") -> list[Difference]:
    """Where two configurations differ, leaf by leaf."""
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        found: list[Difference] = []
        for name in dict.fromkeys((*stored, *asked)):
            found += differences(stored.get(name), asked.get(name), f"{key}.{name}" if key else name)
        return found
    # Through JSON, so that a tuple equals the list that the file gives back, but 1 does not equal true.
    return [] if json.dumps(stored) == json.dumps(asked) else [Difference(key, stored, asked)]


class RunFolder:
    """A run folder that this process holds. Use as a context manager, or close it."""

    def __init__(self, path: Path, config: dict[str, Json], ledger: Ledger, lock: IO[str], *, resumed: bool) -> None:
        self.path = path
        self.resumed = resumed
        """Whether an earlier sitting worked on this run."""

        self.config = config
        """As in `config.yaml`: credentials in URLs are blotted out. Reports take it from here."""

        self.ledger = ledger
        self._lock = lock
        self._ended = False

    @classmethod
    def open(cls, path: Path, config: Mapping[str, Json], *, clock: Callable[[], float] = time.time) -> "RunFolder":
        """Make the folder, or resume it where its configuration is equal but for `FREE_KEYS`.

        Raises:
            RunError: If another process holds it, its configuration differs (the message names the keys), the
                path is no run folder, or the ledger is damaged.
        """
        written = public(config)
        _refuse_strangers(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path}: cannot make the run folder: {error.strerror}") from error
        lock = _locked(path)
        try:
            file = path / "config.yaml"
            if file.exists():
                stored = _read_config(file)
                kinds = [str(config.get("kind")) for config in (stored, written)]
                if kinds[0] != kinds[1]:
                    raise RunError(
                        f"{path} holds a run of autoflow {kinds[0]}, not of autoflow {kinds[1]}",
                        hint="give another folder",
                    )
                found = differences(identity(stored), identity(written))
                if found:
                    raise RunError(
                        f"{path} holds a run with another configuration:\n  "
                        + "\n  ".join(str(difference) for difference in found),
                        hint="run the command as it was, or give another folder",
                    )
            _write(file, [yaml.safe_dump(json.loads(json.dumps(written)), sort_keys=False, allow_unicode=True)])
            ledger = Ledger(path / "ledger.sqlite", clock=clock)
        except BaseException:
            lock.close()
            raise
        folder = cls(path, written, ledger, lock, resumed=bool(ledger.events()))
        folder.event("started", {"pid": os.getpid(), "autoflow": __version__, "resumed": folder.resumed})
        return folder

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not self._ended:
            if isinstance(error, Exception):
                self.end("failed", {"error": f"{type(error).__name__}: {error}"})
            else:
                # Cancelled, or a second Ctrl-C: what was in flight is lost, what was recorded is not.
                self.end("interrupted")
        self.close()

    def close(self) -> None:
        """Release the ledger and the lock. Safe to call twice."""
        self.ledger.close()
        self._lock.close()

    def end(self, state: State, data: Mapping[str, Json] | None = None) -> None:
        """Record how this sitting ended: one of `ENDS`. Left by an error, the context manager does it."""
        if state not in ENDS:
            raise ValueError(f"a sitting ends as one of {', '.join(ENDS)}, not {state}")
        self._ended = True
        self.event(state, data)

    def event(self, kind: str, data: Mapping[str, Json] | None = None) -> None:
        """Record an event in the ledger and as a line of the log."""
        recorded = self.ledger.add_event(kind, data)
        stamp = datetime.fromtimestamp(recorded.created, UTC).isoformat(timespec="seconds")
        with (self.path / "log").open("a", encoding="utf-8") as log:
            log.write(self.ledger.blot(f"{stamp} {kind}{' ' + json.dumps(dict(data)) if data else ''}\n"))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder, whole or not at all and without secrets, and return its path."""
        return self.write_pieces(name, [self.ledger.blot(text)])

    def write_pieces(self, name: str, pieces: Iterable[str]) -> Path:
        """As `write`, of a text too long for memory. The pieces have been through `ledger.blot`."""
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        _write(file, pieces)
        return file

    def save_workflow(self, name: str, workflow: Workflow) -> Path:
        """Write `workflows/<name>.yaml` and return its path."""
        return self.write(f"workflows/{name}.yaml", dump(workflow))


def _refuse_strangers(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file, not a run folder", hint="give another path")
    # A sitting killed while it made the folder leaves no more than these.
    begun = {"lock", "config.yaml.new"}
    if path.is_dir() and not (path / "config.yaml").exists() and {item.name for item in path.iterdir()} - begun:
        raise RunError(f"{path} is no run folder: it has files but no config.yaml", hint="give another path")


def _locked(path: Path) -> IO[str]:
    file = (path / "lock").open("a+", encoding="utf-8")
    # `list_runs` holds the lock for an instant when it looks; a run holds it for long.
    for attempt in range(5):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if attempt < 4:
                time.sleep(0.02)
        else:
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return file
    file.seek(0)
    holder = file.read().strip()
    file.close()
    raise RunError(
        f"{path} is in use by process {holder or 'unknown'}",
        hint="wait for it, stop it, or give another folder",
    )


def _is_locked(path: Path) -> bool:
    try:
        with (path / "lock").open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False
    except FileNotFoundError:
        return False


def _write(file: Path, pieces: Iterable[str]) -> None:
    new = file.with_name(f"{file.name}.new")
    with new.open("w", encoding="utf-8") as written:
        written.writelines(pieces)
    new.replace(file)


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        place = place_in_yaml(file, error)
        raise RunError(f"{place}: cannot be read: {error.problem or error.context}", hint=DAMAGED) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{file}: cannot be read: {error}", hint=DAMAGED) from error
    if not isinstance(config, dict):
        raise RunError(f"{file}: is no configuration: it must be a mapping")
    return config


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as a listing shows it. `None` where the run is damaged."""

    name: str
    path: Path
    state: State
    config: Mapping[str, Json] | None = None
    started: float | None = None
    """When the first sitting began, in seconds of its clock."""

    seconds: float | None = None
    """Of all sittings together."""

    spend: Spend | None = None
    """With that of the runs inside it."""

    problem: str | None = None
    """Why a damaged run cannot be read."""


def info(path: Path) -> RunInfo:
    """What a run folder is and how far it came, also while another process works on it.

    Raises:
        RunError: If it is no run folder, or damaged.
    """
    # Before the ledger is read: a run that ends in between then shows as running, not as killed.
    locked = _is_locked(path)
    config = _read_config(path / "config.yaml")
    with Ledger.reading(path / "ledger.sqlite") as ledger:
        sittings = [event for event in ledger.events() if event.kind == "started" or event.kind in ENDS]
        if not sittings:
            raise RunError(f"{path}: the run was never started")
        state: State = "running" if locked else next((end for end in ENDS if end == sittings[-1].kind), "killed")
        return RunInfo(path.name, path, state, config, sittings[0].created, ledger.earlier_seconds, _spend(path))


def kind_of(path: Path) -> str | None:
    """The command whose run a folder holds: "bench", "improve", ...; `None` where it holds none.

    Raises:
        RunError: If it is damaged.
    """
    file = path / "config.yaml"
    return str(_read_config(file).get("kind")) if file.is_file() else None


def _spend(path: Path) -> Spend:
    """Of the run and of the runs inside it: a matrix's cells, a search's pass over test."""
    spent = Spend()
    for file in sorted(path.rglob("ledger.sqlite")):
        with Ledger.reading(file) as ledger:
            spent += ledger.spend()
    return spent


def find(run: str, root: Path = Path("runs")) -> Path:
    """The folder of a run that is given by its path, or by its name below `root`.

    Raises:
        UnknownNameError: Listing the runs there.
    """
    for path in (root / run, Path(run)):
        if (path / "config.yaml").is_file():
            return path
    raise UnknownNameError("run", run, [known.name for known in list_runs(root)], hint="see: autoflow runs list")


def list_runs(root: Path) -> list[RunInfo]:
    """Every run under `root`, oldest first, damaged ones last. Folders that are no runs are passed over."""
    found = []
    for path in root.iterdir() if root.is_dir() else ():
        if (path / "config.yaml").is_file():
            try:
                found.append(info(path))
            except RunError as error:
                found.append(RunInfo(path.name, path, "damaged", problem=str(error)))
    return sorted(found, key=lambda run: (math.inf if run.started is None else run.started, run.name))
