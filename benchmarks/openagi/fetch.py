"""Downloads the paper's models from the hub, each at its revision and without what is not used. The one thing of this
benchmark that reaches the network, and only when asked."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from .expert import Site, Weights, expert_set
from .metrics import bert, clip, vit
from .presence import hub_folder

TRANSLATOR = Weights("google-t5/t5-large", "Apache-2.0", 2950)
"""What German references are made with; of this repository no commit is known here."""

_TEXTS = (".json", ".txt", ".model")
_UNUSED = ("onnx", "flax", "coreml", "openvino", "safety_checker", "runs")
_VARIANTS = ("fp16", "non_ema", "onnx", "flax", "tf_model", "rust_model", "training_args", "optimizer", "scheduler.bin")


def hub_weights() -> list[Weights]:
    """Every hub repository that the paper's experts and metrics need, and the translator of `prepare`."""
    experts = (item for expert in expert_set("paper").values() for item in expert.weights if item.source is None)
    return [*experts, clip.MODEL, bert.MODEL, vit.MODEL, TRANSLATOR]


def wanted(files: Iterable[str]) -> list[str]:
    """Of a repository's files: texts, and the weights of each folder in one form, safetensors where there are any."""
    kept = [name for name in files if not set(PurePosixPath(name).parts[:-1]) & set(_UNUSED)]
    texts = [name for name in kept if name.endswith(_TEXTS)]
    weights = [
        name
        for name in kept
        if name.endswith((".safetensors", ".bin")) and not any(part in PurePosixPath(name).name for part in _VARIANTS)
    ]
    safe = {PurePosixPath(name).parent for name in weights if name.endswith(".safetensors")}
    chosen = [name for name in weights if name.endswith(".safetensors") or PurePosixPath(name).parent not in safe]
    return sorted([*texts, *chosen])


def fetch(names: Sequence[str], site: Site, say: Callable[[str], None]) -> list[str]:
    """Download the repositories named, or all that are not here; returns the names of those downloaded.

    Raises:
        UnknownNameError: For a repository that nothing here uses.
        MissingDependencyError: If the hub's client is not installed.
        ProviderError: If the hub cannot be reached or refuses.
    """
    from autoflow.errors import MissingDependencyError, ProviderError, UnknownNameError

    known = {item.name: item for item in hub_weights()}
    for name in names:
        if name not in known:
            raise UnknownNameError("hub repository of openagi", name, list(known))
    try:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "fetching needs the package huggingface-hub", hint="pip install 'autoflow[openagi]'"
        ) from error
    done = []
    for item in [known[name] for name in names] or known.values():
        if hub_folder(item, site) is not None:
            say(f"{item.name}: already there")
            continue
        revision = site.revisions.get(item.name, item.revision)
        size = "" if item.size_mb is None else f", about {item.size_mb} MB"
        say(f"{item.name} at {revision or 'its newest commit'} ({item.licence}{size})")
        try:
            files = wanted(HfApi().list_repo_files(item.name, revision=revision))
            snapshot_download(item.name, revision=revision, allow_patterns=files)
        except (HfHubHTTPError, OSError) as error:
            raise ProviderError(f"{item.name} cannot be fetched: {error}", transient=True) from error
        done.append(item.name)
    return done
