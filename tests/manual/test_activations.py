"""Every activation function equals Keras's, and its derivative is that of its own forward map."""

from __future__ import annotations

from contextlib import nullcontext
from inspect import signature
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare.rounding.judge import judge
from compare.rounding.noise import Noisy, careful, resolved
from manual.registry import from_keras

OPTIONS: dict[str, dict[str, Any]] = {
    "celu of 0.7": {"alpha": 0.7},
    "elu of 0.3": {"alpha": 0.3},
    "gelu, approximate": {"approximate": True},
    "hard_shrink at 0.3": {"threshold": 0.3},
    "leaky_relu of 0.1": {"negative_slope": 0.1},
    "relu, leaky": {"negative_slope": 0.1},
    "relu to 0.7": {"max_value": 0.7},
    "relu to 6": {"max_value": 6.0},
    "relu from 0.4": {"threshold": 0.4},
    "relu, all": {"negative_slope": 0.1, "max_value": 0.9, "threshold": 0.4},
    "relu, leaky to 0.9": {"negative_slope": 0.1, "max_value": 0.9},
    "soft_shrink at 0.3": {"threshold": 0.3},
    "squareplus of 0.3": {"b": 0.3},
    "threshold": {"threshold": 0.1, "default_value": 0.3},
    "threshold at 0.6": {"threshold": 0.6, "default_value": -0.2},
    "softmax over rows": {"axis": 0},
    "log_softmax over rows": {"axis": 0},
    "sparsemax over rows": {"axis": 0},
    "glu over rows": {"axis": 0},
}
PLAIN = ["celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu"]
PLAIN += ["hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu"]
PLAIN += ["relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign"]
PLAIN += ["sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh", "tanh_shrink"]
NAMES = [*PLAIN, *OPTIONS]
KINKED = ["celu", "elu", "elu of 0.3", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"]
KINKED += ["leaky_relu", "relu", "relu6", "relu to 6", "relu to 0.7", "relu from 0.4", "relu, all"]
KINKED += ["relu, leaky to 0.9", "selu", "soft_shrink", "sparse_plus", "sparse_sigmoid"]
EDGES = [0.0, -0.0, 1e-30, -1e-30, 1e-10, -1e-10, 1e-4, -1e-4, 0.5, -0.5, 1.0, -1.0]
FAR = [9.0, 18.0, 40.0, 88.0, 104.0, 750.0, 1e4, 2.0]


def told(name: str) -> tuple[str, str, dict[str, Any]]:
    """Return what a function is in a record: its kind, its name and its options."""
    plain = name.replace(",", " ").split()[0]
    _, *options = signature(keras.activations.get(plain)).parameters.values()
    return (
        "activation",
        plain,
        {**{one.name: one.default for one in options}, **OPTIONS.get(name, {})},
    )


def both(name: str) -> tuple[Any, Any]:
    """Return Keras's function and the hand-written one."""
    options, plain = OPTIONS.get(name, {}), name.replace(",", " ").split()[0]
    function = keras.activations.get(plain)
    return (
        (lambda z: function(z, **options)) if options else function,
        from_keras("activation", {"class_name": plain, "config": options}),
    )


def test_every_activation_is_tested_here(registered: Any) -> None:
    tested = {type(both(name)[1]) for name in NAMES}
    assert tested == set(registered("activation").values())
    public = {name for name in dir(keras.activations) if name[0] != "_"}
    assert public - set(registered("activation")) == {"deserialize", "get", "serialize"}


@pytest.mark.parametrize("name", NAMES)
def test_equals_keras(
    name: str, ruler: Any, on_tape: Any, generator: np.random.Generator, found: Any
) -> None:
    theirs, function = both(name)
    points = {
        "ordinary": generator.normal(size=(6, 4)),
        "wide": 30.0 * generator.normal(size=(6, 4)),
        "rank 3": generator.normal(size=(2, 3, 4)),
        "edges": np.array([EDGES, EDGES[::-1]]),
        "far": np.array([FAR, [-number for number in FAR]]),
    }
    for kind, point in points.items():
        z = point.astype(ruler.precision)
        noisy_z = ruler.exact(z)
        # far out, TensorFlow's float32 flushes to 0 what is below the smallest normal number
        with np.errstate(all="ignore"), careful() if kind == "far" else nullcontext():
            a = function.forward(noisy_z)
            da = generator.normal(size=a.shape).astype(ruler.precision)
            dz = function.backward(ruler.exact(da), noisy_z, a)
            actual_a, (actual_dz,) = on_tape(theirs, [z], da)
            ruler.agrees(actual_a, a, f"{name} of {kind} points")
            ruler.agrees(actual_dz, dz, f"gradient of {name} at {kind} points")
    found.agrees(*told(name), ruler.precision, ruler.largest)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, smooth_points: Any, found: Any
) -> None:
    function = both(name)[1]
    z = smooth_points(4, 4)
    exact = differences.exact
    a = function.forward(exact(z))
    da = smooth_points(*a.shape)
    gradient = function.backward(exact(da), exact(z), a)
    differences.agree(lambda points: (function.forward(points[0]) * da).sum(), [z], [gradient])
    found.is_derived(*told(name))


