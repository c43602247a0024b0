"""What the paper's experts share: where their models lie, and how they are loaded and fed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from autoflow.errors import MissingDependencyError

from ..expert import Site, Weights
from ..presence import hub_folder

PACKAGES = {"torch": "torch", "transformers": "transformers", "PIL": "pillow"}


def folder(item: Weights, site: Site) -> Path:
    """The repository's files on this machine.

    Raises:
        MissingDependencyError: If they are not here.
    """
    found = hub_folder(item, site)
    if found is None:
        raise MissingDependencyError(f"the weights {item.name} are not here", hint="autoflow openagi fetch")
    return found


def file(item: Weights, site: Site) -> Path:
    """A file that the user downloaded.

    Raises:
        MissingDependencyError: If it is not here.
    """
    path = None if site.weights is None else site.weights / item.name
    if path is None or not path.is_file():
        raise MissingDependencyError(f"the weights {item.name} are not here", hint=f"download {item.source}")
    return path


def model(kind: Any, item: Weights, site: Site) -> Any:
    """A transformers model, in the site's precision, on its device."""
    import torch

    quiet()
    found = kind.from_pretrained(str(folder(item, site)), local_files_only=True, dtype=getattr(torch, site.dtype))
    return found.to(site.device).eval()


def part(kind: Any, item: Weights, site: Site, **arguments: Any) -> Any:
    """A tokenizer or processor of a repository."""
    quiet()
    return kind.from_pretrained(str(folder(item, site)), local_files_only=True, **arguments)


def moved(batch: Any, site: Site) -> dict[str, Any]:
    """A processor's tensors on the site's device, floats in its precision."""
    import torch

    dtype = getattr(torch, site.dtype)
    return {
        name: tensor.to(site.device, dtype if tensor.is_floating_point() else None) for name, tensor in batch.items()
    }


def images(rows: Sequence[tuple[Any, ...]], place: int = 0) -> list[Any]:
    """The pictures at one operand's place, for processors."""
    from PIL import Image

    return [Image.fromarray(row[place]) for row in rows]


def by_shape(pictures: Sequence[Any], apply: Callable[[list[Any]], Sequence[Any]]) -> list[Any]:
    """Apply to pictures of one shape at a time: a batch is a tensor. One output a picture, in order."""
    found: dict[int, Any] = {}
    for places in _alike(pictures):
        for place, output in zip(places, apply([pictures[place] for place in places]), strict=True):
            found[place] = output
    return [found[place] for place in range(len(pictures))]


def _alike(pictures: Sequence[Any]) -> Iterator[list[int]]:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, picture in enumerate(pictures):
        shapes.setdefault(picture.shape, []).append(place)
    yield from shapes.values()


def to_bytes(tensor: Any) -> Any:
    """A tensor (3, height, width) in [0, 1] as a picture."""
    import numpy as np

    found = tensor.float().clamp(0, 1).cpu().numpy().transpose(1, 2, 0)
    return (found * 255.0).round().astype(np.uint8)


def to_tensor(pictures: Sequence[Any], site: Site) -> Any:
    """Pictures of one shape as a tensor (batch, 3, height, width) in [0, 1]."""
    import numpy as np
    import torch

    stacked = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())
    return stacked.to(site.device).to(getattr(torch, site.dtype)) / 255.0


def quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Which processor stands in for one that needs torchvision is of no interest to whoever runs a benchmark.
    logging.set_verbosity_error()
