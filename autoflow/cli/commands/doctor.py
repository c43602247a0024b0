"""Say what is installed, fetched and configured, and fetch model weights."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autoflow.cli.options import AsJson, BenchmarkOption, Data, of_benchmark
from autoflow.cli.output import emit, say
from autoflow.cli.table import examples, new_app
from autoflow.core.json import Json
from autoflow.errors import AutoflowError, MissingDependencyError, UnknownNameError

if TYPE_CHECKING:
    from autoflow.config import Endpoint

FETCHABLE = ("embedded",)
KEYS = ("OPENAI_API_KEY",)

State = Literal["ok", "absent", "broken"]

app = new_app()


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the report."""

    name: str
    state: State
    detail: str
    remedy: str | None = None
    """What provides it; `None` where nothing is missing."""


@dataclass(frozen=True, slots=True)
class Section:
    """A group of lines."""

    title: str
    items: list[Item] = field(default_factory=list)


@app.command(
    epilog=examples(
        "autoflow doctor",
        "autoflow doctor openagi",
        "autoflow doctor --fetch embedded",
        "autoflow doctor --ping",
        "autoflow doctor --json",
    )
)
def doctor(
    benchmark: Annotated[str | None, typer.Argument(metavar="BENCHMARK", help="Look at this benchmark too.")] = None,
    fetch: Annotated[
        str | None, typer.Option("--fetch", metavar="embedded", help="Download what is absent: model weights.")
    ] = None,
    ping: Annotated[bool, typer.Option("--ping", help="Ask each configured endpoint for its models.")] = False,
    *,
    data: Data = None,
    benchmark_option: BenchmarkOption = None,
    as_json: AsJson = False,
) -> int:
    """Say what is installed, fetched and configured. Keys are never printed.

    Ends with 2 if something that every command needs is missing.
    """
    if fetch is not None:
        return _fetch(fetch)
    sections = [_python(), *_packages(), _weights(), _sandbox(), _keys(), _endpoints(ping)]
    if benchmark is not None:
        sections += _benchmark(benchmark, of_benchmark(data, benchmark_option))
    broken = any(item.state == "broken" for section in sections for item in section.items)
    if as_json:
        emit("doctor", {"ok": not broken, "sections": [asdict(section) for section in sections]})
    else:
        _print(sections)
    return MissingDependencyError.exit_code if broken else 0


def _fetch(name: str) -> int:
    if name not in FETCHABLE:
        raise UnknownNameError("download", name, list(FETCHABLE))
    from autoflow.models import weights

    before = weights.status()
    path = weights.ensure_weights(say)
    if before.present:
        say(f"{name}: already there: {path}")
    else:
        after = weights.status()
        say(f"{name}: {path} ({_size(after.size_bytes)}, {after.licence}, from {after.source})")
    return 0


def _size(size_bytes: int | None) -> str:
    return "size unknown" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def _python() -> Section:
    from autoflow import __version__, resources

    version = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info >= (3, 11)
    items = [
        Item("python", "ok" if fits else "broken", version, None if fits else "install Python 3.11 or newer"),
        Item("autoflow", "ok", __version__),
    ]
    for name in ("prompts", "workflows", "benchmarks"):
        try:
            items.append(Item(name, "ok", str(resources.folder(name))))
        except AutoflowError as error:
            items.append(Item(name, "broken", error.message, error.hint))
    return Section("autoflow", items)


def _packages() -> Iterable[Section]:
    from importlib import metadata

    from packaging.requirements import Requirement

    groups: dict[str, list[str]] = {"": []}
    for extra in ("", *(metadata.metadata("autoflow").get_all("Provides-Extra") or [])):
        for line in metadata.requires("autoflow") or []:
            wanted = Requirement(line)
            # What the core needs is needed by every extra too; a marker may also name another platform than this.
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            core = extra != "" and (wanted.marker is None or wanted.marker.evaluate({"extra": ""}))
            group = groups.setdefault(extra, [])
            if not core and wanted.name != "autoflow" and wanted.name not in group:
                group.append(wanted.name)
    for extra_name, names in groups.items():
        section = Section(f"packages of the extra {extra_name!r}" if extra_name else "packages")
        target = f"autoflow[{extra_name}]" if extra_name else "autoflow"
        for name in sorted(names):
            try:
                section.items.append(Item(name, "ok", metadata.version(name)))
            except metadata.PackageNotFoundError:
                remedy = f"pip install '{target}'"
                section.items.append(Item(name, "absent" if extra_name else "broken", "not installed", remedy))
        yield section


