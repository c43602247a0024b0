"""Image Denoising by Restormer, a picture at a time; its weights are non-commercial, the user's to download."""

from ..expert import Expert
from . import restoration

CHECKPOINT = restoration.checkpoint("real_denoising.pth")

EXPERT = Expert(
    module="Image Denoising",
    description="Restormer, trained on real noise.",
    packages={"torch": "torch"},
    load=restoration.loading(CHECKPOINT, norm_bias=False),
    weights=(CHECKPOINT,),
    file=__file__,
)
