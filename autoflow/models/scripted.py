"""`scripted/<file>`: answers from a YAML file of rules, for tests and for demonstrations without a model.

The file is a list. The first rule whose `when` (a substring of the last user turn; absent: any), `purpose` and
`system` fit answers with the next of its `replies`; the last reply repeats. No rule that fits is an error, so a script
cannot answer what its author did not foresee.

    - when: Identify the input
      replies: [image]
    - purpose: label
      replies: ["yes", "no"]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.errors import ConfigError, ProviderError, place_in_yaml
from autoflow.models.provider import Provider, free


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the script."""

    replies: tuple[str, ...]
    when: str = ""
    system: str = ""
    purpose: str | None = None

    def fits(self, request: Request) -> bool:
        """Whether the rule answers this request."""
        last = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        system = "\n".join(message.text for message in request.messages if message.role == "system")
        return self.when in last and self.system in system and (self.purpose is None or self.purpose == request.purpose)


class Scripted:
    """A model that answers by rules. `requests` keeps what it was asked, in order."""

    def __init__(
        self, rules: Sequence[Rule], *, name: str = "scripted/inline", features: frozenset[Feature] = frozenset()
    ):
        self._rules = tuple(rules)
        self._used = [0] * len(self._rules)
        self._name = name
        self._features = features
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def features(self) -> frozenset[Feature]:
        return self._features

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        for index, rule in enumerate(self._rules):
            if rule.fits(request):
                text = rule.replies[min(self._used[index], len(rule.replies) - 1)]
                self._used[index] += 1
                # Words for tokens: a script has no tokenizer, and budgets need a count that grows with the text.
                words = sum(len(message.text.split()) for message in request.messages)
                usage = Usage(input_tokens=words, output_tokens=len(text.split()), cost_usd=0.0)
                return Reply(text=text, model=self._name, usage=usage, finish="stop")
        last = request.messages[-1].text if request.messages else ""
        raise ProviderError(
            f"{self._name}: no rule fits a call with purpose {request.purpose!r} ending {last[-200:]!r}",
            transient=False,
        )

    async def aclose(self) -> None:
        """Nothing is held."""


def _rule(file: str, index: int, item: Any) -> Rule:
    allowed = {"when", "system", "purpose", "replies"}
    if not isinstance(item, dict) or not item.get("replies") or not set(item) <= allowed:
        raise ConfigError(f"{file}: rule {index + 1} needs a non-empty list `replies`, and only {sorted(allowed)}")
    replies = item["replies"]
    if not isinstance(replies, list) or not all(isinstance(reply, str) for reply in replies):
        raise ConfigError(f"{file}: rule {index + 1}: `replies` must be a list of texts; quote yes, no and numbers")
    return Rule(tuple(replies), item.get("when", ""), item.get("system", ""), item.get("purpose"))


def load(path: Path) -> Scripted:
    """Read a script.

    Raises:
        ConfigError: Naming the file and the rule.
    """
    try:
        items = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        place = place_in_yaml(path, error)
        raise ConfigError(f"{place}: the script is not YAML: {error.problem or error.context}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the script: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot read the script: {error}") from error
    if not isinstance(items, list) or not items:
        raise ConfigError(f"{path}: a script is a non-empty list of rules")
    return Scripted([_rule(str(path), index, item) for index, item in enumerate(items)], name=f"scripted/{path}")


def _open(name: str, options: object) -> Scripted:
    return load(Path(name))


PLUGIN = Provider(_open, free)
