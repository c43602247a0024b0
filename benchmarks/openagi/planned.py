"""Plans that no model made: the derived references, and what is left of them without a module or in reverse."""

from autoflow.errors import UnknownNameError

from . import reference
from .modules import MODULES
from .plan import parse, token
from .sentences import sentences


def plans(asked: str) -> dict[str, list[str]]:
    """The plan of every task, by its id: `reference`, `reversed`, `without:MODULE`, or names parted by commas.

    Raises:
        UnknownNameError: For a module that does not exist.
    """
    references = {str(index): list(map(str, reference.flat(goal))) for index, (_, goal) in enumerate(sentences())}
    if asked == "reference":
        return references
    if asked == "reversed":
        return {task: plan[::-1] for task, plan in references.items()}
    kind, _, name = asked.partition(":")
    if kind == "without":
        module = token(name)
        if not isinstance(module, str):
            raise UnknownNameError("module of openagi", name, list(MODULES))
        return {task: [item for item in plan if item != module] for task, plan in references.items()}
    parsed = parse(asked)
    if parsed.code is not None:
        raise UnknownNameError(
            "plan", asked, ["reference", "reversed", "without:MODULE", *MODULES], hint=parsed.message
        )
    return {task: list(map(str, parsed.tokens)) for task in references}
