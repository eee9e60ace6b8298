"""Numbers for the tests of rounding noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.rounding.noise import Noisy

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
FLUSHED = 2.0**-126
"""The smallest normal float32: TensorFlow replaces what is smaller by zero."""


def noisy(array: Any, unit: float = UNIT["float32"]) -> Noisy:
    return Noisy(np.array(array, np.float64), unit=unit)


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Draw float32 numbers, so that they are exact in both precisions."""
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]
