"""Finds the number that an answer states. The rules are METHODS section 8's; each line below says which one it is."""

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from autoflow.scorers.wording import after, boxed

Grouping = Literal["comma", "point", "indian"]
"""What may stand between groups of digits: `comma` (1,234.5), also `point` or a space (1.234,5: German, Spanish,
French, Russian), also groups of two (1,23,456: Bengali, Telugu). Unmistakable separators (thin space, apostrophe,
LaTeX's) count everywhere."""

_MINUS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013", "-"))
_THIN = "\u2009\u202f\u00a0\u2060'\u2019_"
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")

_JOIN = re.compile(rf"(?<=\d)(?:[{_THIN}]|\{{,\}}|\\[,!;: ]|,\\!)+(?=\d{{3}}(?!\d))")
_SPACING = re.compile(r"\\(?:[,!;: ]|quad\b|qquad\b|left\b|right\b|displaystyle\b)|~")
_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"(\d+)?\s*\\[dt]?frac\s*(?:\{\s*(-?[\d.]+)\s*\}\s*\{\s*(-?[\d.]+)\s*\}|(\d)(\d))")
_POWER = re.compile(r"(\d)\s*(?:\\times|\\cdot|×|·|\*|x)\s*10\s*(?:\^|\*\*)\s*\{?\s*([+-]?\d{1,4})\s*\}?(?![\d.])")
_SLASH = re.compile(r"\s*[=:]?\s*(-?\d+)\s*/\s*(\d+)(?![\d/]|\.\d|\s*/)")
_NUMBER = {
    "comma": r"\d{1,3}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+",
    "indian": r"\d{1,3}(?:,\d{2,3})*,\d{3}(?![\d]|,\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+",
    "point": (
        r"[1-9]\d{0,2}(?:(?:\.\d{3})+|(?: \d{3})+)(?!\d)(?:,\d+)?"
        r"|\d{1,3}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+"
    ),
}
_TOKEN = {
    grouping: re.compile(rf"({pattern})((?:[eE][+-]?\d{{1,4}})?)(?![eE]?[+-]?\d)")
    for grouping, pattern in _NUMBER.items()
}


def number(text: str, grouping: Grouping = "comma") -> float | None:
    """The number that the text states, or `None`: after the last `####`, else in the last box, else after "answer is",
    the first one there; otherwise the last one of the whole."""
    cleaned = clean(text)
    for marked in (after(cleaned, "####"), boxed(cleaned), after(cleaned, "answer is")):
        if marked is None:
            continue
        fraction = _SLASH.match(marked)
        if fraction is not None and int(fraction[2]):
            return int(fraction[1]) / int(fraction[2])
        first = next(numbers(marked, grouping), None)
        if first is not None:
            return first
    last = None
    for last in numbers(cleaned, grouping):  # noqa: B007 - the last one is what is wanted
        pass
    return last


def clean(text: str) -> str:
    """Unicode and LaTeX folded into plain characters, currency and per cent dropped; line ends stay."""
    text = _vulgar(text)
    # Before NFKC, which turns 10² into 102 and a thin space into a plain one.
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", lambda match: "^" + match[0].translate(_SUPERSCRIPTS), text)
    text = _JOIN.sub("", text)
    text = unicodedata.normalize("NFKC", text).translate(_MINUS)
    text = "".join(str(unicodedata.digit(character)) if character.isdigit() else character for character in text)
    text = _WORDS.sub(r" \1 ", text).replace("\\%", "").replace("%", "")
    text = _JOIN.sub("", _SPACING.sub(" ", text).replace("{,}", ","))
    text = _currency(text)
    text = _FRACTION.sub(_quotient, text)
    return _POWER.sub(r"\1e\2", text)


def numbers(cleaned: str, grouping: Grouping = "comma") -> Iterator[float]:
    """Every finite number of a cleaned text, in order. One that hangs on a Latin, Greek or Cyrillic letter (H2O, m2) or
    is an exponent is none."""
    at = 0
    pattern = _TOKEN[grouping]
    while (match := pattern.search(cleaned, at)) is not None:
        start = match.start()
        if _attached(cleaned, start):
            # Past the whole run: the 34 of m234 is no number either.
            run = re.compile(r"[\d.,]+").match(cleaned, start)
            assert run is not None  # noqa: S101 - a number starts with a digit or a point
            at = start + 1 if cleaned[start] == "." else run.end()
            continue
        at = match.end()
        value = float(_plain(match[1], grouping) + match[2])
        if math.isfinite(value):
            yield -value if _signed(cleaned, start) else value


def _attached(text: str, start: int) -> bool:
    before = text[start - 1 : start]
    if before in {"^", "_"} or text[max(0, start - 2) : start] in {"^{", "^-", "_{"}:
        return True
    # Scripts without spaces (Chinese, Japanese, Thai) write a number right after a letter.
    return before.isalpha() and ord(before) < 0x530


def _signed(text: str, start: int) -> bool:
    if text[start - 1 : start] != "-" or start == 0:
        return False
    before = text[start - 2 : start - 1] if start >= 2 else ""
    return not (before.isalnum() or before == ")")


def _plain(token: str, grouping: Grouping) -> str:
    if grouping == "point":
        token = token.replace(" ", "")
        if re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", token):
            return token.replace(".", "").replace(",", ".")
        if not re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", token):
            return token.replace(",", ".")
    return token.replace(",", "")


def _vulgar(text: str) -> str:
    """½ as 0.5, and 3½ as 3.5: NFKC would make them 1⁄2 and 31⁄2."""

    def value(match: "re.Match[str]") -> str:
        return repr(int(match[1] or 0) + unicodedata.numeric(match[2]))

    return re.sub(r"(\d*)([¼½¾⅐-⅞])", value, text)


def _currency(text: str) -> str:
    parts = []
    for index, character in enumerate(text):
        if unicodedata.category(character) != "Sc":
            # The backslash of \$.
            if character == "\\" and unicodedata.category(text[index + 1 : index + 2] or " ") == "Sc":
                continue
            parts.append(character)
        # US$5: the letters must not hang on the number once the sign is gone.
        elif parts and parts[-1].isalpha():
            parts.append(" ")
        elif text[index + 1 : index + 2] == " " and parts and parts[-1] == "-":
            parts.append("\0")
    # "-$ 5" is minus five.
    return "".join(parts).replace("\0 ", "")


def _quotient(match: "re.Match[str]") -> str:
    above, below = match[2] or match[4], match[3] or match[5]
    try:
        # 3\\frac{1}{2} is three and a half.
        value = int(match[1] or 0) + float(above) / float(below)
    except (ValueError, ZeroDivisionError):
        return match[0]
    before = match.string[match.start() - 1 : match.start()]
    return f"{' ' if before.isalpha() else ''}{value!r} "
