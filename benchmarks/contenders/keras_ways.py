"""Keras's own ways: ``fit``, with and without XLA, and a compiled step under ``GradientTape``."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import keras_models  # loads TensorFlow without its chatter

# isort: split
import keras
import numpy as np
import tensorflow as tf

from benchmarks.contenders.base import Contender, Stepwise
from benchmarks.networks import Architecture, Layer, assembled
from benchmarks.problem import Problem
from keras_models import naming

assert keras_models


def model_of(architecture: Architecture, dtype: str) -> Any:
    """Build the Keras model in one precision, which from here on is Keras's own."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)

    def apply(layer: Layer, sources: Any) -> Any:
        built = getattr(keras.layers, layer.kind)(name=layer.name, **layer.options)
        return built(sources) if layer.kind == "Add" else built(*sources)

    first = keras.Input(architecture.shape)
    return keras.Model(first, assembled(architecture, first, apply))


class InKeras(Contender):
    """What ``fit`` and the tape share: a compiled model that can go back to its start."""

    jit_compile: ClassVar[Any] = "auto"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.model = model_of(problem.architecture, problem.dtype)
        self.model.compile(
            keras.optimizers.deserialize(problem.keras_optimizer),
            problem.architecture.loss,
            jit_compile=self.jit_compile,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        for name, variable in naming.weights(self.model).items():
            variable.assign(problem.weights[name])
        self.variables = [*self.model.variables, *self.model.optimizer.variables]
        self.start = [variable.numpy() for variable in self.variables]
        threads = tf.config.threading.get_intra_op_parallelism_threads() or "all"
        self.about = (
            f"Keras {keras.__version__} on TensorFlow {tf.__version__} with {threads} threads"
        )

    def reset(self) -> None:
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)


class Stopwatch(keras.callbacks.Callback):
    """Times the epochs of a ``fit`` without what it prepares before the first."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds = time.perf_counter() - self.start


class Fit(InKeras):
    """``model.fit`` over whole epochs, as Keras compiles it by default."""

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int = 1) -> tuple[float, float]:
        """Train; return the last epoch's loss and the seconds."""
        watch = Stopwatch()
        history = self.model.fit(
            x,
            y,
            batch_size=self.problem.architecture.batch,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[watch],
        )
        return history.history["loss"][-1], watch.seconds

    def losses(self, steps: int) -> list[float]:
        self.reset()
        return [self.fit(*self.problem.batch(number))[0] for number in range(steps)]

    def burst(self, epochs: int) -> float:
        self.reset()
        return self.fit(self.problem.x, self.problem.y, epochs)[1]


class FitWithXLA(Fit):
    """``model.fit`` of a model compiled with ``jit_compile=True``."""

    jit_compile = True


class Tape(InKeras, Stepwise):
    """One call of a ``tf.function`` a step: the loss under a tape, its gradients, the update."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        model, optimizer = self.model, self.model.optimizer
        loss_of = keras.losses.get(problem.architecture.loss)

        @tf.function
        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(loss_of(y, model(x, training=True)))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        self.compiled = step

    def converted(self, x: Any, y: Any) -> tuple[Any, Any]:
        return tf.constant(x), tf.constant(y)

    def step(self, x: Any, y: Any) -> Any:
        return self.compiled(x, y)
