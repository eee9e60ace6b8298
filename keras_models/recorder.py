"""What every batch of a running ``fit`` did, taken out of it from inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming


@dataclass(frozen=True)
class StepRecord:
    """What one batch of a running ``fit`` did.

    Attributes
    ----------
    epoch, step : int
        Counted from 1; the step counts on over the epochs.
    x, y, sample_weight : arrays (or lists of them; None)
        The batch, as ``fit`` shuffled and cut it.
    before, after : dicts of name to array
        All weights.
    slots_before, slots_after : dicts of slot to name to array
        The optimizer's memory.
    iterations : int
        Training steps before this one (with accumulated gradients, fewer updates than that).
    learning_rate : float
        Of this step, also where a schedule gives it.
    seeds : list of array
        The states of the model's random generators before the step.
    gradients : dict of name to array
        As the optimizer received them: of the scaled loss, where it has a loss scale.
    loss : float
        Of this batch, before the update.
    """

    epoch: int
    step: int
    x: Any
    y: Any
    sample_weight: Any
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    slots_before: dict[str, dict[str, np.ndarray]]
    slots_after: dict[str, dict[str, np.ndarray]]
    iterations: int
    learning_rate: float
    seeds: list[np.ndarray]
    gradients: dict[str, np.ndarray]
    loss: np.ndarray


_State = tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]], int, list[np.ndarray]]
"""Weights, optimizer slots, iterations, seeds."""


class Recorder(keras.callbacks.Callback):
    """Takes what every batch did out of a running ``fit``, without changing its result.

    The batch, the loss and the gradients are copied inside the traced training step; the weights
    and the optimizer's slots are read between the steps. Under ``jit_compile=True``, where the
    copy of a batch can't be made inside, the batch is fetched first and then handed on.

    Parameters
    ----------
    on_step : callable
        Receives a `StepRecord` after every batch.
    """

    def __init__(self, on_step: Callable[[StepRecord], None]) -> None:
        super().__init__()
        self.on_step = on_step
        self._epoch = self._step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        self._hand_feed = bool(model.jit_compile) or model.run_eagerly
        own_train_step = model.train_step

        def train_step(data: Any) -> Any:
            return self._recorded(own_train_step, data)

        model.train_step = train_step
        model.make_train_function(force=True)
        own_train_function = model.train_function

        def train_function(iterator: Any) -> Any:
            data = next(iterator)
            self._batch = data
            return own_train_function(iter([data]))

        if self._hand_feed:
            model.train_function = train_function
        self._variables = naming.weights(model)
        self._slots = naming.slots(model)
        self._seeds = naming.seeds(model)
        self._names = naming.trainable_names(model)
        self._kept: dict[str, dict[str, tf.Variable]] = {"gradient": {}, "loss": {}, "data": {}}
        self._watch()
        self._before, _ = self._read()

    def on_train_end(self, logs: Any = None) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the model its own training step back (also after a failed or interrupted fit)."""
        if "train_step" in self.model.__dict__:
            del self.model.train_step
            self.model.train_function = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Other callbacks may have changed it since the last step.
        self._learning_rate = float(np.asarray(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        if self._step == 1:
            self._watch()
        after, kept = self._read()
        weights_before, slots_before, iterations, seeds = self._before
        if not self._hand_feed:
            self._batch = tf.nest.pack_sequence_as(self._batch, kept["data"])
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(
            tf.nest.map_structure(np.asarray, self._batch)
        )
        record = StepRecord(
            epoch=self._epoch,
            step=self._step,
            x=x,
            y=y,
            sample_weight=sample_weight,
            before=weights_before,
            after=after[0],
            slots_before=slots_before,
            slots_after=after[1],
            iterations=iterations,
            learning_rate=self._learning_rate,
            seeds=seeds,
            gradients=dict(zip(self._kept["gradient"], kept["gradient"], strict=True)),
            loss=kept["loss"][0],
        )
        self._before = after
        self.on_step(record)

    def _watch(self) -> None:
        """Prepare to read all variables in one call: one by one would take longer than a step."""
        variables = [
            *self._variables.values(),
            *(variable for named in self._slots.values() for variable in named.values()),
            self.model.optimizer._iterations,
            *self._seeds,
            *(variable for kept in self._kept.values() for variable in kept.values()),
        ]
        self._values = tf.function(lambda: [tf.identity(variable) for variable in variables])

    def _read(self) -> tuple[_State, dict[str, list[np.ndarray]]]:
        """Return the state of the training, and what the step kept."""
        arrays = iter([tensor.numpy() for tensor in self._values()])
        state = (
            {name: next(arrays) for name in self._variables},
            {slot: {name: next(arrays) for name in named} for slot, named in self._slots.items()},
            int(next(arrays)),
            [next(arrays) for _ in self._seeds],
        )
        return state, {what: [next(arrays) for _ in kept] for what, kept in self._kept.items()}

    # ------------------------------------------------------------------ inside the traced step

    def _recorded(self, train_step: Callable[[Any], Any], data: Any) -> Any:
        """Run the model's own training step with copies made of what passes through it."""
        model, optimizer = self.model, self.model.optimizer
        own_apply, own_compute_loss = optimizer.apply, model.compute_loss

        def apply(gradients: Any, trainable_variables: Any = None) -> Any:
            for name, gradient in zip(self._names, gradients, strict=True):
                if gradient is not None:  # (the graph may not know the shape of every gradient)
                    self._keep("gradient", name, gradient, self._variables[name].shape)
            return own_apply(gradients, trainable_variables)

        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = own_compute_loss(*args, **kwargs)
            self._keep("loss", "total", loss)
            return loss

        optimizer.apply, model.compute_loss = apply, compute_loss
        try:
            if not self._hand_feed:
                self._batch = data
                for index, part in enumerate(tf.nest.flatten(data)):
                    self._keep("data", str(index), part, tf.TensorShape(None))
            return train_step(data)
        finally:
            del optimizer.apply, model.compute_loss

    def _keep(self, what: str, name: str, value: Any, shape: Any = None) -> None:
        """Copy a tensor into a variable that outlives the step."""
        value = tf.convert_to_tensor(value)
        kept = self._kept[what]
        if name not in kept:
            with tf.init_scope():
                known = value.shape if shape is None else tf.TensorShape(shape)
                initial = tf.zeros(known if known.rank is not None else (), value.dtype)
                kept[name] = tf.Variable(initial, trainable=False, shape=known)
        kept[name].assign(value)
