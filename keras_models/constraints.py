"""Constraints that tutorials use and Keras doesn't have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("KerasLockstep")
class Constant(keras.constraints.Constraint):
    """Puts a weight back to one number after every update: a bias that is not trained.

    The gradient is still computed, and compared; only the weight stays.

    Parameters
    ----------
    value : float
    """

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, w: Any) -> Any:
        return ops.full_like(w, self.value)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}
