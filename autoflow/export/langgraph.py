"""Writes a workflow as a LangGraph app: a folder that `langgraph dev` and LangGraph servers run as it stands."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoflow import __version__
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.language.dump import dump

FILES = ("langgraph.json", "graph.py", "workflow.yaml", "requirements.txt")

_GRAPH = '''"""The workflow as a LangGraph graph: {{"task": "..."}} comes in, {{"answer": ...}} goes out.

Its steps are carried out by autoflow's own interpreter, so they do here what they do under `autoflow run`. Change
workflow.yaml, and .env for the model; nothing else says anything about the workflow.
"""

from pathlib import Path

from autoflow.export.app import app

graph = app(Path(__file__).parent / "workflow.yaml", benchmarks={benchmarks!r})
'''

_ENVIRONMENT = """\
# Settings of the app; keys are the provider's own variables, such as OPENAI_API_KEY.
"""


def write(
    folder: Path,
    workflow: Workflow,
    *,
    benchmarks: Sequence[str],
    environment: Mapping[str, str],
    overwrite: bool = False,
) -> list[Path]:
    """Write the app and return its files. A `.env` that is already there is kept: it may hold the user's keys.

    Args:
        benchmarks: Names of bundled benchmarks whose operators the workflow uses.
        environment: What `.env` sets; see `autoflow.export.app.VARIABLES`.

    Raises:
        UsageError: If files of the app exist already, and `overwrite` is not set.
    """
    texts = {
        "langgraph.json": json.dumps(
            {"dependencies": ["."], "graphs": {_graph_id(workflow.name): "./graph.py:graph"}, "env": ".env"}, indent=2
        )
        + "\n",
        "graph.py": _GRAPH.format(benchmarks=tuple(benchmarks)),
        "workflow.yaml": dump(workflow),
        "requirements.txt": _requirements(environment),
    }
    assert tuple(texts) == FILES  # noqa: S101
    existing = [name for name in FILES if (folder / name).exists()]
    if existing and not overwrite:
        raise UsageError(
            f"{folder} has {existing[0]} already", hint="name another folder, or add --overwrite (.env is kept)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
        written.append(folder / name)
    env = folder / ".env"
    if not env.exists():
        env.write_text(_ENVIRONMENT + "".join(f"{name}={value}\n" for name, value in environment.items()))
        written.append(env)
    return written


def _graph_id(name: str) -> str:
    # It stands in addresses and file names.
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in name.lower())
    return kept.strip("-") or "workflow"


def _requirements(environment: Mapping[str, str]) -> str:
    embedded = environment.get("AUTOFLOW_INTERPRETER", "").startswith("embedded/")
    return f"autoflow{'[embedded]' if embedded else ''}=={__version__}\n"
