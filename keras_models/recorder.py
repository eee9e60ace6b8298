"""What every batch of a running ``fit`` did, taken out of it from inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming
from keras_models.optimizers import learning_rate, rule_of


@dataclass(frozen=True)
class Tensors:
    """What a step began with, still as TensorFlow had it: to hand it back costs nothing.

    Attributes
    ----------
    state : tensor
        All weights, then all slots, in one flat tensor.
    batch : list of tensors
        x, y, and sample weights if there are any.
    """

    state: Any
    batch: list[Any]


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
        Of this step, also where a schedule gives it; of several optimizers, an array.
    seeds : list of array
        The states of the model's random generators before the step. Inside a graph Keras moves
        them on by a step that finds no data, too.
    gradients : dict of name to array
        As the optimizer received them: of the scaled loss, where it has a loss scale.
    loss : array
        Of this batch, before the update: one number, or all values if they aren't reduced.
    rows : dict of name to (numbers, rows)
        What the gradients of tables came as: the numbers that were looked up, and a row for each.
    tensors : Tensors, optional
        Weights, slots and batch once more. None where the weights have several dtypes.
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
    learning_rate: Any
    seeds: list[np.ndarray]
    gradients: dict[str, np.ndarray]
    loss: np.ndarray
    rows: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    tensors: Tensors | None = field(default=None, compare=False, repr=False)

    @property
    def rate(self) -> float:
        """The learning rate; of several optimizers, that of the first."""
        one = self.learning_rate
        return float(one[0]) if isinstance(one, np.ndarray) and one.ndim else one


Batch = tuple[Any, Any, Any]
"""x, y, and sample weights or None, nested as the model takes them."""
_Key = tuple[str, str]
"""What an array is (a weight, a slot, a gradient …), and its name."""
_Layout = dict[str, list[tuple[_Key, tuple[int, ...], int | None]]]
"""Of each flat tensor, what it holds: keys, shapes and sizes, one after the other."""
_State = tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]], int, list[np.ndarray]]
"""Weights, optimizer slots, iterations, seeds."""


def as_numpy(tensor: Any) -> np.ndarray:
    """Return a tensor's numbers; those of a narrow precision in float32, which holds them all."""
    array = np.asarray(tensor)
    return array.astype(np.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else array


def _in_numpy(data: Any) -> Batch:
    """Return a batch as arrays: x, y, and sample weights or None."""
    batch: Batch = keras.utils.unpack_x_y_sample_weight(
        tf.nest.map_structure(lambda one: one if one is None else as_numpy(one), data)
    )
    return batch


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
        self._ran_out = self._evaluated = False

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
            self._look_again()
            batch, returned = self._fed(own_train_function, iterator)
            self._returned = batch, returned["packed"], returned["rows"]
            return returned["logs"]

        model.train_function = train_function
        if self.on_validation is not None:
            self._watch_validation()
        graph = self.graph or model
        self._weights = naming.weights(graph)
        self._slots = naming.slots(graph)
        self._seeds = naming.seeds(graph)
        names = {id(variable): name for name, variable in self._weights.items()}
        self._names = [names[id(variable)] for variable in model.trainable_variables]
        self._carried = [name for name in self._weights if "/rnn_state/" in name]
        self._read()

    def _read(self) -> None:
        """Read the state of everything as it is now."""
        packed, layout = _packed(self._values())
        self._before = self._state(_unpacked(packed, layout))
        self._state_before = _state_of(packed)

    def _look_again(self) -> None:
        """Read what may have changed since the last step.

        A validation, or somebody's callback, moves what recurrent layers carry from batch to batch,
        and a validation the random states of some.
        """
        weights, slots, iterations, seeds = self._before
        carried = {name: self._weights[name].numpy() for name in self._carried}
        if self._evaluated:
            seeds, self._evaluated = [seed.numpy() for seed in self._seeds], False
        if any(not np.array_equal(weights[name], one) for name, one in carried.items()):
            weights, self._state_before = {**weights, **carried}, None
        self._before = weights, slots, iterations, seeds

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
        self._evaluated = True
        if self.on_validation is not None:
            self.on_validation([_in_numpy(batch) for batch in batches])

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
        state, arrays = _state_of(packed), _unpacked(packed, self._layout)
        after = self._state(arrays)
        weights_before, slots_before, iterations, seeds = self._before
        x, y, sample_weight = _in_numpy(data)
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

    def _values(self) -> dict[_Key, tuple[Any, Any]]:
        """Return what they hold now, with their shapes."""
        return {key: (one.value, one.shape) for key, one in self._variables().items()}

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

    # ------------------------------------------------------------------ inside the traced step

    def _recorded(self, train_step: Callable[[Any], Any], data: Any) -> dict[str, Any]:
        """Run the model's own training step; return what passes through it beside its logs."""
        model, optimizer = self.model, self.model.optimizer
        own_apply, own_compute_loss = optimizer.apply, model.compute_loss
        rate = learning_rate(self.graph or model)  # callbacks may have changed it
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
        seen = {**self._values(), **seen, ("learning rate", ""): (rate, rate.shape)}
        packed, self._layout = _packed(seen)
        returned = {"logs": logs, "packed": packed, "rows": rows}
        return returned if self._hand_feed else {**returned, "batch": data}


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


def _state_of(packed: Mapping[str, Any]) -> Any:
    """Return all weights and slots in one flat tensor; None if they don't lie in one."""
    flat = [tensor for group, tensor in packed.items() if group.startswith("state")]
    return flat[0] if len(flat) == 1 else None


def as_rate(rate: np.ndarray) -> Any:
    """Return a learning rate as a number, or several as an array."""
    return rate if rate.ndim else float(rate)
