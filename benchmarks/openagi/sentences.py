"""The 185 task sentences, generated in the published order, each with its goal. No file of the data set is shipped."""

from collections.abc import Iterator
from itertools import product

from .goal import Goal, Input, Role

SHA256 = "803ad7856bf8797e860f72ebc34ba8b30be738a723b16c292c6f48fe95fd0a18"
"""Of the published file: the sentences joined with LF, and a final LF."""

_DEFECTS = ("low-resolutioned", "noisy", "blurry", "grayscale")
_PRESENT_FIRST = (True, False)
_CLOZED_FIRST: tuple[tuple[str, ...], ...] = (("clozed",), ())

_FROM_IMAGE = {
    "caption": "Image Captioning",
    "class label": "Image Classification",
    "object names": "Object Detection",
}

_FROM_TEXT = (
    ("return the summarization in German", "Text Summarization", "German"),
    ("translate the text in German", None, "German"),
    ("return the sentiment in German", "Sentiment Analysis", "German"),
    ("return the summarization in English", "Text Summarization", "English"),
    ("return the sentiment in English", "Sentiment Analysis", "English"),
)


def _images() -> list[Input]:
    # Outermost loop grayscale, innermost low-resolutioned, while a phrase words them the other way round.
    combinations = product(_PRESENT_FIRST, repeat=len(_DEFECTS))
    found = [
        tuple(defect for defect, here in zip(_DEFECTS, reversed(present), strict=True) if here)
        for present in combinations
    ]
    return [Input("image", defects) for defects in found if defects]


def _phrase(item: Input) -> str:
    words = [*item.defects] if item.type == "image" else [*item.defects, "English"]
    return " ".join([*words, item.role])


def _line(inputs: tuple[Input, ...], asked: str) -> str:
    return f"Given {' and '.join(_phrase(item) for item in inputs)}, how to {asked} step by step?"


def _all() -> Iterator[tuple[str, Goal]]:
    images = _images()

    def text(role: Role, defects: tuple[str, ...]) -> Input:
        return Input(role, defects, "English")

    for image in images:
        yield _line((image,), "return the regular image"), Goal((image,), None, "image")
    for image, language, (noun, core) in product(images, ("German", "English"), _FROM_IMAGE.items()):
        yield _line((image,), f"return the {noun} in {language}"), Goal((image,), core, "text", language)
    for cloze in _CLOZED_FIRST:
        source = text("text", cloze)
        yield _line((source,), "generate a image"), Goal((source,), "Text to Image Generation", "image")
    for cloze, (asked, made_by, language) in product(_CLOZED_FIRST, _FROM_TEXT):
        source = text("text", cloze)
        yield _line((source,), asked), Goal((source,), made_by, "text", language)
    for image, cloze, language in product(images, _CLOZED_FIRST, ("English", "German")):
        inputs = (image, text("query", cloze))
        asked = f"answer the question in {language}"
        yield _line(inputs, asked), Goal(inputs, "Visual Question Answering", "text", language)
    for document, cloze, language in product(_CLOZED_FIRST, _CLOZED_FIRST, ("German", "English")):
        inputs = (text("document", document), text("query", cloze))
        asked = f"answer the question in {language}"
        yield _line(inputs, asked), Goal(inputs, "Question Answering", "text", language)


def sentences() -> tuple[tuple[str, Goal], ...]:
    """Sentence and goal of every task; the task's id is its place, from 0."""
    return tuple(_all())


def document() -> str:
    """The sentences as the published file has them."""
    return "".join(f"{sentence}\n" for sentence, _ in sentences())
