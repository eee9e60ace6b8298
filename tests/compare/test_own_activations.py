"""Activation functions that are a user's own, and the logits that Keras finds behind them."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import pytest

from compare import BadInput, Report, lockstep
from manual.functions import ActivationOfOperations

L, A, ops = keras.layers, keras.activations, keras.ops


def relu(z: Any) -> Any:
    """Compute something else than Keras's function of that name."""
    return ops.where(z > 0.0, 2.0 * ops.tanh(z), 0.1 * z)


def leaning(z: Any) -> Any:
    return z * A.sigmoid(1.7 * z) + 0.1 * z


def trained(outputs: list[Any], inputs: Any, loss: str = "mse") -> Report:
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss)
    draw = np.random.default_rng(2)
    x = draw.normal(size=(6, *inputs.shape[1:]))
    shapes = [one.shape[1:] for one in keras.tree.flatten(model(x))]
    ys = [np.eye(shape[-1])[draw.integers(0, shape[-1], (6, *shape[:-1]))] for shape in shapes]
    return lockstep(model, x, ys, batch_size=3)


def own(x: Any) -> list[Any]:
    """Put functions wherever a layer takes one."""
    h = L.Dense(4, leaning, name="first")(x)
    return [
        L.Activation(lambda z: A.elu(z, alpha=0.3), name="lambda")(h),
        L.Activation(partial(A.leaky_relu, negative_slope=0.4), name="partial")(h),
        L.Dense(3, relu, name="named_alike")(h),
        L.Conv1D(2, 2, activation=L.ReLU(max_value=0.7, negative_slope=0.1), name="a_layer")(h),
        L.LSTM(2, activation=leaning, recurrent_activation=lambda z: 0.7 * A.sigmoid(z))(h),
        L.Activation(lambda z: A.softmax(z, axis=1), name="another_axis")(h),
        L.Activation(lambda z: A.glu(z), name="half")(h),
        L.Dense(4, "glu", name="half_of_four")(h),
    ]


def test_functions_of_the_user(use_precision: Any) -> None:
    use_precision("float64")
    x = keras.Input((4, 3))
    report = trained(own(x), x)
    report.raise_if_different()
    assert report.unverified == []
    for name in ("first", "lambda", "partial", "named_alike", "half"):
        assert ("activation", name, "GradientTape") in report.quantities


def test_a_wrong_derivative_of_such_a_function(monkeypatch: Any) -> None:
    right = ActivationOfOperations.backward
    monkeypatch.setattr(
        ActivationOfOperations, "backward", lambda self, *given: 2.0 * right(self, *given)
    )
    x = keras.Input((4, 3))
    first = trained([L.Dense(2, relu, name="last")(x)], x).first
    assert first is not None
    assert first.phase == "activation gradient"
    assert first.name == "last/pre_activation"


def known(z: Any) -> list[Any]:
    """Hand the logits on in every way that keeps Keras's tensor as it is."""
    return [
        L.Identity()(A.softmax(z)),
        L.Dropout(0.0)(L.Softmax()(z)),
        L.Activation("linear")(L.Activation(lambda t: A.softmax(t))(z)),
        L.Lambda(lambda t: A.sigmoid(t))(z),
        L.Dense(3, L.Softmax())(z),
    ]


def test_logits_behind_what_does_nothing(use_precision: Any) -> None:
    """They are large, so that a loss from probabilities, which it clips, would be another."""
    use_precision("float64")
    x = keras.Input((3,))
    large = keras.initializers.RandomNormal(stddev=30.0)
    z = L.Dense(3, kernel_initializer=large)(x)
    trained(known(z), x, "categorical_crossentropy").raise_if_different()


class Head(L.Layer):
    """A layer that nobody can look into: it calls TensorFlow."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1], 3), name="w")

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return A.softmax(tf.matmul(x, self.w))


def test_logits_that_only_keras_knows() -> None:
    x = keras.Input((3,))
    with pytest.raises(BadInput, match="Keras takes the loss of the output 'head' from what goes"):
        trained([Head()(L.Dense(3)(x))], x, "categorical_crossentropy")


def test_a_function_that_needs_arguments() -> None:
    x = keras.Input((3,))
    model = keras.Model(x, L.Activation("threshold", name="bare")(L.Dense(3)(x)))
    model.compile("sgd", "mse")
    with pytest.raises(BadInput, match="'threshold' needs arguments"):
        lockstep(model, np.zeros((4, 3)), np.zeros((4, 3)), strict=True)
