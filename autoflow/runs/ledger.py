"""The ledger of a run: replies, results, faults, trials and events in one append-only SQLite file.

Rows added in one turn of an event loop are committed together at its end, and `committed` waits for that; where no loop
runs, a row is committed before the method returns. The file is in WAL mode with `synchronous=NORMAL`: a killed process
loses nothing that was committed; a power cut can lose the last rows, which are then done again.
"""

import asyncio
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from autoflow.core.budget import Spend
from autoflow.core.json import Json
from autoflow.core.model import Reply, Request
from autoflow.core.score import Score
from autoflow.core.strategy import Trial
from autoflow.core.trace import Trace
from autoflow.errors import RunError
from autoflow.runs import serial
from autoflow.runs.secrets import blotter

VERSION = 1
"""Of the tables, kept in `PRAGMA user_version`."""

DAMAGED = "the run is damaged: take a copy of it, or give another folder"
"""What to do about files of a run that cannot be read."""

_FEW = 10_000
# So many keys of replies are kept in memory besides: of a new call it is then known that it is not on record.

_BEAT_S = 1.0
# A process that is killed cannot say how long it ran: while it writes, it leaves its age this often.

_TABLES = """
CREATE TABLE replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, role TEXT NOT NULL, purpose TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, usd REAL, seconds REAL NOT NULL,
    created REAL NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL
);
CREATE INDEX replies_spend ON replies (role, model, input_tokens, output_tokens, usd);
CREATE TABLE failed_calls (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, model TEXT NOT NULL, role TEXT NOT NULL, error TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY, candidate TEXT NOT NULL, split TEXT NOT NULL, task TEXT NOT NULL, epoch INTEGER NOT NULL,
    score REAL, reason TEXT NOT NULL, details TEXT NOT NULL, answer TEXT NOT NULL,
    calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, usd REAL NOT NULL,
    unpriced INTEGER NOT NULL, uncounted INTEGER NOT NULL, cached_calls INTEGER NOT NULL, seconds REAL NOT NULL,
    created REAL NOT NULL,
    UNIQUE (candidate, split, task, epoch)
);
CREATE TABLE traces (result INTEGER PRIMARY KEY REFERENCES results (id), trace TEXT NOT NULL);
CREATE TABLE faults (
    id INTEGER PRIMARY KEY, candidate TEXT NOT NULL, split TEXT NOT NULL, task TEXT NOT NULL, epoch INTEGER NOT NULL,
    reason TEXT NOT NULL, message TEXT NOT NULL, trace TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX faults_task ON faults (candidate, split, task, epoch);
CREATE TABLE trials (id TEXT PRIMARY KEY, round INTEGER NOT NULL, trial TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, data TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE beats (sitting INTEGER NOT NULL, seconds REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Which judgement: candidate (a workflow's fingerprint), split, task id, epoch from 0."""

    candidate: str
    split: str
    task: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Result:
    """A finished judgement. Its trace is kept apart: `Ledger.trace`."""

    place: Place
    score: Score
    answer: Json
    spend: Spend
    """Of the trace's calls, whether asked or read from the record; `cached_calls` says how many were read."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """An attempt that ended in no judgement, through no fault of the workflow."""

    place: Place
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its time, in seconds of the ledger's clock."""

    kind: str
    data: Mapping[str, Json]
    created: float


def spend_of(trace: Trace) -> Spend:
    """What the trace's calls took, those read from the record included; `cached_calls` counts the latter."""
    calls = tokens_in = tokens_out = unpriced = uncounted = cached = 0
    usd = 0.0
    for call in trace.calls:
        usage = call.usage
        calls += 1
        tokens_in += usage.input_tokens or 0
        tokens_out += usage.output_tokens or 0
        usd += usage.cost_usd or 0.0
        unpriced += usage.cost_usd is None
        uncounted += usage.input_tokens is None or usage.output_tokens is None
        cached += call.cached
    return Spend(calls, tokens_in, tokens_out, usd, unpriced, uncounted, cached)


