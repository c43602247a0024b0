"""W4S's reward of a turn: what a score is worth beside those before it (arXiv:2504.04785, and its release)."""

from autoflow.core.strategy import Trial

PENALTY = 0.1
PENALISED_BELOW = 0.3


def turn_reward(
    value: float, best: float, previous: float, *, penalty: bool = False, continuous: bool = False
) -> float:
    """1 for a score above every earlier turn's, 0.5 for one above the turn before, else 0.

    Args:
        best: The highest score of the turns before.
        previous: The score of the turn before.
        penalty: Take 0.1 off where the score is below 0.3, as the release does.
        continuous: (value − best)/best instead of the steps; where `best` is 0, the value itself.
    """
    if continuous:
        reward = (value - best) / best if best else value
    else:
        reward = 1.0 if value > best else 0.5 if value > previous else 0.0
    return reward - PENALTY if penalty and value < PENALISED_BELOW else reward


def rewarded(trial: Trial, *, penalty: bool = False, continuous: bool = False) -> float | None:
    """The reward of a trial that `w4s` proposed, by its score on validation; `None` without a score.

    What it is measured against stands in the trial's notes. The prefix of its turn is the request recorded under
    `notes["request"]` in the run's ledger, the last action is `notes["action"]`: one row of RLAO's data a trial.
    """
    notes = trial.proposal.notes
    value = None if trial.validation is None else trial.validation.mean
    best, previous = notes.get("best"), notes.get("previous")
    if value is None or not isinstance(best, int | float) or not isinstance(previous, int | float):
        return None
    return turn_reward(value, best, previous, penalty=penalty, continuous=continuous)
