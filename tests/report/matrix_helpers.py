"""A matrix of two workflows and a generator under two interpreters, filled through the command."""

import json
from pathlib import Path

from autoflow.cli.main import main

HOSTILE = "<b>bold</b> | pipe $x^2$"

_FLOW = "autoflow: 1\nname: {name}\nsteps:\n  - {{name: answer, type: terminal, instruction: {instruction}}}\n"


def fill(place: Path) -> Path:
    """Fill a matrix with `place` as the working directory, and return its folder."""
    (place / "colours").mkdir(parents=True)
    (place / "colours" / "benchmark.yaml").write_text(
        "name: colours\ndescription: Name the colour of a thing.\n"
        "data: {jsonl: tasks.jsonl, fields: {text: text, reference: {answer: answer}}}\n"
        "splits: {train: [0, 1], validation: [2, 3], test: [4, 5, 6, 7]}\nscorer: exact\nbaseline: hand.yaml\n"
    )
    tasks = [{"text": f"What colour is {i}? {HOSTILE}", "answer": "blue" if i % 2 else "red"} for i in range(8)]
    (place / "colours" / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    (place / "colours" / "hand.yaml").write_text(_FLOW.format(name=json.dumps(HOSTILE), instruction="Name the colour."))
    draft = _FLOW.format(name="better", instruction="Name it in one word.")
    (place / "generator.yaml").write_text(json.dumps([{"purpose": "draft", "replies": [draft]}]))
    for name, reply in (("a", "blue"), ("b", "red")):
        (place / f"{name}.yaml").write_text(
            json.dumps([{"when": "one word", "replies": [reply]}, {"replies": ["mauve"]}])
        )
    command = ["matrix", "./colours", "--interpreters", "scripted/a.yaml", "--interpreters", "scripted/b.yaml"]
    command += ["--generators", "scripted/generator.yaml", "--rounds", "1", "--run", "runs/table", "--quiet"]
    assert main(command) == 0
    return place / "runs" / "table"
