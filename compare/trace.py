"""The spine of a comparison: the phases of a training step, in the order of causes."""

from __future__ import annotations

PHASES = (
    "input",
    "activation",
    "loss",
    "activation gradient",
    "weight gradient",
    "processed gradient",
    "optimizer slot",
    "weight",
    "state",
    "metric",
)
"""What comes earlier can be the cause of what comes later, never the other way round."""
