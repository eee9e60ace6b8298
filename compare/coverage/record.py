"""The record of the last sweep: what was held against Keras, and how far apart it was."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

Record = dict[str, Any]

HOME = "swept.json"


def swept() -> Record:
    """Return what the sweeps have found, by kind and class.

    For each class of layers (and activation functions, losses, optimizers, …): how many
    configurations there were, of how many the derivative was held against central differences, the
    largest distance from Keras in each precision, in standard deviations of the rounding noise, and
    the same for each option, with how many values it took.
    """
    record: Record = json.loads(files("compare.coverage").joinpath(HOME).read_text("utf-8"))
    return record
