"""`ensemble`: one of several answers, by what most of them say (self-consistency) or by a model's vote."""

from collections.abc import Mapping

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.errors import OperatorError
from autoflow.operators.agreement import RULES, groups, largest
from autoflow.operators.asking import asking, say, settled, temperature, together, whole
from autoflow.operators.voting import MeaningPrompt, VotePrompt, by_meaning, preferred

MOST_SAMPLES = 50
AGREE = (*RULES, "meaning", "vote")


class Ensemble:
    """Draws `samples` answers in parallel, or takes the results that it reads, and decides.

    Sources: self-consistency (arXiv:2203.11171); AFlow's ScEnsemble is `vote` with one vote, its MdEnsemble with five.
    """

    card = Card(
        name="ensemble",
        description="Draws several independent answers, or takes the results it reads, and returns the one that most "
        "agree on, or that votes prefer.",
        parameters={
            "of": {"enum": ["draws", "results"], "default": "draws"},
            "samples": whole(1, MOST_SAMPLES, 5),
            "agree": {"enum": list(AGREE), "default": "last_line"},
            "votes": whole(1, 25, 5),
            **temperature(0.7),
        },
    )
    prompts = (MeaningPrompt, VotePrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One a sample; and where they differ, one to compare meanings, or one a vote."""
        samples, votes = parameters.get("samples", 5), parameters.get("votes", 5)
        if not isinstance(samples, int) or not isinstance(votes, int):
            return (0, MOST_SAMPLES + 25)
        drawn = 0 if parameters.get("of") == "results" else samples
        return (drawn, drawn + {"meaning": 1, "vote": votes}.get(str(parameters.get("agree")), 0))

    async def run(self, call: Invocation) -> Json:
        """The winning answer, as first written.

        Raises:
            OperatorError: If a parameter does not fit, or there are no results to decide between.
        """
        given = settled(self.card, call.parameters)
        asked = asking(call, given)
        if given["of"] == "results":
            answers = _results(call)
        else:
            messages = say(call.conversation, call.instruction)
            answers = await together([asked.result(messages, index) for index in range(given["samples"])])
        agree = given["agree"]
        found = groups(answers, agree if agree in RULES else "whole")
        if agree in RULES or len(found) == 1:
            winner = largest(found)
        elif agree == "meaning":
            winner = largest(await by_meaning(asked, answers, found))
        else:
            winner = await preferred(asked, answers, found, given["votes"])
        return answers[winner.first]


def _results(call: Invocation) -> list[Json]:
    """The results that the step reads, in the order they were left; a list counts as its items."""
    found: list[Json] = []
    for value in call.inputs.values():
        if isinstance(value, list | tuple):
            found += value
        else:
            found.append(value)
    if not found:
        raise OperatorError("ensemble decides between the results that it reads, and there are none")
    return found


PLUGIN = Ensemble()
