"""`choice`: 1 if the answer picks the reference's letter (or its text) and no other, else 0.

Source: our own rules. The pick is read inside the last box, else after the last "answer is" or "answer:", else from the
whole answer where that is a choice and nothing else, begins with a bracketed or dotted letter, or names exactly one
letter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import DataError
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import after, boxed, golds, normalise, text

_LETTER = r"(?<![\w'])[(\[]?([A-Za-z])[)\].:]?(?![\w'])"
_ALONE = re.compile(r"[*_\s]*[(\[]?([A-Za-z])[)\].:]*[*_\s]*")
_LEADING = re.compile(r"[*_\s]*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])[).:](?=\s|\*|$))")


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer that names two different letters, and says "answer is" of neither, is wrong."""

    field: str = "answer"
    """Key of `Task.reference`: a letter, or the text of the choice; a list holds several right ones."""

    choices: str | tuple[str, ...] = "ABCDEFGHIJ"
    """The letters that may be picked, as one text; or the choices' texts, the first of which is A."""

    choices_field: str | None = None
    """Key of `Task.context` that lists the choices' texts, where they differ by task."""

    label: str = "choice match"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no such reference or choices, or the reference is none of them.
        """
        texts = self._texts(task)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(texts)] if texts else str(self.choices).upper()
        right = set()
        for gold in golds(task, self.field):
            letter = _letter(text(gold), texts, letters)
            if letter is None:
                raise DataError(
                    f"task {task.id}: its reference {self.field!r} is {gold!r}, which is none of: "
                    f"{', '.join(texts or letters)}"
                )
            right.add(letter)
        picked = pick(text(trace.answer), texts, letters)
        if picked is None:
            return Score(0.0, "no_choice")
        return Score(float(picked in right), "" if picked in right else "mismatch", {"picked": picked})

    def _texts(self, task: Task) -> Sequence[str]:
        if self.choices_field is None:
            return () if isinstance(self.choices, str) else self.choices
        found = task.context.get(self.choices_field)
        if not isinstance(found, Sequence) or isinstance(found, str) or not all(isinstance(one, str) for one in found):
            raise DataError(f"task {task.id}: its context has no list of texts {self.choices_field!r}")
        return [str(one) for one in found]


def pick(answer: str, texts: Sequence[str], letters: str) -> str | None:
    """The one letter that an answer picks, or `None`."""
    for part in (boxed(answer), after(answer, "answer is"), after(answer, "answer:")):
        if part is None:
            continue
        part = re.sub(r"\\text\{([^{}]*)\}", r"\1", part).strip().lstrip(":").strip()  # noqa: PLW2901
        line = part.split("\n")[0].strip(" .*_\"'`")
        found = _letter(line, texts, letters)
        if found is None and (match := re.match(r"[*_\s]*" + _LETTER, part)) and match[1].upper() in letters:
            found = match[1].upper()
        if found is not None:
            return found
    whole = _letter(answer.strip(" .*_\"'`\n"), texts, letters)
    if whole is not None:
        return whole
    leading = _LEADING.match(answer)
    if leading is not None and (leading[1] or leading[2]).upper() in letters:
        first = (leading[1] or leading[2]).upper()
        others = {one[0] or one[1] for one in _LEADING.findall("\n".join(answer.split("\n")[1:]))}
        return first if not others - {first, ""} else None
    # In running text only capitals count, and neither the article nor the pronoun.
    named = {match[1] for match in re.finditer(_LETTER, answer) if match[1].isupper() and match[1] in letters}
    bare = {match[1] for match in re.finditer(r"(?<![\w'(\[])([AI])(?= (?!or\b|and\b|is\b)[a-z])", answer)}
    named -= {one for one in bare if not re.search(rf"[(\[]{one}[)\]]", answer)}
    return named.pop() if len(named) == 1 else None


def _letter(written: str, texts: Sequence[str], letters: str) -> str | None:
    alone = _ALONE.fullmatch(written)
    if alone is not None and alone[1].upper() in letters:
        return alone[1].upper()
    wanted = normalise(written, ignore_case=True)
    for letter, choice in zip(letters, texts, strict=False):
        plain = normalise(choice, ignore_case=True)
        if wanted == plain or re.fullmatch(rf"[(\[]?{letter}[)\].:]?\s+{re.escape(plain)}", wanted, re.IGNORECASE):
            return letter
    return None


def _make(parameters: Mapping[str, Json]) -> Choice:
    return build("choice", Choice, parameters)


PLUGIN = _make
