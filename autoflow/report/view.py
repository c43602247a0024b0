"""A folder of runs in the browser: a list of them, and the report of each, written when it is looked at."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import quote, urlsplit

from aiohttp import web

from autoflow.errors import AutoflowError, UsageError
from autoflow.report import write
from autoflow.runs.folder import RunInfo, list_runs

HOST = "127.0.0.1"

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 24px auto; padding: 0 16px; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 5px 12px 5px 0; }
tr { border-bottom: 1px solid #8886; } td.number, th.number { text-align: right; } .wide { overflow-x: auto; }
td { white-space: nowrap; } td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 130px; }
:focus-visible { outline: 3px solid #0b5cad; outline-offset: 2px; }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>runs</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><main><h1>Runs in {name}</h1>
<div class="wide" tabindex="0" role="region" aria-label="Runs">{table}</div></main></body></html>
"""

_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@asynccontextmanager
async def viewing(root: Path, port: int) -> AsyncIterator[str]:
    """Serve the runs below `root` on loopback until the block ends. Gives the address.

    Raises:
        UsageError: If the port cannot be listened on.
    """
    app = web.Application(middlewares=[_own_host_only])
    viewer = _Viewer(root)
    app.router.add_get("/", viewer.index)
    app.router.add_get("/runs/{name}", viewer.run)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise UsageError(
                f"cannot listen on {HOST}:{port}: {error.strerror}", hint="choose another: --port 0"
            ) from error
        yield f"http://{HOST}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@web.middleware
async def _own_host_only(request: web.Request, handler: object) -> web.StreamResponse:
    # A page elsewhere can point a name of its own at loopback; it must not read prompts through it.
    if urlsplit(f"//{request.host}").hostname not in (HOST, "localhost"):
        raise web.HTTPForbidden(text="this server answers to its loopback address alone")
    response: web.StreamResponse = await handler(request)  # type: ignore[operator]
    return response


class _Viewer:
    """The pages."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def index(self, _: web.Request) -> web.Response:
        """The list."""
        runs = await asyncio.to_thread(list_runs, self._root)
        return web.Response(text=_page(self._root, runs[::-1]), content_type="text/html", headers=_SECURITY)

    async def run(self, request: web.Request) -> web.Response:
        """One report."""
        name = request.match_info["name"]
        known = {run.name: run.path for run in await asyncio.to_thread(list_runs, self._root)}
        if name not in known:
            raise web.HTTPNotFound(text=f"there is no run of this name; see {request.url.origin()}")
        try:
            text = await asyncio.to_thread(_report, known[name])
        except AutoflowError as error:
            raise web.HTTPConflict(text=str(error)) from error
        # The page carries its own, stricter policy.
        return web.Response(text=text, content_type="text/html", headers={"X-Content-Type-Options": "nosniff"})


def _report(path: Path) -> str:
    with write.opened(path) as run:
        return "".join(write.parts(run, "html"))


def _page(root: Path, runs: Sequence[RunInfo]) -> str:
    rows = "".join(_row(run) for run in runs) or '<tr><td colspan="6">no runs yet</td></tr>'
    heads = "".join(
        f'<th scope="col"{" class=number" if name in ("calls", "seconds") else ""}>{name}</th>'
        for name in ("run", "kind", "state", "started", "calls", "seconds")
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return _PAGE.format(style=_STYLE, name=escape(root.name), table=table)


def _row(run: RunInfo) -> str:
    kind = str((run.config or {}).get("kind", ""))
    link = f'<a href="/runs/{quote(run.name, safe="")}">{escape(run.name)}</a>'
    name = link if kind in ("bench", "improve", "matrix") else escape(run.name)
    started = "" if run.started is None else datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    calls = "" if run.spend is None else f"{run.spend.calls:,}"
    seconds = "" if run.seconds is None else f"{run.seconds:,.0f}"
    return (
        f"<tr><td>{name}</td><td>{escape(kind)}</td><td>{run.state}</td><td>{started}</td>"
        f'<td class="number">{calls}</td><td class="number">{seconds}</td></tr>'
    )
