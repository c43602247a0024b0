"""`autoflow view` lists the runs of a folder, shows each, and answers to this machine alone."""

from pathlib import Path

import aiohttp
import pytest
from report_helpers import improve_run

from autoflow.cli.main import main
from autoflow.report.view import viewing
from autoflow.runs.folder import RunFolder


async def _get(address: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers) as response:
        return response.status, await response.text()


async def test_runs_are_listed_and_shown_also_while_they_go_on(tmp_path: Path) -> None:
    improve_run(tmp_path / "done", 5)
    (tmp_path / "<b>odd & name").mkdir()
    with RunFolder.open(tmp_path / "<b>odd & name", {"kind": "improve", "seed": 0}):
        async with viewing(tmp_path, 0) as address:
            status, listing = await _get(address)
            assert status == 200
            assert "&lt;b&gt;odd &amp; name" in listing
            assert "<b>odd" not in listing
            assert "running" in listing
            status, page = await _get(f"{address}runs/done")
            assert status == 200
            assert page.startswith("<!doctype html>")
            assert "block-0" in page
            assert (await _get(f"{address}runs/%3Cb%3Eodd%20%26%20name"))[0] == 200


@pytest.mark.parametrize("path", ["runs/none", "runs/%2e%2e%2fsecret", "etc/passwd"])
async def test_nothing_but_runs_is_served(tmp_path: Path, path: str) -> None:
    root = tmp_path / "runs"
    improve_run(root / "done", 1)
    improve_run(tmp_path / "secret", 1)
    async with viewing(root, 0) as address:
        assert (await _get(f"{address}{path}"))[0] == 404


async def test_a_foreign_host_is_refused(tmp_path: Path) -> None:
    async with viewing(tmp_path, 0) as address:
        assert (await _get(address, Host="evil.example"))[0] == 403


def test_a_folder_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path / "none")]) == 2
    assert "is no folder" in capsys.readouterr().err
