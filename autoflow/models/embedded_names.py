"""What `embedded/...` may name: the base model, a bundled adapter, an exported model by name, a GGUF file by path.

An adapter is merged into the base at its first use and kept in the cache folder; no training library takes part.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from autoflow import resources
from autoflow.errors import AutoflowError, UnknownNameError, UsageError
from autoflow.models import lora, weights

BASE = "smollm2-135m"
_SUFFIX = ".gguf"


def exported_folder() -> Path:
    """Where `autoflow adapters export --name` puts models."""
    return weights.cache_folder() / "models"


def bundled() -> Mapping[str, Path]:
    """The adapters of the base that come with autoflow: name -> folder."""
    try:
        root = resources.folder("adapters")
    except AutoflowError:
        return {}  # An installation without any is whole.
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{lora.CONFIG}"))}


def names() -> list[str]:
    """Every name; paths come besides."""
    exported = [path.stem for path in exported_folder().glob(f"*{_SUFFIX}")]
    return sorted({BASE, *bundled(), *exported})


def ensure(name: str, progress: Callable[[str], None] | None = None, *, offline: bool = False) -> Path:
    """The GGUF file of that name or path, fetched or merged where that is needed.

    Raises:
        UnknownNameError: Listing what exists.
        UsageError: If a path leads nowhere.
        MissingDependencyError: If the base's weights cannot be had.
    """
    if name == BASE:
        return weights.ensure_weights(progress, offline=offline)
    if name.endswith(_SUFFIX):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {name}", hint=f"by name there are: {', '.join(names())}")
        return path.resolve()
    if name in bundled():
        return _merged(name, bundled()[name], progress, offline=offline)
    exported = exported_folder() / f"{name}{_SUFFIX}"
    if "/" not in name and exported.is_file():
        return exported
    raise UnknownNameError("embedded model", name, names(), hint=f"or the path of a {_SUFFIX} file")


def _merged(name: str, folder: Path, progress: Callable[[str], None] | None, *, offline: bool) -> Path:
    base = weights.ensure_weights(progress, offline=offline)
    digest = hashlib.sha256()
    for file in sorted(folder.glob("adapter_*")):
        digest.update(file.read_bytes())
    # By content: an adapter of a newer release is merged anew.
    target = weights.cache_folder() / "weights" / f"{name}-{digest.hexdigest()[:12]}{_SUFFIX}"
    if target.is_file():
        return target
    tell = progress or (lambda line: None)
    with weights.locked(target.with_suffix(".lock"), tell):
        if not target.is_file():
            tell(f"merging the adapter {name} into the embedded model (a few seconds)")
            lora.export(base, folder, target)
    return target
