"""Keeps credentials out of what a run writes, wherever they come from: a prompt, a reply, an error, a header.

Blotted out are the values of environment variables whose names say that they are secret, and texts in the published
forms of keys and tokens. A secret of another form that stands in no such variable cannot be told from any other text.
"""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

BLOT = "***"

_SECRET_NAME = re.compile(r"(?i)(^|_)(api_?key|key|token|secret|password|passwd|credentials?|auth|bearer|pat|dsn)(_|$)")
_NO_SECRET_NAME = re.compile(r"(?i)_(env|file|path|url|id|name|limit|count|sock|program)$")

_LEAST = 8
# A shorter value is as often a setting ("true", "1000"), and blotting it out would mangle every text.

_FORMS = {
    "_": {
        "ghp_": r"ghp_[A-Za-z0-9]{20,}",
        "gho_": r"gho_[A-Za-z0-9]{20,}",
        "ghs_": r"ghs_[A-Za-z0-9]{20,}",
        "github_pat_": r"github_pat_[A-Za-z0-9_]{20,}",
        "hf_": r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}",
    },
    "-": {"sk-": r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"},
    "x": {"xox": r"xox[abeoprs]-[A-Za-z0-9-]{10,}"},
    "K": {"AKIA": r"AKIA[0-9A-Z]{16}"},
    "z": {"AIza": r"AIza[0-9A-Za-z_-]{35}"},
    "J": {"eyJ": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"},
    " ": {"earer ": r"(?<=earer )[A-Za-z0-9._~+/-]{16,}=*"},
    "B": {"Basic ": r"(?<=Basic )[A-Za-z0-9+/]{16,}=*"},
    "V": {
        # Ends where the key ends, or where the text or the JSON string does.
        "PRIVATE KEY-----": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^\"]*?"
        r"(?:-----END [A-Z ]*PRIVATE KEY-----|(?=\")|\Z)",
    },
}
"""The forms of keys by what each contains, and that by a character of it that texts seldom have: one character is found
many times as fast as three, and every text of a run is searched for all of them."""

_LONGEST = max(len(mark) for marked in _FORMS.values() for mark in marked)


def blotter(environment: Mapping[str, str]) -> Callable[[str], str]:
    """What blots secrets out of a text, be it plain or already JSON: the result is then JSON as well."""
    values = {
        value
        for name, value in environment.items()
        if len(value) >= _LEAST and _SECRET_NAME.search(name) and not _NO_SECRET_NAME.search(name)
    }
    # Longest first: a secret that begins like another must not leave its tail.
    ordered = sorted({form for value in values for form in (value, quote(value, safe=""))}, key=len, reverse=True)
    known = [(value, _escaped(value)) for value in ordered]
    forms = [(rare, [(mark, re.compile(form)) for mark, form in marked.items()]) for rare, marked in _FORMS.items()]

    def blot(text: str) -> str:
        for plain, escaped in known:
            if plain in text or escaped in text:
                text = _without(plain, escaped, text)
        for rare, marked in forms:
            if rare in text:
                rest = text[max(0, text.index(rare) - _LONGEST) :]
                for mark, form in marked:
                    if mark in rest:
                        text = form.sub(BLOT, text)
        return text

    return blot


def _without(plain: str, escaped: str, text: str) -> str:
    if not _is_json(text):
        return text.replace(plain, BLOT)
    # The end of an escape before it ("\\u00a" and "0...") goes with it, or what is left would be no JSON.
    return re.sub(rf"(?:\\+(?:u[0-9a-f]{{0,3}})?)?{re.escape(escaped)}", BLOT, text)


def _escaped(value: str) -> str:
    return json.dumps(value)[1:-1]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
