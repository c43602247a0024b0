"""Reasons that say what a tool acts on, and the shares of tasks that only repair or bring two inputs."""

from autoflow.synthesis import domains
from autoflow.synthesis.exercise import of_domain
from autoflow.synthesis.signed import signed
from autoflow.synthesis.tasks import Mix
from autoflow.synthesis.world import Domain, Goal, Input, Tool

DOMAIN = Domain(
    "letters",
    (
        Tool("De-smudge", "Cleans mail.", ("mail",), "mail", "repair", "smudged"),
        Tool("Unfold", "Flattens a map.", ("map",), "map", "repair", "folded"),
        Tool("Find", "Finds the place on the map.", ("mail", "map"), "mail", "make"),
        Tool("Metric", "Gives it in metres.", ("mail",), "mail", "form", "metres"),
    ),
    {"mail": "feet"},
)


def test_a_repair_names_its_input_and_every_tool_its_types() -> None:
    goal = Goal((Input("mail", ("smudged",)), Input("map", ("folded",))), ("Find", (0, 1)), "mail", "metres")
    reasons = {"De-smudge": "smudged", "Unfold": "folded", "Find": "find the place", "Metric": "in metres"}
    found = signed(DOMAIN, goal, ("De-smudge", "Unfold", "Find", "Metric"), reasons, ("question", "plan"))
    assert found == (
        "smudged question: mail -> mail",
        "folded plan: map -> map",
        "find the place: mail, map -> mail",
        "in metres: mail -> mail",
    )


def test_a_tool_that_repairs_both_inputs_is_told_apart_by_them() -> None:
    tools = (DOMAIN.tools[0], Tool("Join", "Joins two letters.", ("mail", "mail"), "mail", "make"))
    goal = Goal((Input("mail", ("smudged",)), Input("mail", ("smudged",))), ("Join", (0, 1)), "mail")
    found = signed(
        Domain("letters", tools),
        goal,
        ("De-smudge", "De-smudge", "Join"),
        {"De-smudge": "smudged", "Join": "join them"},
        ("letter", "reply"),
    )
    # A tool acts on the topmost value first, which is the last operand.
    assert found == ("smudged reply: mail -> mail", "smudged letter: mail -> mail", "join them: mail, mail -> mail")


def _goals(mix: Mix) -> list[Goal]:
    worded = (domains.draw(0, number, "train") for number in range(12))
    return [item.tasks[0].reference for one in worded for item in of_domain(one, "train", 8, 0, mix=mix)]  # type: ignore[misc]


def test_shares_decide_which_tasks_are_drawn() -> None:
    assert all(goal["content"] == 0 for goal in _goals(Mix(repairs=1.0)))  # type: ignore[index]
    paired = [len(goal["inputs"]) == 2 for goal in _goals(Mix(repairs=0.0, forms=0.0, pairs=1.0))]  # type: ignore[index]
    alone = [len(goal["inputs"]) == 2 for goal in _goals(Mix(repairs=0.0, forms=0.0, pairs=0.0))]  # type: ignore[index]
    assert sum(paired) / len(paired) > 0.5 > sum(alone) / len(alone)


def test_every_reason_of_a_drawn_plan_ends_with_the_signature_of_its_tool() -> None:
    checked = 0
    for number in range(20):
        worded = domains.draw(1, number, "train")
        for item in of_domain(worded, "train", 4, 1, signatures=True):
            for name, reason in zip(item.plan or (), item.reasons, strict=True):
                card = item.cards[name]
                assert reason.endswith(f": {', '.join(card.inputs)} -> {card.output}")
                checked += 1
    assert checked > 100
