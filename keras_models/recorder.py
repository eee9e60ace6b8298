"""What every batch of a running ``fit`` did, taken out of it from inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming
from keras_models.optimizers import learning_rate, rule_of
from keras_models.step_record import Batch, StepRecord, as_numpy, as_rate, in_numpy
from keras_models.stepper import Stepper
from keras_models.unbuilt import build_metrics

_Key = tuple[str, str]
"""What an array is (a weight, a slot, a gradient …), and its name."""
_Layout = dict[str, list[tuple[_Key, tuple[int, ...], int | None]]]
"""Of each flat tensor, what it holds: keys, shapes and sizes, one after the other."""


class Recorder(keras.callbacks.Callback):
    """Takes what every batch did out of a running ``fit``, without changing its result.

    The traced training step returns, beside its logs, the batch, the gradients, the loss, and the
    weights and the optimizer's slots before the step and after it. Numbers of one dtype come in one
    flat tensor: to fetch each by itself would take longer than the step.

    Parameters
    ----------
    on_step : callable
        Receives a `StepRecord` after every batch.
    on_validation : callable, optional
        Receives the batches of every validation, each as x, y and sample weights.
    graph : keras.Model, optional
        The Functional model of what a subclassed model does, by which its weights are named.
    wanted : callable, optional
        Says of a step, counted from 1, whether it is recorded; by default all are. The others are
        taken as ``fit`` alone would take them.
    beside : Stepper, optional
        Takes the same step inside the graph of the other, so that TensorFlow can do both at once.
        What it returns comes in ``StepRecord.beside``.
    """

    def __init__(
        self,
        on_step: Callable[[StepRecord], None],
        on_validation: Callable[[list[Batch]], None] | None = None,
        graph: keras.Model | None = None,
        *,
        wanted: Callable[[int], bool] | None = None,
        beside: Stepper | None = None,
    ) -> None:
        super().__init__()
        self.on_step, self.on_validation, self.graph = on_step, on_validation, graph
        self.wanted, self.beside = wanted, beside
        self._epoch = self._step = self._step_of_epoch = 0
        self._held_out: list[Any] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        own_train_step, self._own_train_function = model.train_step, model.train_function

        def recorded(data: Any) -> Any:
            return self._recorded(own_train_step, data)

        def whole(step: Callable[[Any], Any], data: Any) -> Any:
            before = self._begun()
            return self._whole(step(data), data, before)

        model.train_step = recorded if self._by_xla else partial(whole, recorded)
        model.make_train_function(force=True)
        self._recording_function = (
            self._around(recorded, whole) if self._by_xla else model.train_function
        )
        model.train_function = self._train
        if self.on_validation is not None:
            self._watch_validation()
        graph = self.graph or model
        self._weights = naming.weights(graph)
        self._slots = naming.slots(graph)
        self._seeds = naming.seeds(graph)
        names = {id(variable): name for name, variable in self._weights.items()}
        self._names = [names[id(variable)] for variable in model.trainable_variables]

    def _train(self, iterator: Any) -> Any:
        """Take as many steps as ``fit`` takes at a time: recorded, if one of them is wanted."""
        if not self._step and not self.model.run_eagerly:
            outputs = len((self.graph or self.model).outputs)
            build_metrics(self.model, outputs, iterator.element_spec)
            if self.beside is not None:
                self.beside.expect(iterator.element_spec)
        together, left = self.model.steps_per_execution, self.params.get("steps")
        if left is not None:
            together = min(together, left - self._step_of_epoch)
        steps = range(self._step + 1, self._step + 1 + together)
        wanted = [self.wanted is None or self.wanted(step) for step in steps]
        if not any(wanted):
            logs = self._own_train_function(iterator)
            self._step += together
            self._step_of_epoch += together
            return logs
        try:
            return self._steps_recorded(iterator, wanted)
        except (StopIteration, tf.errors.OutOfRangeError):
            raise  # which Keras expects
        except BaseException:  # nobody will tell of the end of this training
            self.restore()
            raise

    def _steps_recorded(self, iterator: Any, wanted: Sequence[bool]) -> Any:
        """Take steps until the data ends; return the last one's logs."""
        for number, is_wanted in enumerate(wanted):
            try:
                logs = self._step_recorded(iterator, is_wanted)
            except (StopIteration, tf.errors.OutOfRangeError):
                if not number:
                    raise
                break
        return logs

    def _step_recorded(self, iterator: Any, is_wanted: bool) -> Any:
        """Take one step and record it; tell of it if it is wanted. Return Keras's logs."""
        together, self.model.steps_per_execution = self.model.steps_per_execution, 1
        try:
            data, returned = self._fed(self._recording_function, iterator)
        finally:
            self.model.steps_per_execution = together
        self._step += 1
        self._step_of_epoch += 1
        if is_wanted:
            self.on_step(self._record(data, returned))
        return returned["logs"]

    def _record(self, data: Any, returned: Mapping[str, Any]) -> StepRecord:
        """Return the record of the step that was just taken."""
        before = _unpacked(returned["before"], self._layout_before)
        arrays = _unpacked(returned["packed"], self._layout)
        x, y, sample_weight = in_numpy(data)
        return StepRecord(
            epoch=self._epoch,
            step=self._step,
            x=x,
            y=y,
            sample_weight=sample_weight,
            before=self._weights_among(before),
            after=self._weights_among(arrays),
            slots_before=self._slots_among(before),
            slots_after=self._slots_among(arrays),
            iterations=int(before["iterations", ""]),
            learning_rate=as_rate(before["learning rate", ""]),
            seeds=[before["seed", str(index)] for index in range(len(self._seeds))],
            gradients={key[1]: one for key, one in arrays.items() if key[0] == "gradient"},
            loss=arrays["loss", "total"],
            rows={
                name: tuple(part.numpy() for part in parts)
                for name, parts in returned["rows"].items()
            },
            beside=returned.get("beside"),
        )

    def _weights_among(self, arrays: Mapping[_Key, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: arrays["weight", name] for name in self._weights}

    def _slots_among(self, arrays: Mapping[_Key, Any]) -> dict[str, dict[str, np.ndarray]]:
        return {
            slot: {name: arrays[f"slot {slot}", name] for name in named}
            for slot, named in self._slots.items()
        }

    @property
    def _by_xla(self) -> bool:
        return bool(self.model.jit_compile) and not self.model.run_eagerly

    def _around(self, step: Callable[[Any], Any], whole: Callable[[Any, Any], Any]) -> Any:
        """Return what takes a step that XLA compiles, and adds to what it returns.

        From inside a batch can't be returned, and to return the weights as they were may change the
        last bits of the others. So that is done around it, where Keras too has the next batch come
        from: ``whole`` is given the batch and what takes the step.
        """
        compiled = tf.function(step, reduce_retracing=True, jit_compile=True)

        @tf.function(reduce_retracing=True)
        def around(iterator: Any) -> Any:
            batch = tf.nest.map_structure(
                lambda one: None if isinstance(one, tf.experimental.Optional) else one,
                iterator.get_next(),
            )
            return whole(compiled, batch)

        return around

    def _fed(self, function: Callable[[Any], Any], iterator: Any) -> tuple[Any, dict[str, Any]]:
        """Run a step on the next batch; return this beside what the step returned."""
        if self.model.run_eagerly:
            batch = next(iterator)
            return batch, function(iter([batch]))
        returned = function(iterator)
        return returned["batch"], returned

    def _watch_validation(self) -> None:
        """Let the model's own evaluation return its batches, too."""
        model = self.model
        own_test_step = model.test_step

        def test_step(data: Any) -> Any:
            return {"logs": own_test_step(data)}

        def whole(step: Callable[[Any], Any], data: Any) -> Any:
            returned = step(data)
            return returned if model.run_eagerly else {**returned, "batch": data}

        model.test_step = test_step if self._by_xla else partial(whole, test_step)
        model.make_test_function(force=True)
        own_test_function = self._around(test_step, whole) if self._by_xla else model.test_function

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
        self._epoch, self._step_of_epoch = epoch + 1, 0

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

    def _values(self) -> dict[_Key, tuple[Any, Any]]:
        """Return what they hold now, with their shapes."""
        return {
            key: (tf.convert_to_tensor(variable.value), variable.shape)
            for key, variable in self._variables().items()
        }

    def _begun(self) -> dict[_Key, tuple[Any, Any]]:
        """Return what a step begins with: callbacks may have changed the learning rate, too."""
        rate = learning_rate(self.graph or self.model)
        return {**self._values(), ("learning rate", ""): (rate, rate.shape)}

    # ------------------------------------------------------------------ inside the traced step

    def _recorded(self, train_step: Callable[[Any], Any], data: Any) -> dict[str, Any]:
        """Run the model's own training step; return what passes through it beside its logs."""
        model, optimizer = self.model, self.model.optimizer
        own_apply, own_compute_loss = optimizer.apply, model.compute_loss
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
        packed, self._layout = _packed({**self._values(), **seen})
        return {"logs": logs, "packed": packed, "rows": rows}

    def _whole(
        self, returned: dict[str, Any], data: Any, before: Mapping[_Key, tuple[Any, Any]]
    ) -> dict[str, Any]:
        """Add to what a step returns its batch, what it began with, and what is done beside it."""
        packed, self._layout_before = _packed(before)
        whole = {**returned, "before": packed}
        if self.model.run_eagerly:
            return whole
        state = [flat for group, flat in packed.items() if group.startswith("state")]
        if self.beside is not None and len(state) == 1:
            iterations, rate = (before[what, ""][0] for what in ("iterations", "learning rate"))
            seeds = [before["seed", str(index)][0] for index in range(len(self._seeds))]
            parts = keras.utils.unpack_x_y_sample_weight(data)
            batch = [part for part in parts if part is not None]
            whole["beside"] = self.beside.traced(state[0], iterations, rate, seeds, batch)
        return {**whole, "batch": data}


def _packed(seen: Mapping[_Key, tuple[Any, Any]]) -> tuple[dict[str, Any], _Layout]:
    """Lay tensors one after the other, those of a kind together; note what lies where."""
    parts: dict[str, list[Any]] = {}
    layout: _Layout = {}
    for key, (value, shape) in seen.items():
        tensor = tf.convert_to_tensor(value)
        kind = "state" if key[0] == "weight" or key[0].startswith("slot ") else "step"
        if None in shape:  # only a loss that isn't reduced is as long as the batch
            kind, shape = key[0], (-1,)
        group = f"{kind} {tensor.dtype.name}"
        parts.setdefault(group, []).append(tf.reshape(tensor, [-1]))
        place = key, tuple(shape), None if -1 in shape else math.prod(shape)
        layout.setdefault(group, []).append(place)
    return {group: tf.concat(flat, axis=0) for group, flat in parts.items()}, layout


def _unpacked(packed: Mapping[str, Any], layout: _Layout) -> dict[_Key, np.ndarray]:
    """Cut flat tensors into named arrays."""
    arrays = {}
    for group, flat in packed.items():
        numbers, start = as_numpy(flat), 0
        for key, shape, size in layout[group]:
            size = len(numbers) if size is None else size
            arrays[key] = numbers[start : start + size].reshape(shape)
            start += size
    if ("loss", "shape") in arrays:
        shape = tuple(arrays["loss", "shape"])  # a single value is a number, whatever its axes
        arrays["loss", "total"] = arrays["loss", "total"].reshape(
            () if math.prod(shape) == 1 else shape
        )
    return arrays
