"""Drives a strategy: records its proposals, pays for their scores, chooses on validation, then passes once over test.

Everything that a resumed run needs is in the run folder's ledger: a round that was proposed is not proposed again, a
task that was scored is not run again, and a choice that was made before the test split was read stands.
"""

from autoflow.improve.config import REFERENCES, Gate, ImproveConfig, make_strategy, resolved, run_path
from autoflow.improve.driver import Collaborators, EventKind, ImproveEvent, Standing, improve
from autoflow.improve.report import SCHEMA, ImproveReport, Measured, ReferenceRow, Row, TestRow
from autoflow.improve.selection import HAND_WRITTEN

__all__ = [
    "HAND_WRITTEN",
    "REFERENCES",
    "SCHEMA",
    "Collaborators",
    "EventKind",
    "Gate",
    "ImproveConfig",
    "ImproveEvent",
    "ImproveReport",
    "Measured",
    "ReferenceRow",
    "Row",
    "Standing",
    "TestRow",
    "improve",
    "make_strategy",
    "resolved",
    "run_path",
]
