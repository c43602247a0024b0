"""Pictures side by side for a person to look at: damaged, restored, original; a row a sample."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

SIDE = 256
CAPTION = 18
HEADINGS = ("damaged", "restored", "original")


def sheet(rows: Sequence[tuple[str, Sequence[Any]]]) -> bytes:
    """A JPEG file; each row is a caption and its pictures, `None` where there is none."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (len(HEADINGS) * SIDE, CAPTION + len(rows) * (SIDE + CAPTION)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, heading in enumerate(HEADINGS):
        draw.text((column * SIDE + 4, 3), heading, fill="black")
    for number, (caption, pictures) in enumerate(rows):
        top = CAPTION + number * (SIDE + CAPTION)
        for column, picture in enumerate(pictures):
            if picture is not None:
                canvas.paste(Image.fromarray(picture).resize((SIDE, SIDE)), (column * SIDE, top))
        draw.text((4, top + SIDE + 3), _plain(caption), fill="black")
    file = BytesIO()
    canvas.save(file, "JPEG", quality=90)
    return file.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; the same content twice is no harm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def _plain(text: str) -> str:
    # The built-in font has Latin letters alone.
    return text.encode("latin-1", "replace").decode("latin-1")[:120]
