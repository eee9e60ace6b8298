"""Which of the arrays in a user's data goes to which input of a model, and to which output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from compare.errors import BadInput
from compare.twins.twin import per_output
from keras_models import naming
from keras_models.step_record import StepRecord


class Ends:
    """The ends of a model, at which ``fit`` takes arrays in any form and the twin takes lists.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, built and compiled.
    dtype : str
        Of the arrays that the twin takes.

    Attributes
    ----------
    graph : keras.Model
        The model.
    inputs, outputs : list of str
        What data can call them by: the keys where the model was made of a dict, else the names of
        the layers.
    judged : list of str
        The outputs that have a loss.
    """

    def __init__(self, model: keras.Model, dtype: str) -> None:
        self.graph = model
        self._model = getattr(model, "_functional", model)
        self._dtype = dtype
        given = self._model._inputs_struct
        self._by_key = isinstance(given, dict)
        flat = keras.tree.flatten(given)
        self.inputs = sorted(given) if self._by_key else [tensor.name for tensor in flat]
        self._ranks = [len(tensor.shape) for tensor in flat]
        self.outputs = naming.output_keys(model)
        losses = enumerate(per_output("loss", model.loss, model))
        self.judged = [self.outputs[place] for place, loss in losses if loss is not None]

    def of_inputs(self, x: Any) -> list[Any]:
        """Return what each input gets, in the order of the network's."""
        found = self._of_inputs(x)
        for name, one in zip(self.inputs, found, strict=True):
            if one is None:
                raise BadInput(f"x has nothing for the input {name!r}.")
        return found

    def _of_inputs(self, x: Any) -> list[Any]:
        if isinstance(x, Mapping):
            missing = [name for name in self.inputs if name not in x]
            # Keras looks up the names of inputs, but takes a dict of inputs apart as a whole.
            odd = [key for key in x if key not in self.inputs] if self._by_key else []
            if missing or odd:
                raise BadInput(f"x needs the keys {_told(self.inputs)}. Received: {_told(x)}.")
            named = [x[name] for name in self.inputs]
            if not any(isinstance(one, (Mapping, list, tuple)) for one in named):
                return named
        elif self._by_key and list(self._model._inputs_struct) != self.inputs:
            raise BadInput(
                f"The inputs of the model {self._model.name!r} have the keys "
                f"{_told(self.inputs)}: give x as a dict."
            )
        found: list[Any] = keras.tree.flatten(x)
        if len(found) != len(self._ranks):
            raise self._miscounted("x", len(found), len(self._ranks), self.inputs)
        return found

    def of_outputs(self, y: Any) -> list[Any]:
        """Return what is wanted of each output, or of each that has a loss, in their order."""
        found = self._by_output(y, "y")
        names = self.outputs if len(found) == len(self.outputs) else self.judged
        for name, one in zip(names, found, strict=True):
            if one is None and name in self.judged:
                raise BadInput(f"y has nothing for the output {name!r}, which has a loss.")
        return found

    def _by_output(self, y: Any, what: str) -> list[Any]:
        wanted = self.judged
        if isinstance(y, Mapping):
            if not set(wanted) <= set(y) <= set(self.outputs):
                told = _told(wanted)
                raise BadInput(f"{what} needs the keys {told}. Received: {_told(y)}.")
            names = self.outputs if len(y) == len(self.outputs) else wanted
            named = [y[name] for name in names]
            if not any(isinstance(one, (Mapping, list, tuple)) for one in named):
                return named
        found: list[Any] = keras.tree.flatten(y)
        if len(found) not in (len(self.outputs), len(wanted)):
            raise self._miscounted(what, len(found), len(wanted), wanted)
        return found

    def of_weights(self, sample_weight: Any) -> Any:
        """Return the weights of the samples: as for `of_outputs`, or one array for all; or None."""
        if not keras.tree.is_nested(sample_weight):
            return sample_weight
        each = self._by_output(sample_weight, "sample_weight")
        if all(one is None for one in each):
            return None
        return each[0] if len(self.outputs) == 1 else each

    def _miscounted(self, what: str, found: int, wanted: int, names: Sequence[str]) -> BadInput:
        arrays = "1 array" if found == 1 else f"{found} arrays"
        return BadInput(
            f"{what} needs one array for each of {_told(names)}, which makes {wanted}. "
            f"Received: {arrays}."
        )

    # ------------------------------------------------------------------ as the twin takes it

    def laid_out(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return a batch as the twin takes it: arrays, or lists of them, in its own order.

        As in Keras, numbers are cast to what the model computes in, and an axis of one is added or
        taken away where an input's shape asks for it. Class numbers stay as they are.
        """
        if y is None:
            raise BadInput("y is missing: the twin learns from pairs (x, y), or with weights.")
        xs = [self._fed(*pair) for pair in zip(self.of_inputs(x), self._ranks, strict=True)]
        targets = self.of_outputs(y)
        ys = [None if one is None else self._cast(one, keep="iu") for one in targets]
        weights = self.of_weights(sample_weight)
        if isinstance(weights, list):
            weights = [None if one is None else self._cast(one) for one in weights]
        elif weights is not None:
            weights = self._cast(weights)
        return (
            xs[0] if len(xs) == 1 else xs,
            ys[0] if len(self.outputs) == 1 else ys,
            weights,
        )

    def record(self, record: StepRecord) -> StepRecord:
        """Return the record of a step with its batch as the twin takes it."""
        x, y, weights = self.laid_out(record.x, record.y, record.sample_weight)
        return replace(record, x=x, y=y, sample_weight=weights)

    def _cast(self, given: Any, keep: str = "") -> np.ndarray:
        array: np.ndarray = np.asarray(given)
        if array.dtype.kind in keep:
            return array
        with np.errstate(over="ignore"):  # what is too large for the dtype is reported elsewhere
            return array.astype(self._dtype, copy=False)

    def _fed(self, given: Any, rank: int) -> np.ndarray:
        array: Any = self._cast(given)
        if array.ndim == rank - 1:
            array = array[..., None]
        fed: np.ndarray = array[..., 0] if array.ndim == rank + 1 else array
        return fed


def _told(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"
