"""A benchmark of the user's own, with a judge that can take its process down."""

import json
from pathlib import Path
from typing import Any

from openai_server import Server

BENCHMARK = """\
name: colours
description: Name the colour of a thing.
data: {jsonl: tasks.jsonl, fields: {id: id, text: text, reference: {answer: answer}, category: kind}}
scorer: judge:judge
baseline: hand.yaml
"""

HAND = """\
autoflow: 1
name: hand-written
steps:
  - {name: think, type: process, instruction: Think of the thing., next: answer}
  - {name: answer, type: terminal, instruction: Name the colour.}
"""

# At a task whose name is in a file there, once or every time.
JUDGE = """\
import os, pathlib, signal
def judge(task, answer):
    fatal = pathlib.Path("fatal")
    if fatal.exists() and task.id in fatal.read_text().split():
        if not pathlib.Path("always").exists():
            fatal.unlink()
        pathlib.Path("pids").open("a").write(f"{os.getpid()} ")
        os.kill(os.getpid(), signal.SIGKILL)
    pathlib.Path("judges").open("a").write(f"{os.getpid()} ")
    return float(len(task.text) % 2)
"""

TASKS = 24


def make(folder: Path) -> None:
    """Write the benchmark into `folder`/colours."""
    place = folder / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    (place / "judge.py").write_text(JUDGE)
    write_tasks([f"thing {number}" for number in range(TASKS)], place)


def write_tasks(texts: list[str], place: Path = Path("colours")) -> None:
    """Make these the tasks, t0 and on."""
    rows = [
        {"id": f"t{number}", "text": text, "answer": "blue", "kind": f"k{number % 3}"}
        for number, text in enumerate(texts)
    ]
    (place / "tasks.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def command(server: Server, run: str, *more: str) -> list[str]:
    """The arguments of `autoflow` that run it."""
    return ["bench", "./colours", "--interpreter", "openai/m", "--base-url", server.url, "--run", run, *more]


def report(run: str) -> dict[str, Any]:
    """What the run reports, without its command."""
    found: dict[str, Any] = json.loads(Path(run, "report.json").read_text())
    del found["command"]
    return found


def text(run: str) -> str:
    """The same for people to read."""
    with Path(run, "report.txt").open() as lines:
        return "".join(line for line in lines if not line.startswith("command: "))


def answer(body: dict[str, Any]) -> str:
    """A reply that differs with the prompt."""
    return f"blue of {len(json.dumps(body['messages']))}"
