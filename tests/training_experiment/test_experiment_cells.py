"""What the experiment makes of drafts: a choice by validation, cells of the sets, and tables."""

import argparse
from pathlib import Path
from typing import Any

import experiment
import pytest
import tables
from arms import Arm
from choosing import Drawn

LONG, SHORT = ("a", "b"), ("a",)
OPENAGI_TEST, TWO_INPUTS, TRAIN = "2", "117", "5"


class FakeBench:
    """Draws one long plan, then a short one twice: right on made-up domains and wrong on OpenAGI."""

    def __init__(self, spec: str, runs: Path, given: argparse.Namespace) -> None:
        self.asked: list[tuple[str, str, int]] = []

    def drafts(self, benchmark: str, split: str, draws: int) -> dict[str, Any]:
        ids = [OPENAGI_TEST, TWO_INPUTS, TRAIN] if benchmark == "openagi" else ["0", "1"]
        name = Path(benchmark).name
        made_up = float(benchmark != "openagi")
        drawn = [Drawn(LONG, 1 - made_up), Drawn(SHORT, made_up), Drawn(SHORT, made_up), Drawn(None, 0.0)]
        drafts = {f"{name}/{task}": drawn[:draws] for task in ids}
        return {"drafts": drafts, "tasks": list(drafts), "calls": 6 * draws, "seconds": 3.0}


@pytest.fixture
def given(tmp_path: Path) -> argparse.Namespace:
    for split in ("validation", "test"):
        for number in range(2):
            (tmp_path / "environments" / f"{split}-1-{number}").mkdir(parents=True)
    return argparse.Namespace(
        sets=["test", "operators", "family", "not trained on"],
        domains=tmp_path, validation_sets=2, operator_sets=1, runs=tmp_path, seed=0,
    )  # fmt: skip


@pytest.fixture
def kept(given: argparse.Namespace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(experiment, "Bench", FakeBench)
    found: dict[str, Any] = {"generator": "toy", "seed": 0, "training": None}
    for draws in (1, 4):
        experiment.measure(Arm("toy"), "toy", draws, found, given)
    return found


def test_the_rule_that_validation_chooses_is_applied_to_held_out_sets(kept: dict[str, Any]) -> None:
    # Validation has four made-up tasks, on which the frequent plan is right, and three others.
    assert kept["rules"]["4"]["rule"] == "most frequent"
    assert kept["rules"]["4"]["n"] == 7
    drawn = kept["cells"]["4"]
    assert drawn["operators"]["mean"] == 1.0
    # The first would have been right; the test set has no say.
    assert (drawn["test"]["mean"], drawn["test"]["bound"], drawn["test"]["single"]) == (0.0, 1.0, 0.25)
    assert kept["cells"]["1"]["test"]["mean"] == 1.0


def test_a_set_has_its_own_tasks_and_their_share_of_the_calls(kept: dict[str, Any]) -> None:
    cells = kept["cells"]["4"]
    assert list(cells["test"]["tasks"]) == [f"openagi/{OPENAGI_TEST}"]
    assert list(cells["family"]["tasks"]) == [f"openagi/{TWO_INPUTS}"]
    assert list(cells["not trained on"]["tasks"]) == [f"openagi/{OPENAGI_TEST}", f"openagi/{TWO_INPUTS}"]
    assert [cells[kind]["calls"] for kind in ("test", "not trained on", "operators")] == [8, 16, 24]


def test_tables_compare_with_the_start_and_with_the_greedy_draft(kept: dict[str, Any]) -> None:
    text = tables.markdown({"sft": kept, "rlao": kept})
    assert "| rlao - sft | test | 1 | 1 | +0.000" in text
    assert "| sft, k = 4 - 1 | operators |  | 2 | +1.000" in text
    fewer = {task: score - 0.25 for task, score in kept["cells"]["4"]["operators"]["drawn"].items()}
    worse = {**kept, "cells": {"4": {"operators": {**kept["cells"]["4"]["operators"], "drawn": fewer}}}}
    compared = tables.markdown({"sft": worse, "rlao": kept})
    assert "| rlao - sft | operators | 4 | 2 | +0.000" in compared
    assert "| rlao - sft, single draw | operators | 4 | 2 | +0.250" in compared
    assert "sft - untrained" not in text
    assert "| sft | 4 | 7 | 0.429 | 0.571 | 0.571 | 0.571 | most frequent |" in text