class Ledger:
    """One run's record. For one process at a time (the run folder holds the lock) and one thread."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open the ledger, or make it.

        Raises:
            RunError: If the file is no ledger or of another version.
        """
        self._open(path, clock, f"file:{_quoted(path)}")
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            if self._one("PRAGMA user_version") == 0:
                self._db.executescript(f"BEGIN;{_TABLES}PRAGMA user_version={VERSION};COMMIT;")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise self._unwritable(error) from error
        self._sitting = self._one("SELECT COALESCE(MAX(sitting), 0) + 1 FROM beats")
        self.earlier_seconds: float = self._one(
            "SELECT COALESCE(SUM(longest), 0.0) FROM (SELECT MAX(seconds) AS longest FROM beats GROUP BY sitting)"
        )
        self._started = self._beat_at = self._clock()
        keys = {row[0] for row in self._db.execute("SELECT key FROM replies LIMIT ?", (_FEW + 1,))}
        self._keys: set[str] | None = keys if len(keys) <= _FEW else None

    @classmethod
    def reading(cls, path: Path) -> "Ledger":
        """Open a ledger that another process may be writing. Adding to it is an error of the database.

        Raises:
            RunError: If there is none, or the file is no ledger or of another version.
        """
        if not path.is_file():
            raise RunError(f"{path}: there is no ledger")
        ledger = cls.__new__(cls)
        ledger._open(path, time.time, f"file:{_quoted(path)}?mode=ro")
        ledger._started = ledger._beat_at = math.inf
        ledger.earlier_seconds = ledger._one(
            "SELECT COALESCE(SUM(longest), 0.0) FROM (SELECT MAX(seconds) AS longest FROM beats GROUP BY sitting)"
        )
        return ledger

    def _open(self, path: Path, clock: Callable[[], float], uri: str) -> None:
        self.path = path
        self.blot = blotter(os.environ)
        """Blots secrets out of a text. Everything that is written passes through it."""

        self._clock = clock
        self._sitting = 0
        self._turn: list[asyncio.Future[None]] | None = None
        self._broken: RunError | None = None
        self._keys = None
        try:
            self._db: sqlite3.Connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise RunError(f"{path}: cannot be opened: {error}") from error
        try:
            version = self._one("PRAGMA user_version")
            tables = self._one("SELECT COUNT(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise RunError(f"{path}: cannot be read as a ledger: {error}", hint=DAMAGED) from error
        if version != VERSION and (version or tables):
            self._db.close()
            raise RunError(
                f"{path}: this ledger has version {version}, this autoflow reads {VERSION}",
                hint="use the autoflow that wrote it, or another run folder",
            )

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is open, note how long this sitting lasted, release the file. Safe to call twice."""
        self._end_turn()
        if self._sitting:
            self._beat(self._clock())
            self._sitting = 0
        self._db.close()

    async def committed(self) -> None:
        """Wait until all that was added so far is on record for good.

        Raises:
            RunError: If it could not be written.
        """
        if self._broken is not None:
            raise self._broken
        if self._turn is not None:
            # One for each caller: a caller that is cancelled takes its own with it.
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._turn.append(waiter)
            await waiter

    # Replies

    def reply(self, key: str) -> Reply | None:
        """The recorded reply to the request of this key, not marked as cached."""
        if self._keys is not None and key not in self._keys:
            return None
        row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else serial.loads(Reply, row[0])

    def request(self, key: str) -> Request | None:
        """The request of a recorded reply."""
        row = self._db.execute("SELECT request FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else serial.loads(Request, row[0])

    def add_reply(self, key: str, request: Request, reply: Reply, *, role: str) -> None:
        """Record what a model answered; `role` is "interpreter" or "generator". A known key is left as it is."""
        usage = reply.usage
        if self._keys is not None:
            self._keys.add(key)
            self._keys = self._keys if len(self._keys) <= _FEW else None
        self._write(
            "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                reply.model,
                role,
                request.purpose,
                usage.input_tokens,
                usage.output_tokens,
                usage.cost_usd,
                reply.seconds,
                self._clock(),
                serial.dumps(request),
                serial.dumps(reply),
            ),
        )

    def add_failed_call(self, key: str, model: str, error: str, *, role: str) -> None:
        """Record a call that brought no reply."""
        self._write(
            "INSERT INTO failed_calls (key, model, role, error, created) VALUES (?, ?, ?, ?, ?)",
            (key, model, role, serial.dumps(error), self._clock()),
        )

    def spend(self, role: str | None = None) -> Spend:
        """What the recorded replies took, of one role or of all. Equal records give equal sums, bit for bit."""
        where, values = ("", ()) if role is None else (" WHERE role = ?", (role,))
        prices: list[float] = []
        calls = tokens_in = tokens_out = unpriced = uncounted = 0
        for got_in, got_out, usd in self._db.execute(
            f"SELECT input_tokens, output_tokens, usd FROM replies{where}",  # noqa: S608  a constant of this function
            values,
        ):
            calls += 1
            tokens_in += got_in or 0
            tokens_out += got_out or 0
            uncounted += got_in is None or got_out is None
            if usd is None:
                unpriced += 1
            elif usd:
                prices.append(usd)
        # Exactly rounded: the order in which calls ended must not show in the last digit.
        return Spend(calls, tokens_in, tokens_out, math.fsum(prices), unpriced, uncounted)

    def failed_calls(self) -> int:
        """Calls that brought no reply, in every sitting."""
        return int(self._one("SELECT COUNT(*) FROM failed_calls"))

    def models(self, role: str | None = None) -> list[str]:
        """The models that answered, sorted."""
        where, values = ("", ()) if role is None else (" WHERE role = ?", (role,))
        rows = self._db.execute(
            f"SELECT DISTINCT model FROM replies{where}",  # noqa: S608  a constant of this function
            values,
        )
        return sorted(row[0] for row in rows)

    # Results and faults

    def result(self, place: Place) -> Result | None:
        """The judgement recorded for this place."""
        row = self._db.execute(
            f"SELECT {_RESULT} FROM results WHERE candidate = ? AND split = ? AND task = ? AND epoch = ?",  # noqa: S608
            (place.candidate, place.split, place.task, place.epoch),
        ).fetchone()
        return None if row is None else _result(row)

    def add_result(self, place: Place, score: Score, trace: Trace) -> Result:
        """Record a judgement with its trace. A place that has a result keeps it. Returned is what is on record."""
        spend = spend_of(trace)
        # As the database gives it back: REAL columns hold no integers.
        row = self._clean(
            (
                place.candidate,
                place.split,
                place.task,
                place.epoch,
                None if score.value is None else float(score.value),
                score.reason,
                serial.dumps(dict(score.details)),
                serial.dumps(trace.answer),
                spend.calls,
                spend.input_tokens,
                spend.output_tokens,
                float(spend.usd),
                spend.unpriced,
                spend.uncounted,
                spend.cached_calls,
                float(trace.seconds),
            )
        )
        self._join()
        # Both rows or none, also within a turn's transaction.
        self._execute("SAVEPOINT result")
        try:
            cursor = self._execute_clean(
                f"INSERT INTO results ({_RESULT}, created) VALUES ({', '.join('?' * 17)})"  # noqa: S608  columns of ours
                " ON CONFLICT (candidate, split, task, epoch) DO NOTHING",
                (*row, self._clock()),
            )
            added = cursor.rowcount == 1
            if added:
                self._write("INSERT INTO traces VALUES (?, ?)", (cursor.lastrowid, serial.dumps(trace)))
            self._execute("RELEASE result")
        except BaseException:
            # A full disk ends the transaction by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO result")
                self._db.execute("RELEASE result")
            raise
        known = None if added else self.result(place)
        return known or _result(row)

    def results(self, candidate: str, split: str) -> Iterator[Result]:
        """Every judgement of a candidate on a split, by task id and epoch."""
        rows = self._db.execute(
            f"SELECT {_RESULT} FROM results WHERE candidate = ? AND split = ? ORDER BY task, epoch",  # noqa: S608
            (candidate, split),
        )
        return (_result(row) for row in rows)

    def trace(self, place: Place) -> Trace | None:
        """The trace of a recorded judgement."""
        row = self._db.execute(
            "SELECT trace FROM traces JOIN results ON results.id = traces.result"
            " WHERE candidate = ? AND split = ? AND task = ? AND epoch = ?",
            (place.candidate, place.split, place.task, place.epoch),
        ).fetchone()
        return None if row is None else serial.loads(Trace, row[0])

    def call_seconds(self, place: Place) -> float | None:
        """The seconds of a recorded judgement's calls, each as first asked; `None` without a record."""
        row = self._db.execute(
            "SELECT trace FROM traces JOIN results ON results.id = traces.result"
            " WHERE candidate = ? AND split = ? AND task = ? AND epoch = ?",
            (place.candidate, place.split, place.task, place.epoch),
        ).fetchone()
        if row is None:
            return None
        # Read from the text itself: making a trace of it takes many times as long, and this is asked for every result.
        steps = json.loads(row[0])["steps"]
        return math.fsum(call["seconds"] for step in steps for call in step.get("calls", ()))

    def add_fault(self, fault: Fault, trace: Trace) -> None:
        """Record an attempt without a judgement. The place stays open."""
        place = fault.place
        self._write(
            "INSERT INTO faults (candidate, split, task, epoch, reason, message, trace, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                place.candidate,
                place.split,
                place.task,
                place.epoch,
                fault.reason,
                serial.dumps(fault.message),
                serial.dumps(trace),
                self._clock(),
            ),
        )

    def fault_trace(self, place: Place) -> Trace | None:
        """The trace of the last attempt that ended without a judgement."""
        row = self._db.execute(
            "SELECT trace FROM faults WHERE candidate = ? AND split = ? AND task = ? AND epoch = ?"
            " ORDER BY id DESC LIMIT 1",
            (place.candidate, place.split, place.task, place.epoch),
        ).fetchone()
        return None if row is None else serial.loads(Trace, row[0])

    def attempted(self, candidate: str, split: str) -> set[tuple[str, int]]:
        """Task id and epoch of every judgement and every fault of a candidate on a split."""
        return {
            (task, epoch)
            for table in ("results", "faults")
            for task, epoch in self._db.execute(
                f"SELECT task, epoch FROM {table} WHERE candidate = ? AND split = ?",  # noqa: S608  constants
                (candidate, split),
            )
        }

    def faults(self, candidate: str, split: str) -> list[Fault]:
        """Every fault of a candidate on a split, in the order they happened."""
        rows = self._db.execute(
            "SELECT task, epoch, reason, message FROM faults WHERE candidate = ? AND split = ? ORDER BY id",
            (candidate, split),
        )
        return [
            Fault(Place(candidate, split, task, epoch), reason, json.loads(message))
            for task, epoch, reason, message in rows
        ]

    # Trials and events

    def add_trial(self, trial: Trial) -> None:
        """Record a trial with its evidence.

        Raises:
            RunError: If one of this id is recorded already.
        """
        try:
            self._write(
                "INSERT INTO trials VALUES (?, ?, ?, ?)", (trial.id, trial.round, serial.dumps(trial), self._clock())
            )
        except sqlite3.IntegrityError as error:
            raise RunError(f"{self.path}: trial {trial.id!r} is recorded already") from error

    def trials(self) -> list[Trial]:
        """Every trial, in the order recorded."""
        return [serial.loads(Trial, row[0]) for row in self._db.execute("SELECT trial FROM trials ORDER BY rowid")]

    def add_event(self, kind: str, data: Mapping[str, Json] | None = None) -> Recorded:
        """Record that something happened."""
        event = Recorded(kind, dict(data or {}), self._clock())
        self._write(
            "INSERT INTO events (kind, data, created) VALUES (?, ?, ?)",
            (kind, serial.dumps(event.data), event.created),
        )
        return event

    def events(self) -> list[Recorded]:
        """Every event, in order."""
        rows = self._db.execute("SELECT kind, data, created FROM events ORDER BY id")
        return [Recorded(kind, json.loads(data), created) for kind, data, created in rows]

    # Another ledger

    def absorb(self, other: "Ledger") -> int:
        """Take over what another ledger holds, all or nothing, and say how many replies both held; this one's stay.

        Trials and events are left: they tell of sittings, not of what was found. Not within an event loop.

        Raises:
            RunError: If both hold a result of the same place, or this one cannot be written.
        """
        both = 0
        self._keys = None
        self._execute("BEGIN")
        try:
            for row in other._rows("SELECT * FROM replies"):
                both += self._insert("replies", row, "OR IGNORE").rowcount == 0
            for row in other._rows(
                f"SELECT {_RESULT}, created, trace FROM results JOIN traces ON traces.result = results.id"  # noqa: S608
                " ORDER BY results.id"
            ):
                try:
                    result = self._insert("results", (None, *row[:-1])).lastrowid
                except sqlite3.IntegrityError as error:
                    raise RunError(f"{self.path} and {other.path} both hold task {row[2]}, epoch {row[3]}") from error
                self._insert("traces", (result, row[-1]))
            for table in ("failed_calls", "faults"):
                for row in other._rows(f"SELECT * FROM {table} ORDER BY id"):  # noqa: S608  one of two constants
                    self._insert(table, (None, *row[1:]))
            before = max(self._sitting, self._one("SELECT COALESCE(MAX(sitting), 0) FROM beats"))
            for sitting, seconds in other._rows("SELECT sitting, seconds FROM beats"):
                self._insert("beats", (before + sitting, seconds))
            self._execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return both

    def _rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        return iter(self._db.execute(statement))

    def _insert(self, table: str, row: tuple[Any, ...], otherwise: str = "") -> sqlite3.Cursor:
        marks = ", ".join("?" * len(row))
        return self._execute(f"INSERT {otherwise} INTO {table} VALUES ({marks})", row)  # noqa: S608  our own names

    # Below the surface

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        self._join()
        self._execute(statement, values)
        now = self._clock()
        if now - self._beat_at >= _BEAT_S:
            self._beat(now)

    def _join(self) -> None:
        """Have what follows committed at the end of this turn of the loop, if there is one."""
        if self._broken is not None:
            raise self._broken
        if self._turn is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._execute("BEGIN")
        self._turn = []
        loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        try:
            self._execute("COMMIT")
        except RunError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            # Nobody may be waiting; then whoever writes next is told.
            self._broken = error
        for waiter in turn:
            if waiter.done():
                continue
            if self._broken is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self._broken)

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self._execute_clean(statement, self._clean(values))

    def _execute_clean(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        """With values that hold no secret."""
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def _clean(self, values: tuple[Any, ...]) -> list[Any]:
        return [self.blot(value) if isinstance(value, str) else value for value in values]

    def _unwritable(self, error: sqlite3.OperationalError) -> RunError:
        return RunError(
            f"{self.path}: cannot be written: {error}",
            hint="make room or mend the permissions; the same command resumes",
        )

    def _beat(self, now: float) -> None:
        self._db.execute("INSERT INTO beats VALUES (?, ?)", (self._sitting, max(0.0, now - self._started)))
        self._beat_at = now

    def _one(self, statement: str) -> Any:
        return self._db.execute(statement).fetchone()[0]


_RESULT = (
    "candidate, split, task, epoch, score, reason, details, answer, calls, input_tokens, output_tokens, usd,"
    " unpriced, uncounted, cached_calls, seconds"
)


def _result(row: Sequence[Any]) -> Result:
    return Result(
        place=Place(*row[:4]),
        score=Score(row[4], row[5], json.loads(row[6])),
        answer=json.loads(row[7]),
        spend=Spend(*row[8:15]),
        seconds=row[15],
    )


def _quoted(path: Path) -> str:
    # In a file: URI these would end the path or be read as an escape.
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
