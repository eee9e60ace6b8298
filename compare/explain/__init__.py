"""Writes out one training step, as a tutorial would: of a case, or of any small dense network."""

from compare.explain.chains import chains, is_written_out
from compare.explain.names import Names
from compare.explain.step import Step, step_by_hand
from compare.explain.text import explain, weight_place

__all__ = [
    "Names",
    "Step",
    "chains",
    "explain",
    "is_written_out",
    "step_by_hand",
    "weight_place",
]
