"""Puts an executing scorer together: expert models, samples, metric."""

import importlib.util

from autoflow.errors import DataError
from autoflow.models.weights import cache_folder

from .crew import Crew
from .executed import ExecutedScorer
from .expert import Site, Weights, expert_set
from .goal import Goal
from .metrics import Metric, bert, clip, vit
from .metrics.bert import BertScore
from .metrics.clip import ClipScore
from .metrics.restoration import Restoration
from .metrics.texts import ExactMatch, TokenF1
from .metrics.vit import VitCosine, VitDistance
from .options import Options
from .outputs import OutputCache
from .presence import EXTRA, weights_lack
from .samples import Bundled, Prepared

_LABELLED = ("Image Classification", "Sentiment Analysis")


def executed_scorer(name: str, options: Options) -> ExecutedScorer:
    """The scorer `local` or `paper`; nothing is loaded yet.

    Raises:
        DataError: If the paper's scorer has no data.
    """
    return _paper(options) if name == "paper" else _local(options)


def _local(options: Options) -> ExecutedScorer:
    return ExecutedScorer(
        label="local score (PSNR/SSIM, exact match or token F1; local models, no paper's metric)",
        crew=crew("local", options),
        samples=Bundled() if options.data is None else Prepared(options.data),
        metric_of=local_metric,
        absent=options.absent,
        limit=options.limit_samples,
        batch_size=options.batch_size,
        beside=True,
        statements={"comparable with published numbers": "no: other models, data and metrics"},
    )


def _paper(options: Options) -> ExecutedScorer:
    if options.data is None:
        raise DataError(
            "the scorer paper needs the paper's data, which are not bundled",
            hint="autoflow openagi prepare makes the folder; name it with --data FOLDER",
        )
    working = crew("paper", options)
    cosine = options.vit_metric == "cosine"

    def lacking(goal: Goal) -> list[str]:
        weights, packages = _metric_needs(goal)
        missing = [wanted for name, wanted in packages.items() if importlib.util.find_spec(name) is None]
        lines = [f"the metric lacks the package {wanted}: pip install '{EXTRA}'" for wanted in missing]
        lack = weights_lack(weights, working.site)
        return lines if lack is None else [*lines, f"the metric lacks {lack.what}: {lack.remedy}"]

    return ExecutedScorer(
        label=f"paper's metrics (CLIP, BERT, {'ViT cosine, which is ours' if cosine else 'ViT distance apart'})",
        crew=working,
        samples=Prepared(options.data),
        metric_of=lambda goal: paper_metric(goal, working.site, cosine=cosine),
        absent=options.absent,
        limit=options.limit_samples,
        batch_size=options.batch_size,
        over_batches=True,
        metric_lacks=lacking,
        statements={
            "comparable with published numbers": "no: faults of the published modules are corrected, and the data are "
            f"prepared anew{'; the ViT figure is a cosine, not the published distance' if cosine else ''}",
            "sentences": "of the following task, as published"
            if options.index_mode == "paper-offset"
            else "of the task itself",
        },
    )


def paper_metric(goal: Goal, site: Site, *, cosine: bool) -> Metric:
    """CLIP for pictures made from texts, ViT for restored ones, BERT for texts."""
    if goal.output == "text":
        return BertScore(site)
    if goal.core is not None:
        return ClipScore(site)
    return VitCosine(site) if cosine else VitDistance(site)


def _metric_needs(goal: Goal) -> tuple[Weights, dict[str, str]]:
    if goal.output == "text":
        return bert.MODEL, bert.PACKAGES
    return (clip.MODEL, clip.PACKAGES) if goal.core is not None else (vit.MODEL, vit.PACKAGES)


def crew(name: str, options: Options) -> Crew:
    """The experts of a set where the options want them, with the user's cache of outputs."""
    return Crew(expert_set(name), site_of(name, options), OutputCache(cache_folder() / "openagi" / "outputs"))


def site_of(name: str, options: Options) -> Site:
    """Where a set's experts run."""
    # The local models are small, and equal everywhere on the processor.
    auto = "cpu" if name == "local" else _device()
    device = auto if options.device == "auto" else options.device
    dtype = ("float16" if device.startswith("cuda") else "float32") if options.dtype == "auto" else options.dtype
    weights = options.weights or cache_folder() / "openagi" / "weights"
    return Site(device, dtype, weights, options.revisions)


def local_metric(goal: Goal) -> Metric | None:
    """PSNR/SSIM for restored pictures, exact match for labels, token F1 for other English texts, none for the rest."""
    if goal.output == "image":
        return Restoration() if goal.core is None else None
    return ExactMatch() if goal.core in _LABELLED else TokenF1()


def _device() -> str:
    try:
        import torch
    except ModuleNotFoundError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
