"""How messages speak of names: quoted safely, listed briefly, with the nearest one that exists."""

import json
import re
from collections.abc import Iterable, Sequence

# What a terminal or an editor would not show as written: controls, line separators, byte-order marks, surrogates,
# and the marks that reorder text.
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\xa0\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")


def escaped(text: str) -> str:
    """The text as a double-quoted string of YAML and of JSON's kind, on one line, with no unshowable character."""

    def escape(match: re.Match[str]) -> str:
        return f"\\u{ord(match[0]):04x}"

    # json escapes what lies below 0x20 in its short forms; the rest is ours.
    return UNSHOWABLE.sub(escape, json.dumps(text, ensure_ascii=False))


def quoted(name: str, limit: int = 60) -> str:
    """The name in double quotes for a message, cut after `limit` characters."""
    return escaped(name if len(name) <= limit else name[: limit - 1] + "…")


def folded(name: str) -> str:
    """The name without regard to case and white space."""
    return " ".join(name.split()).casefold()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant: equal but for case and space, else closest in spelling."""
    names = list(dict.fromkeys(known))
    wanted = folded(name)
    for candidate in names:
        if folded(candidate) == wanted:
            return candidate
    # Spelling distance costs a comparison with each: not worth it on names that nobody typed.
    if len(names) > 200 or len(name) > 100:
        return None
    import difflib

    close = difflib.get_close_matches(wanted, [folded(candidate) for candidate in names], n=1)
    return next((candidate for candidate in names if folded(candidate) == close[0]), None) if close else None


def same(name: str, known: Iterable[str]) -> str | None:
    """The one known name that equals this one but for case and white space; `None` where there is none, or several."""
    wanted = folded(name)
    found = {candidate for candidate in known if folded(candidate) == wanted}
    return found.pop() if len(found) == 1 else None


def listing(known: Sequence[str], limit: int = 12) -> str:
    """The names, comma-separated, plain; the first `limit` and how many more."""
    if not known:
        return "none"
    shown = ", ".join(quoted(name)[1:-1] for name in known[:limit])
    return shown if len(known) <= limit else f"{shown} and {len(known) - limit} more"


def suggestion(name: str, known: Sequence[str], what: str) -> str:
    """A hint for an unknown name: what was meant, and what exists."""
    near = nearest(name, known)
    exists = f"{what} are: {listing(known)}"
    return exists if near is None else f"did you mean {quoted(near)}? {exists}"
