"""Errors that tell a person what was wrong, where, and what to do."""

from __future__ import annotations


class BadInput(ValueError):
    """Something that was asked for can't be compared; the message is one clear sentence."""


class Disagreement(AssertionError):
    """The two halves differ by more than rounding; the message is the first finding."""
