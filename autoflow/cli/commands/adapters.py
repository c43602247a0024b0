"""Merge, export and pack trained adapters, and load them into a running vLLM."""

from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError

app = new_app()

PRECISIONS = ("Q8_0", "F16", "F32")

Weights = Annotated[Path, typer.Argument(metavar="FOLDER", help="An adapter as PEFT saves it, or a whole checkpoint.")]
BaseUrl = Annotated[str, typer.Option("--base-url", metavar="URL", help="The vLLM server: http://host:8000/v1.")]
KeyEnv = Annotated[
    str | None,
    typer.Option("--key-env", metavar="VARIABLE", help="Holds the server's key; default OPENAI_API_KEY, if set."),
]


@app.callback()
def adapters() -> None:
    """Merge, export and pack trained adapters, and load them into a running vLLM."""


@app.command(
    "export",
    epilog=examples(
        "autoflow adapters export runs/train-sft-openagi-1a2b3c4d/adapter --name mine",
        "autoflow adapters export adapter --output mine.gguf --precision F16",
    ),
)
def export(
    weights: Weights,
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Keep it in the cache; use it as embedded/NAME.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there; use it as embedded/FILE.")
    ] = None,
    base: Annotated[
        str, typer.Option("--base", metavar="MODEL", help="What it was trained on: embedded model, or a GGUF file.")
    ] = "smollm2-135m",
    precision: Annotated[
        str, typer.Option("--precision", metavar="Q8_0|F16|F32", help="Q8_0: smallest and fastest. F32: as trained.")
    ] = "Q8_0",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: options.AsJson = False,
) -> int:
    """Merge trained weights into a GGUF file, which `embedded/...` runs. Needs no training library."""
    from autoflow.cli.output import emit, say
    from autoflow.models import embedded_names, lora

    if (name is None) == (output is None):
        raise UsageError("give --name or --output, one of the two")
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, list(PRECISIONS))
    if name is not None and (
        not name.strip() or "/" in name or name in (embedded_names.BASE, *embedded_names.bundled())
    ):
        raise UsageError(f"{name!r} cannot be the name of an exported model", hint="take a plain name that is free")
    target = output if output is not None else embedded_names.exported_folder() / f"{name}.gguf"
    if target.suffix != ".gguf":
        raise UsageError(f"{target} is to end in .gguf")
    source = embedded_names.ensure(base, say)
    lora.export(source, weights, target, precision=precision, new_file=not overwrite)  # type: ignore[arg-type]
    spec = f"embedded/{name or target}"
    if as_json:
        emit("adapters-export", {"file": str(target), "bytes": target.stat().st_size, "model": spec})
    else:
        say(f"{target}: written ({target.stat().st_size / 1e6:.0f} MB)")
        print(spec)
    return 0


@app.command(
    "merge",
    epilog=examples(
        "autoflow adapters merge adapter merged", "autoflow adapters merge adapter merged --base org/model"
    ),
)
def merge(
    weights: Weights,
    folder: Annotated[Path, typer.Argument(metavar="TARGET", help="Folder of the merged checkpoint; new or empty.")],
    *,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="What it was trained on; default: as the adapter says."),
    ] = None,
    as_json: options.AsJson = False,
) -> int:
    """Merge an adapter into its base as a checkpoint, which transformers and vLLM load. Needs the extra `train`."""
    from autoflow.cli.output import emit, say
    from autoflow.models import checkpoint

    made_of = checkpoint.merge(weights, folder, base=base, progress=say)
    spec = f"transformers/{folder}"
    if as_json:
        emit("adapters-merge", {"folder": str(folder), "base": made_of, "model": spec})
    else:
        say(f"{folder}: written, of {made_of}")
        print(spec)
    return 0


@app.command("pack", epilog=examples("autoflow adapters pack runs/train-sft-1a2b3c4d/adapter adapters/mine"))
def pack(
    weights: Annotated[Path, typer.Argument(metavar="FOLDER", help="An adapter as PEFT saves it.")],
    folder: Annotated[Path, typer.Argument(metavar="TARGET", help="Folder of the packed adapter; new or empty.")],
    *,
    as_json: options.AsJson = False,
) -> int:
    """Make an adapter small: half precision, the base by name, without the tokenizer. Needs no training library."""
    from autoflow.cli.output import emit, say
    from autoflow.models import lora_pack

    size = lora_pack.pack(weights, folder)
    if as_json:
        emit("adapters-pack", {"folder": str(folder), "bytes": size})
    else:
        say(f"{folder}: written ({size / 1e6:.1f} MB)")
    return 0


@app.command(
    "load",
    epilog=examples("autoflow adapters load mine /srv/adapters/mine --base-url http://localhost:8000/v1"),
)
def load(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the server will call it.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="The adapter's folder, as the server sees it.")],
    *,
    base_url: BaseUrl,
    key_env: KeyEnv = None,
    as_json: options.AsJson = False,
) -> int:
    """Load an adapter into a running vLLM, which then serves it as the model openai/NAME.

    The server runs with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.
    """
    from autoflow.cli.output import emit, say
    from autoflow.models import lora_server

    said = lora_server.load(base_url, name, path, key_env=key_env)
    if as_json:
        emit("adapters-load", {"model": f"openai/{name}", "said": said})
    else:
        say(said)
        print(f"openai/{name}")
    return 0


@app.command("unload", epilog=examples("autoflow adapters unload mine --base-url http://localhost:8000/v1"))
def unload(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the server calls it.")],
    *,
    base_url: BaseUrl,
    key_env: KeyEnv = None,
) -> int:
    """Remove an adapter from a running vLLM."""
    from autoflow.cli.output import say
    from autoflow.models import lora_server

    say(lora_server.unload(base_url, name, key_env=key_env))
    return 0


@app.command("list", epilog=examples("autoflow adapters list"))
def names(as_json: options.AsJson = False) -> int:
    """List what `embedded/NAME` may name."""
    from autoflow.cli.output import emit
    from autoflow.models import embedded_names

    if as_json:
        emit("adapters", {"models": [f"embedded/{name}" for name in embedded_names.names()]})
    else:
        for name in embedded_names.names():
            print(f"embedded/{name}")
    return 0
