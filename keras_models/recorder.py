"""What every batch of a running ``fit`` did, taken out of it from inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming
from keras_models.optimizers import learning_rate, rule_of
from keras_models.step_record import Batch, StepRecord, Tensors, as_numpy, as_rate, in_numpy

_Key = tuple[str, str]
"""What an array is (a weight, a slot, a gradient …), and its name."""
_State = tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]], int, list[np.ndarray]]
"""Weights, optimizer slots, iterations, seeds."""


class Recorder(keras.callbacks.Callback):
    """Takes what every batch did out of a running ``fit``, without changing its result.

    The traced training step returns, beside its logs, the batch, the gradients, the loss and what
    has become of the weights and the optimizer's slots. All numbers of one dtype come in one flat
    tensor: to fetch each by itself would take longer than the step. Under ``jit_compile=True``,
    where a batch can't be returned from inside, it is fetched first and then handed on.

    Parameters
    ----------
    on_step : callable
        Receives a `StepRecord` after every batch.
    on_validation : callable, optional
        Receives the batches of every validation, each as x, y and sample weights.
    graph : keras.Model, optional
        The Functional model of what a subclassed model does, by which its weights are named.
    """

    def __init__(
        self,
        on_step: Callable[[StepRecord], None],
        on_validation: Callable[[list[Batch]], None] | None = None,
        graph: keras.Model | None = None,
    ) -> None:
        super().__init__()
        self.on_step, self.on_validation, self.graph = on_step, on_validation, graph
        self._epoch = self._step = 0
        self._held_out: list[Any] | None = None
        self._ran_out = False

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
            batch, returned = self._fed(own_train_function, iterator)
            self._returned = batch, returned["packed"], returned["rows"]
            return returned["logs"]

        model.train_function = train_function
        if self.on_validation is not None:
            self._watch_validation()
        self._weights = naming.weights(self.graph or model)
        self._slots = naming.slots(model)
        self._seeds = naming.seeds(self.graph or model)
        self._names = naming.trainable_names(model)
        self._read()

    def _read(self) -> None:
        """Read the state of everything as it is now."""
        self._before = self._state({key: v.numpy() for key, v in self._variables().items()})
        self._state_before: Any = None

    def _fed(self, function: Callable[[Any], Any], iterator: Any) -> tuple[Any, dict[str, Any]]:
        """Run a traced step on the next batch; return this beside what the step returned."""
        if self._hand_feed:
            batch = next(iterator)
            return batch, function(iter([batch]))
        try:
            returned = function(iterator)
        except tf.errors.OutOfRangeError:
            self._ran_out = True
            raise
        return returned["batch"], returned

    def _watch_validation(self) -> None:
        """Let the model's own evaluation return its batches, too."""
        model = self.model
        own_test_step = model.test_step

        def test_step(data: Any) -> Any:
            returned = {"logs": own_test_step(data)}
            return returned if self._hand_feed else {**returned, "batch": data}

        model.test_step = test_step
        model.make_test_function(force=True)
        own_test_function = model.test_function

        def test_function(iterator: Any) -> Any:
            batch, returned = self._fed(own_test_function, iterator)
            if self._held_out is not None:
                self._held_out.append(batch)
            return returned["logs"]

        model.test_function = test_function

    def on_test_begin(self, logs: Any = None) -> None:
        self._held_out = []  # not where a user's callback evaluates the model: nobody tells of it

    def on_test_end(self, logs: Any = None) -> None:
        batches, self._held_out = self._held_out or [], None
        if self.on_validation is not None:
            self.on_validation([in_numpy(batch) for batch in batches])

    def on_train_end(self, logs: Any = None) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the model its own steps back (also after a failed or interrupted fit)."""
        if "train_step" in self.model.__dict__:
            del self.model.train_step
            self.model.train_function = None
        if "test_step" in self.model.__dict__:
            del self.model.test_step
            self.model.test_function = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1
        if self._ran_out:  # what doesn't depend on the batch that wasn't there has happened still
            self._read()
            self._ran_out = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        data, packed, rows = self._returned
        state, arrays = self._state_of(packed), self._unpacked(packed)
        after = self._state(arrays)
        weights_before, slots_before, iterations, seeds = self._before
        x, y, sample_weight = in_numpy(data)
        parts = [part for part in keras.utils.unpack_x_y_sample_weight(data) if part is not None]
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
            learning_rate=as_rate(arrays["learning rate", ""]),
            seeds=seeds,
            gradients={key[1]: one for key, one in arrays.items() if key[0] == "gradient"},
            loss=arrays["loss", "total"],
            rows={name: tuple(part.numpy() for part in parts) for name, parts in rows.items()},
            tensors=self._tensors(parts),
        )
        self._before, self._state_before = after, state
        self.on_step(record)

    def _tensors(self, parts: list[Any]) -> Tensors | None:
        """Return what the step began with as tensors, where they lie as a copy would have them."""
        if self._state_before is None or self.graph is not None:
            return None
        return Tensors(self._state_before, parts)

    def _variables(self) -> dict[_Key, Any]:
        """Return all variables that a step may change."""
        return {
            **{("weight", name): variable for name, variable in self._weights.items()},
            **{
                (f"slot {slot}", name): variable
                for slot, named in self._slots.items()
                for name, variable in named.items()
            },
            ("iterations", ""): rule_of(self.model.optimizer)._iterations,
            **{("seed", str(index)): seed for index, seed in enumerate(self._seeds)},
        }

    def _state(self, arrays: Mapping[_Key, np.ndarray]) -> _State:
        return (
            {name: arrays["weight", name] for name in self._weights},
            {
                slot: {name: arrays[f"slot {slot}", name] for name in named}
                for slot, named in self._slots.items()
            },
            int(arrays["iterations", ""]),
            [arrays["seed", str(index)] for index in range(len(self._seeds))],
        )

    def _state_of(self, packed: Mapping[str, Any]) -> Any:
        """Return all weights and slots in one flat tensor; None if they don't lie in one."""
        flat = [tensor for group, tensor in packed.items() if group.startswith("state")]
        return flat[0] if len(flat) == 1 else None

    def _unpacked(self, packed: Mapping[str, Any]) -> dict[_Key, np.ndarray]:
        """Cut the flat tensors that a step has returned into named arrays."""
        arrays = {}
        for group, flat in packed.items():
            numbers, start = as_numpy(flat), 0
            for key, shape, size in self._layout[group]:
                size = len(numbers) if size is None else size
                arrays[key] = numbers[start : start + size].reshape(shape)
                start += size
        if ("loss", "shape") in arrays:
            arrays["loss", "total"] = arrays["loss", "total"].reshape(arrays["loss", "shape"])
        return arrays

    # ------------------------------------------------------------------ inside the traced step

    def _recorded(self, train_step: Callable[[Any], Any], data: Any) -> dict[str, Any]:
        """Run the model's own training step; return what passes through it beside its logs."""
        model, optimizer = self.model, self.model.optimizer
        own_apply, own_compute_loss = optimizer.apply, model.compute_loss
        rate = learning_rate(model)  # callbacks may have changed it
        seen: dict[_Key, tuple[Any, Any]] = {}
        rows: dict[str, tuple[Any, Any]] = {}

        def apply(gradients: Any, trainable_variables: Any = None) -> Any:
            for name, gradient in zip(self._names, gradients, strict=True):
                if gradient is not None:  # (the graph may not know the shape of every gradient)
                    seen["gradient", name] = gradient, self._weights[name].shape
                if isinstance(gradient, tf.IndexedSlices):
                    rows[name] = gradient.indices, gradient.values
            return own_apply(gradients, trainable_variables)

        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = own_compute_loss(*args, **kwargs)
            seen["loss", "total"] = loss, tuple(loss.shape)
            if loss.shape.rank:  # a graph may not know how many values it has
                seen["loss", "shape"] = tf.shape(loss), (loss.shape.rank,)
            return loss

        optimizer.apply, model.compute_loss = apply, compute_loss
        try:
            logs = train_step(data)
        finally:
            del optimizer.apply, model.compute_loss
        after = {key: (one.value, one.shape) for key, one in self._variables().items()}
        seen = {**after, **seen, ("learning rate", ""): (rate, rate.shape)}
        returned = {"logs": logs, "packed": self._packed(seen), "rows": rows}
        return returned if self._hand_feed else {**returned, "batch": data}

    def _packed(self, seen: Mapping[_Key, tuple[Any, Any]]) -> dict[str, Any]:
        """Lay tensors one after the other, those of a kind together; note what lies where."""
        parts: dict[str, list[Any]] = {}
        self._layout: dict[str, list[tuple[_Key, tuple[int, ...], int | None]]] = {}
        for key, (value, shape) in seen.items():
            tensor = tf.convert_to_tensor(value)
            kind = "state" if key[0] == "weight" or key[0].startswith("slot ") else "step"
            if None in shape:  # only a loss that isn't reduced is as long as the batch
                kind, shape = key[0], (-1,)
            group = f"{kind} {tensor.dtype.name}"
            parts.setdefault(group, []).append(tf.reshape(tensor, [-1]))
            place = key, tuple(shape), None if -1 in shape else math.prod(shape)
            self._layout.setdefault(group, []).append(place)
        return {group: tf.concat(flat, axis=0) for group, flat in parts.items()}
