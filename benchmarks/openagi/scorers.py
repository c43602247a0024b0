"""Puts an executing scorer together: expert models, samples, metric."""

from autoflow.models.weights import cache_folder

from .crew import Crew
from .executed import ExecutedScorer
from .expert import Site, expert_set
from .goal import Goal
from .metrics import Metric
from .metrics.restoration import Restoration
from .metrics.texts import ExactMatch, TokenF1
from .options import Options
from .outputs import OutputCache
from .samples import Bundled, Prepared

_LABELLED = ("Image Classification", "Sentiment Analysis")


def executed_scorer(name: str, options: Options) -> ExecutedScorer:
    """The scorer `local`; nothing is loaded yet."""
    return ExecutedScorer(
        label="local score (PSNR/SSIM, exact match or token F1; local models, no paper's metric)",
        crew=crew(name, options),
        samples=Bundled() if options.data is None else Prepared(options.data),
        metric_of=local_metric,
        absent=options.absent,
        limit=options.limit_samples,
        batch_size=options.batch_size,
    )


def crew(name: str, options: Options) -> Crew:
    """The experts of a set where the options want them, with the user's cache of outputs."""
    # The local models are small, and equal everywhere on the processor.
    auto = "cpu" if name == "local" else _device()
    device = auto if options.device == "auto" else options.device
    dtype = ("float16" if device.startswith("cuda") else "float32") if options.dtype == "auto" else options.dtype
    weights = options.weights or cache_folder() / "openagi" / "weights"
    site = Site(device, dtype, weights, options.revisions)
    return Crew(expert_set(name), site, OutputCache(cache_folder() / "openagi" / "outputs"))


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
