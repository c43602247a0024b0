"""All operators that come with autoflow or with an installed distribution that adds some."""

from autoflow import plugins
from autoflow.core.operator import Operator
from autoflow.errors import UsageError


def library() -> dict[str, Operator]:
    """Every operator of the kind `operators`, by the name on its card.

    Raises:
        UsageError: If two of them bear the same name.
    """
    found: dict[str, Operator] = {}
    for plugin in plugins.names("operators"):
        operator: Operator = plugins.load("operators", plugin)
        name = operator.card.name
        if name in found:
            raise UsageError(f"two operators are named {name!r}; one of them is the plugin {plugin!r}; rename it")
        found[name] = operator
    return found
