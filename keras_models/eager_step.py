"""One training step on any backend of Keras, taken eagerly by ``train_on_batch`` and looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_models import naming
from keras_models.hooks import record_layer
from keras_models.step_record import StepRecord


class DrawsRandomNumbers(Exception):
    """A layer has drawn random numbers, which can't be read off every backend."""


class EagerStepper:
    """Trains a compiled model step by step, and says what each step computed.

    Nothing but Keras's own interface is used, so that it works with JAX and torch as with
    TensorFlow. Activation gradients are not seen.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional. It is trained, eagerly.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        model.run_eagerly = True
        self.steps = 0

    def step(
        self, x: Any, y: Any, sample_weight: Any = None
    ) -> tuple[StepRecord, dict[str, np.ndarray]]:
        """Train on a batch; return what was done, and every activation by its name in a trace.

        Raises
        ------
        DrawsRandomNumbers
            If a layer does.
        """
        model, optimizer = self.model, self.model.optimizer
        before, slots_before = _numbers(naming.weights(model)), self._slots()
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        iterations = int(keras.ops.convert_to_numpy(optimizer.iterations))
        activations = self._activations(x)
        if not self.steps:
            again = self._activations(x)
            if not all(np.array_equal(a, again[name], True) for name, a in activations.items()):
                raise DrawsRandomNumbers
        model.reset_metrics()
        with self._gradients() as gradients:
            logs = model.train_on_batch(x, y, sample_weight, return_dict=True)
        self.steps += 1
        record = StepRecord(
            epoch=1,
            step=self.steps,
            x=x,
            y=y,
            sample_weight=sample_weight,
            before=before,
            after=_numbers(naming.weights(model)),
            slots_before=slots_before,
            slots_after=self._slots(),
            iterations=iterations,
            learning_rate=rate,
            seeds=[],
            gradients=gradients,
            loss=np.asarray(logs["loss"], keras.config.floatx()),
        )
        return record, activations

    def _slots(self) -> dict[str, dict[str, np.ndarray]]:
        return {slot: _numbers(named) for slot, named in naming.slots(self.model).items()}

    def _activations(self, x: Any) -> dict[str, np.ndarray]:
        """Run the model forward as in training, and put back what that has changed."""
        seen: dict[str, Any] = {}
        kept = [(one, np.array(keras.ops.convert_to_numpy(one))) for one in self.model.variables]
        calls = list(naming.calls_in_order(self.model, masks=True))
        names: dict[int, list[str]] = {}
        for layer, path, call in calls:
            names.setdefault(id(layer), []).append(path + (f"@{call + 1}" if call else ""))
        layers = list({id(layer): layer for layer, _, _ in calls}.values())
        masks: dict[str, Any] = {}
        current = [""]
        undo = [record_layer(layer, names[id(layer)], seen, masks, current) for layer in layers]
        try:
            with _no_draws():
                self.model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=True)
        finally:
            for restore in undo:
                restore()
            for variable, value in kept:
                variable.assign(value)
        return _numbers(seen)

    @contextmanager
    def _gradients(self) -> Iterator[dict[str, np.ndarray]]:
        """Note the gradients that the optimizer is handed."""
        optimizer, names = self.model.optimizer, naming.trainable_names(self.model)
        own, found = optimizer.apply, {}

        def apply(gradients: Any, variables: Any = None) -> Any:
            for name, gradient in zip(names, gradients, strict=True):
                if gradient is not None:
                    found[name] = _array(gradient)
            return own(gradients, variables)

        optimizer.apply = apply
        try:
            yield found
        finally:
            del optimizer.apply


def _numbers(named: Any) -> dict[str, np.ndarray]:
    """Return copies of tensors or variables as arrays; those of a narrow precision in float32."""
    return {name: _array(one) for name, one in named.items()}


def _array(tensor: Any) -> np.ndarray:
    is_narrow = keras.backend.standardize_dtype(tensor.dtype) in ("float16", "bfloat16")
    numbers = keras.ops.cast(tensor, "float32") if is_narrow else tensor
    return np.array(keras.ops.convert_to_numpy(numbers))


@contextmanager
def _no_draws() -> Iterator[None]:
    """Raise where a layer draws a random number."""
    own = keras.random.SeedGenerator.next

    def refuse(*_: Any, **__: Any) -> Any:
        raise DrawsRandomNumbers

    keras.random.SeedGenerator.next = refuse
    try:
        yield
    finally:
        keras.random.SeedGenerator.next = own
