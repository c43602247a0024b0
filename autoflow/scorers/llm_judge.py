"""`llm-judge`: a language model grades the answer by a rubric.

Source: our own. Whoever opens models binds the judge to one (`bound`), through the same budget and record as every
other call: an unbound judge refuses to score.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from autoflow.core.json import Json
from autoflow.core.model import Message, Request, Sampling
from autoflow.core.score import Score, Scorer
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, ReplyError
from autoflow.prompts import render
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import spoken, text

Ask: TypeAlias = Callable[[Request, Mapping[str, Json]], Awaitable[Json]]
"""Asks a model for JSON that fits a schema: `autoflow.models.structured.structured` with its model filled in."""

LONGEST = 20_000
"""Characters of an answer that the judge is shown."""


@runtime_checkable
class NeedsModel(Protocol):
    """A scorer that asks a model. `bound` gives the one that can score."""

    @property
    def model(self) -> str:
        """`provider/model`."""
        ...

    def bound(self, ask: Ask) -> Scorer:
        """The scorer, asking through `ask`."""
        ...


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """What the judge reads."""

    rubric: str
    grades: str
    task: str
    reference: str
    answer: str
    template: ClassVar[str] = "scorers/llm_judge.j2"


@dataclass(frozen=True, slots=True)
class LlmJudge:
    """A judgement by a model is an opinion: its label says so, and the reason is in the details."""

    rubric: str
    """What a good answer is."""

    model: str
    """`provider/model` of the judge; not the one that answers, lest it judge itself."""

    grades: Mapping[str, Any] = field(default_factory=lambda: {"wrong": 0, "partly right": 0.5, "right": 1})
    """Grade -> score in [0, 1]."""

    reference: str | None = None
    """Key of `Task.reference` that the judge is shown as the right answer; `None`: it is shown none."""

    max_tokens: int = 300
    label: str = "LLM judge"
    ask: Ask | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, value in self.grades.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"the grade {name!r} must be a number in [0, 1], not {value!r}")
        if len(self.grades) < 2 or not self.rubric.strip():
            raise ValueError("a rubric and two or more grades are needed")

    def bound(self, ask: Ask) -> "LlmJudge":
        """The judge, asking through `ask`."""
        judge = replace(self)
        object.__setattr__(judge, "ask", ask)
        return judge

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer. A judge that does not answer in form leaves it unscored.

        Raises:
            ConfigError: If no model is bound, or the task lacks the reference.
            ProviderError, BudgetExhaustedError: From the model.
        """
        if self.ask is None:
            raise ConfigError(f"the judge {self.model!r} is not open: this command does not open models for scorers")
        answer = spoken(trace.answer)
        if not answer.strip():
            return Score(0.0, "no_answer")
        right = ""
        if self.reference is not None:
            if self.reference not in task.reference:
                raise ConfigError(f"llm-judge: task {task.id} has no reference {self.reference!r}")
            right = spoken(task.reference[self.reference])
        prompt = JudgePrompt(self.rubric, ", ".join(self.grades), task.text, right, answer[:LONGEST])
        request = Request(
            messages=(Message("user", render(prompt)),), sampling=Sampling(max_tokens=self.max_tokens), purpose="judge"
        )
        try:
            verdict = await self.ask(request, self._schema())
        except ReplyError as error:
            return Score(None, "judge_reply", {"judge": self.model, "reply": error.text[:500]})
        if not isinstance(verdict, Mapping) or verdict.get("grade") not in self.grades:
            return Score(None, "judge_reply", {"judge": self.model, "reply": text(verdict)[:500]})
        grade = str(verdict["grade"])
        value = self.grades[grade]
        assert isinstance(value, int | float)  # noqa: S101 - checked when made
        details = {"judge": self.model, "grade": grade, "why": text(verdict.get("reason"))}
        return Score(float(value), "" if value == 1 else "judged", details)

    def _schema(self) -> Mapping[str, Json]:
        # The reason stands first: what is written before the grade can inform it.
        return {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "grade": {"enum": list(self.grades)}},
            "required": ["reason", "grade"],
            "additionalProperties": False,
        }


def _make(parameters: Mapping[str, Json]) -> LlmJudge:
    return build("llm-judge", LlmJudge, parameters)


PLUGIN = _make