@pytest.mark.parametrize("name", KINKED)
def test_the_kink_is_tensorflows(name: str, ruler: Any, on_tape: Any) -> None:
    """At every kink and a hair beside it, the slope is TensorFlow's: whether 0, 1, or both."""
    precision = ruler.precision
    theirs, function = both(name)
    kinks = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, 0.7, 0.4, 0.9], precision)
    beside = [np.nextafter(kinks, np.asarray(to, precision)) for to in (-np.inf, np.inf)]
    z = np.concatenate([kinks, *beside])
    z = np.where(np.abs(z) < np.finfo(precision).tiny, 0.0, z).astype(precision)
    da = np.ones_like(z)
    _, (actual,) = on_tape(theirs, [z], da)
    slope = function.backward(da, z, function.forward(z))
    # Which slope it is, is ours to choose; how exactly it is known, its noise says. Where that is
    # as large as the slope itself, it is for the choice, and there is one for each answer.
    slopes, noisy_z = [], ruler.exact(z)
    for way in (nullcontext(), resolved(False), resolved(True)):
        with way:
            slopes.append(function.backward(ruler.exact(da), noisy_z, function.forward(noisy_z)))
    values, noises = (
        np.array([getattr(one, part) for one in slopes]) for part in ("value", "noise")
    )
    far = np.where(noises * ruler.unit < 2.0**-10, np.abs(values - slope), np.inf)
    chosen = far.argmin(axis=0)[None]
    value, noise = (np.take_along_axis(one, chosen, axis=0)[0] for one in (values, noises))
    ruler.agrees(slope, Noisy(value, noise, unit=ruler.unit), "by hand")
    ruler.agrees(actual, Noisy(value, noise, unit=ruler.unit), "Keras")


def test_some_slopes_at_kinks() -> None:
    """What TensorFlow's kernels have chosen differs from function to function."""
    for name, at, slope in [
        ("relu", 0.0, 0.0),
        ("relu6", 6.0, 0.0),
        ("relu to 0.7", float(np.float32(0.7)), 1.0),
        ("hard_tanh", 1.0, 1.0),
        ("hard_sigmoid", 3.0, 0.0),
        ("leaky_relu", 0.0, float(np.float32(0.2))),
        ("elu of 0.3", 0.0, 0.3),
        ("celu", 0.0, 2.0),
    ]:
        function, z = both(name)[1], np.array([at])
        np.testing.assert_array_equal(function.backward(np.ones(1), z, function.forward(z)), slope)


def test_elu_loses_the_digits_that_keras_loses(ruler: Any, on_tape: Any) -> None:
    """e^z − 1, not the more accurate expm1: what is left are whole steps of the numbers below 1."""
    z = np.array([-3e-10, -7e-7, -3e-5], ruler.precision)
    a = from_keras("activation", "elu").forward(z)
    actual, _ = on_tape(keras.activations.elu, [z])
    ruler.agrees(actual, from_keras("activation", "elu").forward(ruler.exact(z)))
    for lossy in (actual, a):
        np.testing.assert_array_equal(lossy, np.round(lossy / ruler.unit) * ruler.unit)
    assert (np.expm1(z) != np.round(np.expm1(z) / ruler.unit) * ruler.unit).all()


@pytest.mark.parametrize("precision", ["float64"], indirect=True)
def test_rounded_constants_are_keras_s(ruler: Any, on_tape: Any) -> None:
    """In float64 the constants that pass through float32 are off by 1e-8: it shows."""
    z = np.array([-1.5, 0.7])
    for name, exact in [
        ("leaky_relu of 0.1", np.where(z > 0, z, 0.1 * z)),
        ("gelu, approximate", 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))),
    ]:
        theirs, function = both(name)
        actual, _ = on_tape(theirs, [z])
        expected = function.forward(ruler.exact(z))
        ruler.agrees(actual, expected)
        assert not judge(exact, expected).agrees
        assert np.abs(exact - actual).max() < 2.0**-24


def test_sparsemax_has_the_defect_of_keras(on_tape: Any) -> None:
    """Rows of a sparsemax add up to 1: (1, 1) should give (½, ½). Keras gives (0, 0)."""
    z = np.array([[1.0, 1.0], [3.0, 0.0]])
    actual, _ = on_tape(keras.activations.sparsemax, [z])
    np.testing.assert_array_equal(actual, [[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(from_keras("activation", "sparsemax").forward(z), actual)


def test_glu_needs_an_even_axis() -> None:
    with pytest.raises(ValueError, match=r"Received: z of shape \(2, 3\)"):
        from_keras("activation", "glu").forward(np.ones((2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_the_precision_stays(name: str, precision: str, generator: np.random.Generator) -> None:
    function = both(name)[1]
    z = generator.normal(size=(4, 4)).astype(precision)
    a = function.forward(z)
    assert a.dtype == precision
    assert function.backward(np.ones_like(a), z, a).dtype == precision


@pytest.mark.parametrize("name", [name for name in NAMES if name != "exponential"])
def test_nothing_overflows(name: str) -> None:
    function = both(name)[1]
    z = np.array([[1e4, -1e4], [0.0, 2.0]])
    with np.errstate(all="raise", under="ignore"):
        a = function.forward(z)
        dz = function.backward(np.ones_like(a), z, a)
    assert np.isfinite(a).all()
    assert np.isfinite(dz).all()


@pytest.mark.parametrize("name", NAMES)
def test_only_softmax_and_sigmoid_carry_logits(name: str) -> None:
    """And those are the ones on whose output Keras leaves the logits."""
    theirs, function = both(name)
    carried = hasattr(theirs(tf.constant([[0.5, -0.5], [0.25, 1.0]])), "_keras_logits")
    assert carried == (name.split()[0] in ("sigmoid", "softmax"))
    assert function.carries_logits == carried
