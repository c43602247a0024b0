"""Where prompts, workflows, benchmarks and adapters lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

from autoflow.errors import AutoflowError

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The bundled folder `prompts`, `workflows`, `benchmarks` or `adapters`.

    Raises:
        AutoflowError: If the installation lacks it.
    """
    # A wheel carries them under _bundled (pyproject.toml, force-include); a checkout and an editable install do not.
    for root in (_PACKAGE / "_bundled", _PACKAGE.parent):
        candidate = root / name
        if candidate.is_dir():
            return candidate
    raise AutoflowError(
        f"this installation of autoflow has no folder {name!r} beside or inside {_PACKAGE}",
        hint="install it again: pip install --force-reinstall autoflow",
    )
