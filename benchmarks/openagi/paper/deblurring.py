"""Image Deblurring by Restormer, a picture at a time; its weights are non-commercial, the user's to download."""

from ..expert import Expert
from . import restoration

CHECKPOINT = restoration.checkpoint("single_image_defocus_deblurring.pth")

EXPERT = Expert(
    module="Image Deblurring",
    description="Restormer, trained on defocus blur.",
    packages={"torch": "torch"},
    load=restoration.loading(CHECKPOINT, norm_bias=True),
    weights=(CHECKPOINT,),
    file=__file__,
)
