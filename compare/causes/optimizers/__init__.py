"""Slips in an update: in the rule itself, and in what is done around it."""

from compare.causes.optimizers import hypotheses, schedules  # noqa: F401  (each registers its hypotheses)
from compare.causes.optimizers.hypotheses import exactly
from compare.causes.optimizers.rules import RULES, rule_of
from compare.causes.optimizers.state import State

__all__ = ["RULES", "State", "exactly", "rule_of"]
