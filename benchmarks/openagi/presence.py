"""Which packages and weights of an expert are there, told without loading any."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import reference
from .expert import Expert, Site, Weights
from .sentences import sentences

EXTRA = "autoflow[openagi]"


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is not there."""

    what: str
    remedy: str


def lacks(expert: Expert, site: Site) -> list[Lack]:
    """What the expert needs and has not."""
    found = [Lack(f"the package {name}", f"pip install '{EXTRA}'") for name in expert.missing_packages()]
    return found + [lack for item in expert.weights if (lack := weights_lack(item, site)) is not None]


def weights_lack(item: Weights, site: Site) -> Lack | None:
    """What is missing of one set of weights; `None` if it is there. Weights that come in packages are packages."""
    if item.source is not None:
        path = None if site.weights is None else site.weights / item.name
        if path is not None and path.is_file():
            return None
        return Lack(f"the weights {item.name} ({item.licence})", f"download {item.source} into {folder(site)}")
    if "/" not in item.name or hub_folder(item, site) is not None:
        return None
    return Lack(f"the weights {item.name} ({item.licence})", "autoflow openagi fetch")


def hub_folder(item: Weights, site: Site) -> Path | None:
    """A hub repository's files on this machine: the folder `owner--name` in the weights folder, else the hub's cache,
    at the revision wanted; `None` if they are in neither."""
    if site.weights is not None:
        own = site.weights / item.name.replace("/", "--")
        if _whole(own, item):
            return own
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ModuleNotFoundError:
        return None
    revision = site.revisions.get(item.name, item.revision)
    try:
        found = Path(snapshot_download(item.name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None
    # A repository of which another program fetched a part is in the cache too.
    return found if _whole(found, item) else None


def _whole(found: Path, item: Weights) -> bool:
    weights = (path for suffix in ("safetensors", "bin") for path in found.rglob(f"*.{suffix}"))
    return (found / item.main_file).is_file() and next(weights, None) is not None


def folder(site: Site) -> str:
    """Where the user's own downloads are looked for, in words."""
    return "a folder and name it: --benchmark-option weights=FOLDER" if site.weights is None else str(site.weights)


def blocked(expert: Expert, site: Site) -> list[str]:
    """A line for each lack: what it is and how many of the 185 tasks it blocks."""
    return [
        f"{expert.module} lacks {lack.what} ({blocks(expert.module)}): {lack.remedy}" for lack in lacks(expert, site)
    ]


def blocks(module: str) -> str:
    """How many tasks have the module in their reference plan, with the first ids."""
    ids = [str(index) for index, (_, goal) in enumerate(sentences()) if module in reference.flat(goal)]
    if not ids:
        return "blocks no task's reference plan"
    return f"blocks {len(ids)} of 185 tasks: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"


def remedies(modules: Sequence[str]) -> str:
    """What a user can do about what these modules lack."""
    listed = "autoflow doctor openagi lists all"
    if not modules:
        return listed
    return f"{listed}; to go without these modules: --benchmark-option 'absent={json.dumps(list(modules))}'"
