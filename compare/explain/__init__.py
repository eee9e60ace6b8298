"""Writes out one training step of a case, as a tutorial would."""

from compare.explain.text import explain, weight_place

__all__ = ["explain", "weight_place"]
