"""The 15 expert models as a planner knows them: name, types, and what each does to a value."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Module:
    """One expert model. Exactly one of `restores`, `translates` and "makes content" is its effect."""

    name: str
    description: str
    inputs: tuple[Literal["image", "text"], ...]
    """Operand types, the lowest on the stack first."""

    output: Literal["image", "text"]
    restores: str | None = None
    """The defect that it removes; `None`: it removes none."""

    translates: str | None = None
    """The language that it translates into; `None`: it does not translate."""

    roles: tuple[str, ...] = ()
    """What each operand stands for, where types alone do not say."""

    @property
    def makes_content(self) -> bool:
        """Whether its output says something new about its input (a caption, an answer), in English."""
        return self.restores is None and self.translates is None


_ALL = (
    Module(
        "Image Super Resolution", "Makes a low-resolution image high-resolution.", ("image",), "image",
        restores="low-resolutioned",
    ),
    Module("Image Denoising", "Removes noise from a noisy image.", ("image",), "image", restores="noisy"),
    Module("Image Deblurring", "Sharpens a blurry image.", ("image",), "image", restores="blurry"),
    Module("Colorization", "Gives a grayscale image its colours.", ("image",), "image", restores="grayscale"),
    Module("Image Classification", "Names the class of an image in English.", ("image",), "text"),
    Module("Image Captioning", "Describes an image in one English sentence.", ("image",), "text"),
    Module("Object Detection", "Names the objects in an image in English.", ("image",), "text"),
    Module("Text to Image Generation", "Draws the image that an English text describes.", ("text",), "image"),
    Module(
        "Visual Question Answering", "Answers an English question about an image in English.",
        ("image", "text"), "text",
        roles=("image", "query"),
    ),
    Module(
        "Question Answering", "Answers an English question from an English document.", ("text", "text"), "text",
        roles=("query", "document"),
    ),
    Module("Sentiment Analysis", "Says whether an English text is positive or negative.", ("text",), "text"),
    Module("Text Summarization", "Summarizes an English text in English.", ("text",), "text"),
    Module("Text Generation", "Continues an English text.", ("text",), "text"),
    Module("Machine Translation", "Translates English text into German.", ("text",), "text", translates="German"),
    Module("Fill Mask", "Fills in the masked words of a clozed English text.", ("text",), "text", restores="clozed"),
)  # fmt: skip

MODULES: dict[str, Module] = {module.name: module for module in _ALL}
"""By name, in the order of the published list."""

RESTORATIONS: tuple[str, ...] = tuple(module.name for module in _ALL if module.restores is not None)
"""In the order that a good plan applies them: the reverse of the order in which the data was degraded, text last."""

DEFECT_ORDER: tuple[str, ...] = tuple(module.restores for module in _ALL if module.restores is not None)
"""The defects in the same order."""
