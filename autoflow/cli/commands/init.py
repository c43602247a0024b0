"""Write a first file to start from: a benchmark of your own."""

from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import UsageError

TEMPLATE = """\
# A benchmark of your own: where the tasks are, which field is what, and how an answer is judged.
# Try it:   autoflow bench {file} --split validation
name: {name}
description: Short questions with short answers.   # one or two sentences; the generator of workflows reads them

data:
  file: {data}            # JSONL, JSON, CSV, TSV or Parquet, told by the suffix; beside this file
  fields:                           # which field (column) of a row is what
    text: question                  # the task as the model reads it
    reference: {{answer: answer}}     # what only the scorer sees: its name for it, and the field
    # id: number                    # default: the row's number, counted from 0
    # category: topic               # reports give a mean for each category

# Workflows are improved on train, chosen on validation, and reported on test. Shares are drawn by the hash of the id.
splits:
  train: 30%
  validation: 30%
  test: 40%
  # Or: ids [0-9, 12]; {{field: fold, value: train}}; {{file: ids.txt}}; {{rest: [train, validation]}}; all

# One of: exact, contains, numeric, choice, regex, token-f1, json-match, math-equivalence, code-tests, llm-judge, or a
# function of your own as module:function. With parameters: {{numeric: {{tolerance: 0.01}}}}
scorer: {{exact: {{ignore_case: true}}}}

# The workflow that is measured where none is named with --workflow, and that others are compared with.
baseline: workflows/chain_of_thought.yaml
# baselines: {{terse: terse.yaml}}     # more to compare with, by name: autoflow bench {file} --baseline terse

# What a generator of workflows is given; left out, all of them. autoflow operators lists operators and sets.
# operators: [generate, ensemble, programmer]

notes: []                           # sentences that every report on this benchmark repeats
"""

ROWS = """\
{"question": "What colour do you get when you mix blue and yellow paint?", "answer": "green", "topic": "colours"}
{"question": "Which is larger, seven or nine? Answer with the digit.", "answer": "9", "topic": "numbers"}
{"question": "Write the word 'stressed' backwards.", "answer": "desserts", "topic": "words"}
{"question": "A train leaves at 14:50 and takes 25 minutes. When is it there?", "answer": "15:15", "topic": "time"}
{"question": "Which day comes two days after Friday?", "answer": "Sunday", "topic": "calendar"}
{"question": "What is the plural of 'mouse', the animal?", "answer": "mice", "topic": "words"}
{"question": "How many sides has a triangle? Answer with the digit.", "answer": "3", "topic": "numbers"}
{"question": "Which month comes before October?", "answer": "September", "topic": "calendar"}
{"question": "What is the opposite of 'empty'?", "answer": "full", "topic": "words"}
{"question": "What colour is a ripe tomato?", "answer": "red", "topic": "colours"}
"""

app = new_app()


@app.callback()
def init() -> None:
    """Write a first file to start from."""


@app.command(
    epilog=examples(
        "autoflow init benchmark",
        "autoflow init benchmark data/support.yaml",
        "autoflow bench mytasks.yaml --split validation",
    )
)
def benchmark(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The YAML file to write.")] = Path("mytasks.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files if they exist.")] = False,
) -> None:
    """Write a commented benchmark definition and ten small tasks beside it, which run at once.

    Replace the tasks by your own; docs/your_own_data.md says what the file may hold.
    """
    import re

    from autoflow.cli.output import say

    if path.suffix not in {".yaml", ".yml"}:
        raise UsageError(f"{path}: a benchmark definition is a .yaml file")
    data = path.with_suffix(".jsonl")
    there = [file for file in (path, data) if file.exists()]
    if there and not overwrite:
        raise UsageError(
            f"{' and '.join(map(str, there))} exist{'' if there[1:] else 's'}",
            hint="name another file, or add --overwrite",
        )
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_") or "mytasks"
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder")
    path.write_text(TEMPLATE.format(file=path, name=name, data=data.name), encoding="utf-8", newline="\n")
    data.write_text(ROWS, encoding="utf-8", newline="\n")
    say(f"{path} and {data}: written")
    say(f"  next: autoflow bench {path} --split validation")
