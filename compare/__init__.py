"""The judge: drives both halves, compares them step by step, explains and reports.

Importing it loads neither TensorFlow nor NumPy; they come with the first name that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare.callback import Lockstep
    from compare.engine import lockstep
    from compare.errors import BadInput, Disagreement
    from compare.report import Finding, Report
    from compare.submissions import check_gradients, check_step

_HOMES = {
    "Lockstep": "compare.callback",
    "lockstep": "compare.engine",
    "BadInput": "compare.errors",
    "Disagreement": "compare.errors",
    "Finding": "compare.report",
    "Report": "compare.report",
    "check_gradients": "compare.submissions",
    "check_step": "compare.submissions",
}

__all__ = [
    "BadInput",
    "Disagreement",
    "Finding",
    "Lockstep",
    "Report",
    "check_gradients",
    "check_step",
    "lockstep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'compare' has no attribute {name!r}")
    from importlib import import_module

    import_module("keras_models")  # loads TensorFlow without its chatter
    return getattr(import_module(_HOMES[name]), name)
