"""What `autoflow doctor openagi` says: which expert models, metrics and data are here, and what each absence blocks."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoflow.benchmarks.examination import Finding

from .expert import Expert, Site, Weights, expert_set
from .fetch import TRANSLATOR
from .goal import Goal
from .metrics import bert, clip, vit
from .modules import MODULES
from .options import Options
from .presence import EXTRA, blocks, lacks, weights_lack
from .samples import Bundled, Prepared
from .scorers import site_of
from .sentences import sentences

_METRICS: Sequence[tuple[str, Weights, Mapping[str, str], int]] = (
    ("CLIP score", clip.MODEL, clip.PACKAGES, 2),
    ("BERT score", bert.MODEL, bert.PACKAGES, 168),
    ("ViT figures", vit.MODEL, vit.PACKAGES, 15),
)
"""With the number of tasks that each measures."""


def findings(options: Options) -> list[Finding]:
    """One line for each expert of each set, each metric, and the data."""
    local, paper = site_of("local", options), site_of("paper", options)
    return [
        *(_expert("local", name, expert_set("local").get(name), local) for name in MODULES),
        _bundled(),
        *(_expert("paper", name, expert_set("paper").get(name), paper) for name in MODULES),
        *(_metric(*metric, paper) for metric in _METRICS),
        _data(options.data),
        _translator(paper),
    ]


def _expert(kind: str, module: str, expert: Expert | None, site: Site) -> Finding:
    name = f"{kind}: {module}"
    if expert is None:
        return Finding(name, False, f"no implementation in this set; {blocks(module)}")
    about = "; ".join([expert.description.rstrip("."), *map(_weights, expert.weights)])
    missing = lacks(expert, site)
    if not missing:
        return Finding(name, True, about)
    what = "; ".join(lack.what for lack in missing)
    return Finding(name, False, f"without {what}: {blocks(module)}; {about}", missing[0].remedy)


def _weights(item: Weights) -> str:
    size = "size unknown" if item.size_mb is None else f"{item.size_mb} MB"
    pinned = f", revision {item.revision}" if item.revision else ""
    if item.source is None and "/" in item.name and not pinned:
        pinned = ", revision not known: pin it with --benchmark-option revisions"
    return f"{item.name} ({size}, {item.licence}{pinned})"


def _metric(name: str, weights: Weights, packages: Mapping[str, str], tasks: int, site: Site) -> Finding:
    found = [wanted for package, wanted in packages.items() if importlib.util.find_spec(package) is None]
    if found:
        remedy = f"pip install '{EXTRA}'"
        return Finding(f"paper: {name}", False, f"without {', '.join(found)}: blocks {tasks} of 185 tasks", remedy)
    lack = weights_lack(weights, site)
    if lack is None:
        return Finding(f"paper: {name}", True, _weights(weights))
    return Finding(
        f"paper: {name}", False, f"without {lack.what}: blocks {tasks} of 185 tasks; {_weights(weights)}", lack.remedy
    )


def _bundled() -> Finding:
    samples = Bundled()
    covered = [str(index) for index, (_, goal) in enumerate(sentences()) if samples.covers(goal, str(index))]
    detail = f"{samples.description}; for {len(covered)} of 185 tasks"
    if any(samples.missing(goal, "") for _, goal in sentences()):
        return Finding("local: data", False, f"without scikit-image: {detail}", f"pip install '{EXTRA}'")
    return Finding("local: data", True, detail)


def _data(folder: Path | None) -> Finding:
    remedy = "autoflow openagi prepare, then --data FOLDER"
    if folder is None:
        return Finding("paper: data", False, "no folder named: blocks 185 of 185 tasks", remedy)
    samples = Prepared(folder)
    lacking = [str(index) for index, (_, goal) in enumerate(sentences()) if _missing(samples, goal, index)]
    if not lacking:
        return Finding("paper: data", True, f"{folder}: all 185 tasks")
    shown = f"{', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}"
    return Finding("paper: data", False, f"{folder}: blocks {len(lacking)} of 185 tasks: {shown}", remedy)


def _missing(samples: Prepared, goal: Goal, index: int) -> list[str]:
    return samples.missing(goal, str(index))


def _translator(site: Site) -> Finding:
    lack = weights_lack(TRANSLATOR, site)
    detail = f"for German references in autoflow openagi prepare; {_weights(TRANSLATOR)}"
    if lack is None:
        return Finding("paper: translator", True, detail)
    return Finding("paper: translator", False, f"without {lack.what}: {detail}", lack.remedy)
