"""What may be claimed at the end of a run, in a sentence or two."""

from collections.abc import Sequence

from autoflow.improve.report import Row, TestRow
from autoflow.improve.selection import HAND_WRITTEN
from autoflow.statistics import CONFIDENCE, verdict
from autoflow.summary import count

_NOTHING = "Nothing beat the hand-written workflow by a margin that the sample supports"


def claim(rows: Sequence[Row], tests: Sequence[TestRow], best: str | None) -> tuple[bool, str]:
    """Whether the best of a complete run beat the hand-written workflow by a margin that the sample supports, and
    how that is said.

    Args:
        best: Id of the workflow that is kept; `None` where there is none.
    """
    if not any(row.id == HAND_WRITTEN for row in rows):
        if best is None:
            return False, "No draft could be scored, and there is no hand-written workflow."
        return False, f"{best} is the best on validation; there is no hand-written workflow to compare it with."
    candidates = [row for row in rows if row.round > 0 and row.valid and row.duplicate_of is None]
    if not candidates:
        return False, f"{_NOTHING}: no draft was a new, valid workflow. The hand-written workflow is kept."
    if best == HAND_WRITTEN:
        compared = [(row.against, row) for row in candidates if row.against is not None]
        dropped = sum(row.dropped is not None for row in candidates)
        if not compared:
            why = (
                f"{dropped} of {count(len(candidates), 'candidate')} were dropped as beaten"
                if dropped
                else ("no candidate could be compared")
            )
            return False, f"{_NOTHING}: {why}. The hand-written workflow is kept."
        comparison, top = max(compared, key=lambda pair: pair[0].difference)
        beaten = f", {dropped} of them dropped as beaten" if dropped else ""
        return False, (
            f"{_NOTHING}: of {count(len(candidates), 'candidate')}{beaten}, {top.id} comes nearest on validation "
            f"({verdict(comparison)}). The hand-written workflow is kept."
        )
    return _on_best(
        best or "",
        len(candidates),
        next((row for row in rows if row.id == best), None),
        next((row for row in tests if row.id == best), None),
    )


def _on_best(best: str, candidates: int, row: Row | None, test: TestRow | None) -> tuple[bool, str]:
    """What may be claimed of the candidate that validation chose: by test where it was read, else by validation."""
    if test is not None:
        where, comparison, p_value = "on test", test.against, test.p_holm
    else:
        where, comparison = "on validation", None if row is None else row.against
        p_value = None if row is None else row.p_holm
    among = f", best of {count(candidates, 'candidate')} on validation,"
    if comparison is None or p_value is None:
        return False, f"{_NOTHING}: {best}{among} could not be compared with it {where}."
    said = verdict(comparison)
    if comparison.difference > 0 and p_value < 1 - CONFIDENCE:
        return True, f"{best}{among} beat the hand-written workflow {where}: {said}."
    if comparison.difference > 0 and comparison.significant:
        said = f"{said}, but p = {p_value:.3f} when adjusted for the number compared"
    return False, f"{_NOTHING}: {best}{among} shows {where} {said}."