def _sandbox() -> Section:
    from autoflow.sandbox.choose import describe

    section = Section("sandbox for generated code; the first that works is used")
    for boundary in describe():
        remedy = None if boundary.works else "one that works is enough"
        section.items.append(Item(boundary.name, "ok" if boundary.works else "absent", boundary.detail, remedy))
    return section


def _weights() -> Section:
    from autoflow.models import weights

    found = weights.status()
    if found.present:
        detail = f"{_size(found.size_bytes)}, {found.licence}, {found.path}"
        return Section("model weights", [Item("embedded/smollm2-135m", "ok", detail)])
    detail = f"not fetched ({found.licence}, from {found.source})"
    return Section("model weights", [Item("embedded/smollm2-135m", "absent", detail, weights.FETCH)])


def _key(variable: str) -> Item:
    if os.environ.get(variable):
        return Item(variable, "ok", "set")
    return Item(variable, "absent", "not set", f"export {variable}=...")


def _keys() -> Section:
    return Section("keys", [_key(variable) for variable in KEYS])


def _endpoints(ping: bool) -> Section:
    from autoflow import config

    settings = config.load(Path.cwd())
    section = Section("endpoints")
    if settings.path is None:
        section.items.append(Item(config.FILE, "absent", "no file in this folder or above", None))
        return section
    section.items.append(Item(config.FILE, "ok", str(settings.path)))
    for name, endpoint in settings.endpoints.items():
        listing = f", models: {', '.join(endpoint.models)}" if endpoint.models else ""
        state: State = "ok"
        detail, remedy = f"{endpoint.base_url}{listing}", None
        if ping:
            state, detail, remedy = _asked(endpoint)
        section.items.append(Item(name, state, detail, remedy))
        if endpoint.api_key_env is not None:
            section.items.append(_key(endpoint.api_key_env))
    return section


def _asked(endpoint: "Endpoint") -> tuple[State, str, str | None]:
    import urllib.error
    import urllib.request

    # The configuration admits http and https alone.
    request = urllib.request.Request(f"{endpoint.base_url.rstrip('/')}/models")  # noqa: S310
    key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
            served = [str(model["id"]) for model in json.load(reply)["data"]]
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
        return "absent", f"{endpoint.base_url}: no answer: {error}", "start the server, or correct base_url"
    return "ok", f"{endpoint.base_url} serves {', '.join(served) or 'nothing'}", None


def _benchmark(name: str, options: dict[str, Json]) -> list[Section]:
    from autoflow.benchmarks import held_out, loader
    from autoflow.benchmarks.examination import examine

    loaded = loader.load(name, options=options)
    section = Section(f"benchmark {loaded.name}")
    section.items.append(Item("data", "ok", f"fingerprint {loaded.fingerprint[:16]}"))
    for split, tasks in held_out.splits(name, options=options).items():
        section.items.append(Item(f"split {split}", "ok", f"{tasks} tasks"))
    section.items.append(Item("scorer", "ok", loaded.scorer.label))
    section.items.append(Item("operators", "ok", ", ".join(loaded.operators) or "the library's only"))
    baseline = "none" if loaded.baseline is None else loaded.baseline.name
    section.items.append(Item("hand-written workflow", "ok", baseline))
    examined = examine(name, options)
    section.items.extend(Item(f"option {key}", "ok", json.dumps(value)) for key, value in examined.options.items())
    section.items.extend(Item("note", "ok", note) for note in loaded.notes)
    if not examined.findings:
        return [section]
    needs = Section(f"what {loaded.name} can use")
    for found in examined.findings:
        needs.items.append(Item(found.name, "ok" if found.present else "absent", found.detail, found.remedy))
    return [section, needs]


def _print(sections: list[Section]) -> None:
    marks = {"ok": "ok    ", "absent": "absent", "broken": "BROKEN"}
    for section in sections:
        print(section.title)
        width = max((len(item.name) for item in section.items), default=0)
        for item in section.items:
            remedy = "" if item.remedy is None else f"  -> {item.remedy}"
            print(f"  {marks[item.state]}  {item.name.ljust(width)}  {item.detail}{remedy}")
