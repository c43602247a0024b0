"""The generator that comes with autoflow: bundled, small, and writing workflows for operators that it is shown."""

import json
from pathlib import Path

import pytest

from autoflow import resources
from autoflow.core.model import Sampling
from autoflow.core.operator import Card
from autoflow.generator.draft import DraftRequest, draft
from autoflow.generator.for_task import LIMITS
from autoflow.models import embedded_names, lora, lora_pack
from autoflow.models.factory import ModelOptions, open_model

NAME = "autoflow-135m"
OPTIONS = ModelOptions(slots=1, context_tokens=1024, timeout_s=300, offline=True)
MOST_BYTES = 12_000_000

# Of no data set: operators and task were written for this test.
CARDS = (
    Card("Crumb Sweeper", "Removes crumbs from a tablecloth.", ("tablecloth",), "tablecloth", kind="tool"),
    Card("Ironing Press", "Makes a wrinkled tablecloth smooth.", ("tablecloth",), "tablecloth", kind="tool"),
    Card("Thread Counter", "Gives the thread count of a tablecloth.", ("tablecloth",), "number", kind="tool"),
    Card("Price Guess", "Gives the price of a tablecloth.", ("tablecloth",), "number", kind="tool"),
)


def _folder() -> Path:
    return resources.folder("adapters") / NAME


def test_it_is_bundled_small_and_says_where_it_comes_from() -> None:
    assert NAME in embedded_names.bundled()
    assert sum(file.stat().st_size for file in _folder().iterdir()) <= MOST_BYTES
    told = json.loads((_folder() / lora_pack.PROVENANCE).read_text(encoding="utf-8"))
    assert told["base"]["name"] == lora.load(_folder()).base == embedded_names.BASE
    card = (_folder() / "README.md").read_text(encoding="utf-8").casefold()
    for word in ("data", "seed", "hardware", "score", "limits", "apache-2.0", "make adapter"):
        assert word in card


@pytest.mark.embedded
@pytest.mark.xdist_group("embedded")
async def test_it_writes_a_valid_workflow_of_the_operators_that_it_is_shown() -> None:
    model = open_model(f"embedded/{NAME}", OPTIONS)
    try:
        request = DraftRequest(
            "Given wrinkled tablecloth, how to return the price step by step?",
            CARDS,
            scope="task",
            limits=LIMITS,
            sampling=Sampling(max_tokens=200),
        )
        found = await draft(model, request, repairs=0)
    finally:
        await model.aclose()
    assert found.errors == ()
    assert found.workflow is not None
    named = [step.operator for step in found.workflow.steps if step.operator in {card.name for card in CARDS}]
    assert named == ["Ironing Press", "Price Guess"]
