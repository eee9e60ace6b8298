"""The judge: drives both halves, compares them step by step, explains and reports.

Importing it loads neither TensorFlow nor NumPy; they come with the first name that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare.callback import Lockstep
    from compare.errors import BadInput, Disagreement
    from compare.findings.report import Finding, Report
    from compare.pages.film import Film
    from compare.records import Difference, Record, diff
    from compare.reproduction import reproduce
    from compare.steps.engine import lockstep
    from compare.submissions import check_gradients, check_step

_WITHOUT_TENSORFLOW = {
    "BadInput": "compare.errors",
    "Difference": "compare.records",
    "Disagreement": "compare.errors",
    "Record": "compare.records",
    "diff": "compare.records",
}
_HOMES = _WITHOUT_TENSORFLOW | {
    "Lockstep": "compare.callback",
    "lockstep": "compare.steps.engine",
    "Film": "compare.pages.film",
    "Finding": "compare.findings.report",
    "Report": "compare.findings.report",
    "check_gradients": "compare.submissions",
    "check_step": "compare.submissions",
    "reproduce": "compare.reproduction",
}

__all__ = [
    "BadInput",
    "Difference",
    "Disagreement",
    "Film",
    "Finding",
    "Lockstep",
    "Record",
    "Report",
    "check_gradients",
    "check_step",
    "diff",
    "lockstep",
    "reproduce",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'compare' has no attribute {name!r}")
    from importlib import import_module

    if name not in _WITHOUT_TENSORFLOW:
        import_module("keras_models")  # loads TensorFlow without its chatter
    return getattr(import_module(_HOMES[name]), name)
