"""The child process of `math-equivalence`: a JSON line `[reference, answer]` in, `true` or `false` out.

Formulas are read as LaTeX only: the library's other reader hands plain text to sympy's `parse_expr`, which evaluates
it.
"""

import json
import logging
import os
import sys

MEMORY_BYTES = 4 * 2**30


def main() -> None:
    """Answer until the input ends."""
    _limit()
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    from math_verify import LatexExtractionConfig, parse, verify

    latex = [LatexExtractionConfig(boxed_match_priority=0)]

    def read(formula: str) -> list[object]:
        # The parent kills this process when the time is over: the library's own limit would leave it half-way.
        found: list[object] = parse(f"\\boxed{{{formula.strip().strip('$')}}}", latex, parsing_timeout=None)
        return found

    read("1")
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        gold, found = json.loads(line)
        try:
            right, said = read(gold), read(found)
            equal = bool(right) and bool(said) and bool(verify(right, said, timeout_seconds=None))
        except (RecursionError, MemoryError):
            equal = False
        answers.write("true\n" if equal else "false\n")
        answers.flush()


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits.
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    main()
