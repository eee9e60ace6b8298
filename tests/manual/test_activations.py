"""Every activation function equals Keras's, and its derivative is that of its own forward map."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from manual.registry import from_keras

NAMES = ["linear", "sigmoid", "tanh", "relu", "elu", "softplus", "softmax"]
EDGES = [0.0, -0.0, 1e-30, -1e-30, 1e-10, -1e-10, 1e-4, -1e-4, 0.5, -0.5, 1.0, -1.0]
FAR = [9.0, 18.0, 40.0, 88.0, 104.0, 750.0, 1e4]


def test_every_activation_is_tested_here(registered: Any) -> None:
    assert set(NAMES) == set(registered("activation"))


@pytest.mark.parametrize("name", NAMES)
def test_equals_keras(name: str, ruler: Any, on_tape: Any, generator: np.random.Generator) -> None:
    function = from_keras("activation", name)
    points = {
        "ordinary": generator.normal(size=(6, 5)),
        "wide": 30.0 * generator.normal(size=(6, 5)),
        "rank 3": generator.normal(size=(2, 3, 4)),
        "edges": np.array([EDGES, EDGES[::-1]]),
        "far": np.array([FAR, [-number for number in FAR]]),
    }
    for kind, point in points.items():
        z = point.astype(ruler.precision)
        da = generator.normal(size=z.shape).astype(ruler.precision)
        actual_a, (actual_dz,) = on_tape(keras.activations.get(name), [z], da)
        noisy_z = ruler.exact(z)
        a = function.forward(noisy_z)
        ruler.agrees(actual_a, a, f"{name} of {kind} points")
        dz = function.backward(ruler.exact(da), noisy_z, a)
        ruler.agrees(actual_dz, dz, f"gradient of {name} at {kind} points")


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, smooth_points: Any
) -> None:
    function = from_keras("activation", name)
    z, da = smooth_points(3, 4), smooth_points(3, 4)
    exact = differences.exact
    gradient = function.backward(exact(da), exact(z), function.forward(exact(z)))
    differences.agree(lambda points: (function.forward(points[0]) * da).sum(), [z], [gradient])


@pytest.mark.parametrize("name", ["relu", "elu"])
def test_the_kink_is_tensorflows(name: str, precision: str, on_tape: Any) -> None:
    """At 0, at −0 and a hair beside it, equal to the last bit."""
    tiny = np.finfo(precision).tiny
    z = np.array([0.0, -0.0, tiny, -tiny, 1e-10, 2.0, -np.inf, np.inf], precision)
    da = np.array([3.0, -5.0, 7.0, 11.0, 13.0, 19.0, 23.0, 29.0], precision)
    function = from_keras("activation", name)
    a = function.forward(z)
    actual_a, (actual_dz,) = on_tape(keras.activations.get(name), [z], da)
    np.testing.assert_array_equal(a, actual_a)
    np.testing.assert_array_equal(function.backward(da, z, a), actual_dz)


def test_the_gradient_of_relu_at_0_is_0() -> None:
    relu = from_keras("activation", "relu")
    z = np.zeros(2)
    np.testing.assert_array_equal(relu.backward(np.ones(2), z, relu.forward(z)), [0.0, 0.0])


def test_elu_loses_the_digits_that_keras_loses(ruler: Any, on_tape: Any) -> None:
    """e^z − 1, not the more accurate expm1: what is left are whole steps of the numbers below 1."""
    z = np.array([-3e-10, -7e-7, -3e-5], ruler.precision)
    a = from_keras("activation", "elu").forward(z)
    actual, _ = on_tape(keras.activations.elu, [z])
    ruler.agrees(actual, from_keras("activation", "elu").forward(ruler.exact(z)))
    for lossy in (actual, a):
        np.testing.assert_array_equal(lossy, np.round(lossy / ruler.unit) * ruler.unit)
    assert (np.expm1(z) != np.round(np.expm1(z) / ruler.unit) * ruler.unit).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_precision_stays(name: str, precision: str, generator: np.random.Generator) -> None:
    function = from_keras("activation", name)
    z = generator.normal(size=(3, 4)).astype(precision)
    a = function.forward(z)
    assert a.dtype == precision
    assert function.backward(np.ones_like(a), z, a).dtype == precision


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overflows(name: str) -> None:
    function = from_keras("activation", name)
    z = np.array([[1e4, -1e4, 0.0]])
    with np.errstate(all="raise", under="ignore"):
        a = function.forward(z)
        dz = function.backward(np.ones_like(z), z, a)
    assert np.isfinite(a).all()
    assert np.isfinite(dz).all()


@pytest.mark.parametrize("name", NAMES)
def test_only_softmax_and_sigmoid_carry_logits(name: str) -> None:
    """And those are the ones on whose output Keras leaves the logits."""
    output = keras.activations.get(name)(tf.constant([[0.5, -0.5]]))
    carried = hasattr(output, "_keras_logits")
    assert carried == (name in ("sigmoid", "softmax"))
    assert from_keras("activation", name).carries_logits == carried
