"""One training step under ``GradientTape``, with everything it computed.

The stepper works on a copy of the model, so that looking never changes the training that is
looked at. It takes the weights and optimizer slots to start from, and returns them after the step
together with every intermediate value, under the names that the hand-written half uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming
from keras_models.copies import compile_config, copied
from keras_models.hooks import DRAWING, applied, record_draws, record_layer
from keras_models.losses import with_all_options
from keras_models.optimizers import copy_into, rule_of, set_state
from keras_models.unbuilt import build_metrics

LARGE = 5000
"""A graph of more operations takes TensorFlow longer to optimize than hundreds of its steps."""
MANY_WEIGHTS = 2**20
"""With more, two steps at the same time need too much memory."""
Trace = dict[str, dict[str, np.ndarray]]
"""phase → name → array."""


class Stepper:
    """Takes training steps of a compiled model under ``GradientTape``.

    As the model does: of the same seed, a step that XLA compiles draws other numbers.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled and built. It is copied, never touched.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = copied(model)
        config = compile_config(model)
        config["loss"] = with_all_options(config["loss"], model.loss)
        self.model.compile_from_config(config)
        self.model.optimizer = copy_into(self.model, model)
        self.names = list(naming.weights(self.model))
        self.trainable_names = naming.trainable_names(self.model)
        self._weights = list(naming.weights(self.model).values())
        self._slots = naming.slots(self.model)
        self._slot_variables = [v for slot in self._slots.values() for v in slot.values()]
        self._seeds = naming.seeds(self.model)
        self._calls = list(naming.calls_of_copy(self.model, model))
        self._jit_compile, self._run_eagerly = model.jit_compile is True, model.run_eagerly
        self._floatx = keras.config.floatx()
        self._compiled: Any = None
        self._shapes: list[tuple[Any, ...]] = []
        self._large = False
        self._constants: dict[Any, tuple[Any, Any]] = {}
        self._forward = tf.function(self._activations, autograph=False, reduce_retracing=True)
        self.logits_known: list[bool] = []
        """Of each output, whether Keras knows logits behind it; empty before the first step."""
        self._layout: list[tuple[str, str, int]] = []
        """Phase, name and number of axes of everything that a step returns."""
        self._cut_by = b""
        self._cuts: list[tuple[str, str, slice, tuple[int, ...]]] = []

    def step(
        self,
        weights: Mapping[str, np.ndarray],
        slots: Mapping[str, Mapping[str, np.ndarray]],
        iterations: int,
        learning_rate: float,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        seeds: Sequence[np.ndarray] = (),
        beside: Any = None,
    ) -> Trace:
        """Take one step from the given state; return all that it computed.

        Parameters
        ----------
        weights : mapping of name to array
        slots : mapping of slot to name to array
        iterations : int
            Steps taken before this one.
        learning_rate : float
        x, y, sample_weight : arrays or lists of arrays, the batch
        seeds : sequence of array
            The states of the random generators to draw from.
        beside : optional
            What `traced` returned for this very step. The arrays aren't looked at then.

        Returns
        -------
        Trace
            With some phases beside the others: ``"draw"``, the random numbers that each layer
            drew, as they came from the generator, under ``layer/0``, ``layer/1`` …; ``"mask"``, the
            masks that layers were called with, 1 where a step counts, and under ``loss/0`` … those
            that the losses see; ``"row number"`` and ``"row"``, what the gradients of tables came
            as; and ``"processed gradient"``, what is left of a gradient after unscaling
            and clipping. That is missing where nothing is done to it, and where gradients are
            accumulated: there it is made inside a branch of the graph, which can't be read from
            outside, but the accumulators are slots and tell as much.
        """
        if beside is None:
            dtype = self._weights[0].dtype
            arrays = [weights[name] for name in self.names]
            arrays += [slots[slot][name] for slot, named in self._slots.items() for name in named]
            flat = np.concatenate([np.ravel(array) for array in arrays]).astype(dtype, copy=False)
            parts = [x, y] if sample_weight is None else [x, y, sample_weight]
            batch = tf.nest.map_structure(self._as_tensor, parts)
            state = (
                tf.convert_to_tensor(flat),
                tf.constant(iterations, rule_of(self.model.optimizer)._iterations.dtype),
                self._constant(np.array(learning_rate, dtype)),
                self._constant(np.array(seeds, np.int64).reshape(-1, 2)),
            )
            compiled = self._compiled_for(state, batch)
            with _as_it_stands() if self._large else nullcontext():
                beside = compiled(*state, batch)
        packed, shapes = map(np.asarray, beside)
        key = shapes.tobytes()
        if key != self._cut_by:  # batches of one shape are cut alike
            self._cut_by, self._cuts = key, list(self._parts(shapes.tolist()))
        trace: Trace = {}
        for phase, name, part, shape in self._cuts:
            trace.setdefault(phase, {})[name] = packed[part].reshape(shape)
        loss = trace["loss"]
        if loss["total"].size == 1:  # a single value is a number, whatever its axes
            loss["total"] = loss["total"].reshape(())
        return trace

    def _parts(self, shapes: list[int]) -> Iterator[tuple[str, str, slice, tuple[int, ...]]]:
        """Say where each number of a step lies in the flat array, given all shapes in a row."""
        start = sizes = 0
        for phase, name, rank in self._layout:
            shape = tuple(shapes[sizes : sizes + rank])
            stop = start + math.prod(shape)
            yield phase, name, slice(start, stop), shape
            start, sizes = stop, sizes + rank

    def expect(self, batch: Any) -> None:
        """Prepare for batches like this one, outside of any graph.

        Parameters
        ----------
        batch : tuple of tensors or of their specifications
        """
        build_metrics(self.model, len(self.model.outputs), batch, compiled=False)

    def traced(
        self, state: Any, iterations: Any, learning_rate: Any, seeds: Sequence[Any], batch: Any
    ) -> Any:
        """Take a step as part of the graph of another; return what `step` takes as ``beside``.

        Parameters
        ----------
        state : tensor
            All weights, then all slots.
        iterations, learning_rate : tensors
        seeds : sequence of tensor
        batch : list of tensors
            x, y, and sample weights if there are any.

        Returns
        -------
        tuple of tensors, or None
            None where the network is so large that two steps at a time take too much memory, or
            too long to be compiled.
        """
        dtype = self._weights[0].dtype
        start = (
            tf.cast(state, dtype),
            tf.cast(iterations, rule_of(self.model.optimizer)._iterations.dtype),
            tf.cast(learning_rate, dtype),
            tf.cast(tf.stack(seeds) if seeds else tf.zeros((0, 2)), tf.int64),
        )
        compiled = self._compiled_for(start, batch)
        many = sum(math.prod(variable.shape) for variable in self._weights) > MANY_WEIGHTS
        return None if self._large or many else compiled(*start, batch)

    def _as_tensor(self, array: np.ndarray) -> Any:
        """Return a tensor as ``fit`` feeds it: numbers in floatx, class numbers as they are."""
        if array.dtype.kind != "f" or self._floatx in ("float32", "float64"):
            return tf.constant(array)
        return tf.cast(array, self._floatx)

    def _constant(self, array: np.ndarray) -> Any:
        """Return a tensor, the same for the same numbers: to make one takes a while."""
        key = array.shape, array.tobytes()
        if self._constants.get(array.shape, (None, None))[0] != key:
            self._constants[array.shape] = key, tf.constant(array)
        return self._constants[array.shape][1]

    def activations(self, x: Any) -> dict[str, np.ndarray]:
        """Return every activation for a batch, with the copy's weights, in inference mode."""
        return {name: value.numpy() for name, value in self._forward(x).items()}

    def train(
        self, x: np.ndarray, y: np.ndarray, *, batch_size: int, steps: int, start: int = 0
    ) -> None:
        """Train the copy alone, batch after batch in the order of the rows, inside one graph.

        For a tutorial's full length: tens of thousands of steps take seconds. ``start`` is the
        number of steps already taken, which says with which rows to go on.
        """
        first, last, size = map(tf.constant, (start, start + steps, batch_size))
        self._train(tf.constant(x), tf.constant(y), size, first, last)

    def weights(self) -> dict[str, np.ndarray]:
        """Return the copy's weights as they are now."""
        return {name: v.numpy() for name, v in zip(self.names, self._weights, strict=True)}

    def reset(self, weights: Mapping[str, np.ndarray], learning_rate: float) -> None:
        """Put the copy back to the given weights, with a fresh optimizer."""
        for name, variable in zip(self.names, self._weights, strict=True):
            variable.assign(weights[name])
        for variable in self._slot_variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        set_state(self.model, 0, learning_rate)

    def _compiled_for(self, state: Any, batch: Any) -> Any:
        """Compile the step once, for batches of any size, and again if another axis varies, too.

        What is compiled is then called without asking each time whether it fits: for small
        networks TensorFlow takes as long to answer as for the step.
        """
        if self._run_eagerly:
            return self._step
        shapes = [tuple(one.shape[1:]) for one in tf.nest.flatten(batch)]
        if self._compiled is not None and shapes != self._shapes:  # what varies stays open
            shapes = [
                tuple(size if size == other else None for size, other in zip(*pair, strict=True))
                for pair in zip(shapes, self._shapes, strict=True)
            ]
        if self._compiled is None or shapes != self._shapes:
            self._compile(state, batch, shapes)
        return self._compiled

    def _compile(self, state: Any, batch: Any, shapes: list[tuple[Any, ...]]) -> None:
        self.expect(tuple(batch))
        samples = self.model.inputs[0].shape[0]  # None, unless the model asks for so many
        any_size = [
            tf.TensorSpec((samples, *shape), one.dtype)
            for shape, one in zip(shapes, tf.nest.flatten(batch), strict=True)
        ]
        compiled = tf.function(
            self._step,
            input_signature=[
                *tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), state),
                tf.nest.pack_sequence_as(batch, any_size),
            ],
            jit_compile=self._jit_compile,
            autograph=False,
        )
        self._compiled, self._shapes = compiled.get_concrete_function(), shapes
        operations = self._compiled.graph.get_operations()
        self._large = len(operations) > LARGE and not self._jit_compile

    # ------------------------------------------------------------------ inside the graph

    def _step(
        self,
        state: Any,
        iterations: Any,
        learning_rate: Any,
        seeds: Any,
        batch: Sequence[Any],
    ) -> Any:
        """Take the step; return everything in one flat tensor, and all shapes in another.

        One array in and one out: handing over each of some sixty tensors would take longer than
        the step itself.
        """
        x, y, sample_weight = (*batch, None)[:3]
        model, optimizer = self.model, self.model.optimizer
        variables = [*self._weights, *self._slot_variables]
        parts = tf.split(state, [math.prod(variable.shape) for variable in variables])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(tf.cast(tf.reshape(part, variable.shape), variable.dtype))
        set_state(model, iterations, learning_rate)
        for index, seed in enumerate(self._seeds):
            seed.assign(seeds[index])
        with tf.GradientTape() as tape, self._recording() as (seen, drawn, masks):
            y_pred = model(x, training=True)
            loss = model.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
            )
            scaled = optimizer.scale_loss(loss)
        trainable = model.trainable_variables
        smooth = {name: value for name, value in seen.items() if value.dtype.is_floating}
        gradients = tape.gradient(scaled, [*trainable, *smooth.values()])
        of_weights, of_activations = gradients[: len(trainable)], gradients[len(trainable) :]
        processed = applied(optimizer, of_weights, trainable)

        numbers: dict[tuple[str, str], Any] = {}
        numbers.update({("activation", name): value for name, value in seen.items()})
        numbers.update({("draw", name): value for name, value in drawn.items()})
        self.logits_known = [hasattr(one, "_keras_logits") for one in tf.nest.flatten(y_pred)]
        for index, output in enumerate(tf.nest.flatten(y_pred)):
            mask = getattr(output, "_keras_mask", None)
            if mask is not None:
                masks[f"loss/{index}"] = mask
        numbers.update({("mask", name): tf.cast(mask, loss.dtype) for name, mask in masks.items()})
        numbers["loss", "total"] = loss
        for name, gradient in zip(smooth, of_activations, strict=True):
            if gradient is not None:
                numbers["activation gradient", name] = gradient
        for name, gradient in zip(self.trainable_names, of_weights, strict=True):
            if gradient is not None:
                numbers["weight gradient", name] = gradient
            if isinstance(gradient, tf.IndexedSlices):
                numbers["row number", name] = gradient.indices
                numbers["row", name] = gradient.values
        of_names = dict(zip(self.trainable_names, of_weights, strict=True))
        trained = [name for name, gradient in of_names.items() if gradient is not None]
        if processed:
            for name, gradient in zip(trained, processed, strict=True):
                numbers["processed gradient", name] = tf.convert_to_tensor(gradient)
        for slot, named in self._slots.items():
            for name, variable in named.items():
                numbers["optimizer slot", f"{name}/{slot}"] = tf.identity(variable)
        for name, variable in zip(self.names, self._weights, strict=True):
            numbers["weight", name] = tf.identity(variable)
        numbers = {key: tf.convert_to_tensor(number) for key, number in numbers.items()}
        self._layout = [(*key, number.shape.rank) for key, number in numbers.items()]
        # Among narrower numbers, whole ones, and a yes or no, an operation may give float64.
        wide = any(number.dtype == tf.float64 for number in numbers.values())
        dtype = tf.float64 if wide else tf.float32
        flat = [tf.reshape(tf.cast(number, dtype), [-1]) for number in numbers.values()]
        return (
            tf.concat(flat, axis=0),
            tf.concat([tf.shape(number) for number in numbers.values()], axis=0),
        )

    def _activations(self, x: Any) -> dict[str, Any]:
        with self._recording() as (seen, _, _):
            self.model(x, training=False)
        return dict(seen)

    @contextmanager
    def _recording(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
        """Collect every layer's output, its pre-activation, what it draws, and its mask."""
        seen: dict[str, Any] = {}
        drawn: dict[str, Any] = {}
        masks: dict[str, Any] = {}
        current = [""]
        remaining: dict[int, list[str]] = {}
        for layer, name in self._calls:
            remaining.setdefault(id(layer), []).append(name)
        layers = list({id(layer): layer for layer, _ in self._calls}.values())
        undo = [record_layer(layer, remaining[id(layer)], seen, masks, current) for layer in layers]
        undo += [record_draws(operation, drawn, current) for operation in DRAWING]
        try:
            yield seen, drawn, masks
        finally:
            for restore in undo:
                restore()

    @tf.function(autograph=False)
    def _train(self, x: Any, y: Any, batch_size: Any, first: Any, last: Any) -> None:
        per_epoch = (tf.shape(x)[0] + batch_size - 1) // batch_size

        def one_step(step: Any) -> tuple[Any]:
            start = (step % per_epoch) * batch_size
            some_x, some_y = x[start : start + batch_size], y[start : start + batch_size]
            with tf.GradientTape() as tape:
                y_pred = self.model(some_x, training=True)
                loss = self.model.compute_loss(x=some_x, y=some_y, y_pred=y_pred, training=True)
            trainable = self.model.trainable_variables
            self.model.optimizer.apply(tape.gradient(loss, trainable), trainable)
            return (step + 1,)

        tf.while_loop(lambda step: step < last, one_step, [first])


@contextmanager
def _as_it_stands() -> Iterator[None]:
    """Let TensorFlow run graphs without optimizing them first."""
    options = tf.config.optimizer
    before = options.get_experimental_options().get("disable_meta_optimizer", False)
    options.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})
