"""Every constraint projects a weight exactly as Keras's does, in place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from keras_models import Constant
from manual import constraints
from manual.layers import Dense, Input
from manual.network import Network
from manual.registry import NoTwin, from_keras

CASES: dict[str, Any] = {
    "NonNeg": keras.constraints.NonNeg,
    "Constant": lambda: Constant(0.35),
    "Constant, negative": lambda: Constant(-2.0),
}


def test_every_constraint_is_tested_here(registered: Any) -> None:
    exact = {constraints.NonNeg, constraints.Constant}
    norms = {constraints.MaxNorm, constraints.MinMaxNorm, constraints.UnitNorm}
    assert set(registered("constraint").values()) == exact | norms


@pytest.mark.parametrize("case", CASES)
def test_equals_keras_exactly(
    case: str, precision: str, generator: np.random.Generator, found: Any
) -> None:
    edges = [0.0, -0.0, 1e-30, -1e-30, np.inf, -np.inf, np.nan, 1e30]
    w = np.concatenate([generator.normal(size=8), edges]).astype(precision).reshape(4, 4)
    constraint = CASES[case]()
    by_hand = from_keras("constraint", keras.constraints.serialize(constraint))
    expected = np.asarray(constraint(keras.ops.convert_to_tensor(w)))
    view = w[:]
    by_hand.apply(view)
    assert w.dtype == precision
    np.testing.assert_array_equal(w, expected)
    found.agrees("constraint", *told(constraint), precision, 0.0)


def told(constraint: Any) -> tuple[str, dict[str, Any]]:
    """Return what a constraint is in a record: its class and its options."""
    return type(constraint).__name__, constraint.get_config()


@pytest.mark.parametrize("case", CASES)
def test_a_second_projection_changes_nothing(case: str, generator: np.random.Generator) -> None:
    by_hand = from_keras("constraint", keras.constraints.serialize(CASES[case]()))
    w = generator.normal(size=5)
    by_hand.apply(w)
    once = w.copy()
    by_hand.apply(w)
    np.testing.assert_array_equal(w, once)


def test_a_network_projects_after_every_update_and_only_what_is_constrained() -> None:
    x = Input((1,))
    layer = Dense(
        2,
        kernel_constraint=constraints.NonNeg(),
        bias_constraint=constraints.Constant(0.5),
        name="line",
    )
    free = Dense(1, use_bias=False, name="free")
    network = Network(x, free(layer(x)), dtype="float64")
    network.set_weights([np.array([[1.0, 0.25]]), np.array([0.5, 0.5]), np.array([[-1.0], [1.0]])])
    network.compile("mse", "SGD")
    assert network.optimizer is not None
    network.optimizer.learning_rate = 1.0
    # z = 1·[1, ¼] + ½ = [1½, ¾]; p = −¾; E = (p − y)² with y = −2, dp = 2.5
    loss = network.train_step(np.array([[1.0]]), np.array([[-2.0]]))
    assert loss == 1.25**2
    kernel, bias, free_kernel = network.get_weights()
    np.testing.assert_array_equal(kernel, [[1.0 + 2.5, 0.0]])  # ¼ − 2.5, projected
    np.testing.assert_array_equal(bias, [0.5, 0.5])
    np.testing.assert_array_equal(free_kernel, [[-1.0 - 2.5 * 1.5], [1.0 - 2.5 * 0.75]])
    np.testing.assert_array_equal(network.parameters["line/bias"].gradient, [-2.5, 2.5])


def test_a_constraint_without_a_twin_is_refused_by_layer_and_name() -> None:
    layer = Dense(2, kernel_constraint={"class_name": "Own", "config": {}}, name="hidden")
    with pytest.raises(NoTwin, match="constraint 'Own' of layer 'hidden'"):
        layer(Input((3,)))


NORMS: dict[str, Any] = {
    "MaxNorm": lambda: keras.constraints.MaxNorm(1.5),
    "MaxNorm, rows": lambda: keras.constraints.MaxNorm(0.7, axis=1),
    "MaxNorm, never reached": lambda: keras.constraints.MaxNorm(100.0),
    "UnitNorm": keras.constraints.UnitNorm,
    "UnitNorm, two axes": lambda: keras.constraints.UnitNorm(axis=[0, 1]),
    "MaxNorm, of all": lambda: keras.constraints.MaxNorm(1, axis=None),
    "MaxNorm, from behind": lambda: keras.constraints.MaxNorm(0.7, axis=-1),
    "UnitNorm, of all": lambda: keras.constraints.UnitNorm(axis=None),
    "MinMaxNorm, of all": lambda: keras.constraints.MinMaxNorm(0.1, 0.9, 0.5, axis=None),
    "MinMaxNorm, two axes": lambda: keras.constraints.MinMaxNorm(7.0, 9.0, axis=(0, 1)),
    "MinMaxNorm, not at all": lambda: keras.constraints.MinMaxNorm(0.9, 1.5, 0.0),
    "MinMaxNorm": lambda: keras.constraints.MinMaxNorm(0.9, 1.5),
    "MinMaxNorm, part of the way": lambda: keras.constraints.MinMaxNorm(0.9, 1.5, 0.3, axis=1),
}


@pytest.mark.parametrize("case", NORMS)
def test_norms_equal_keras(
    case: str, ruler: Any, generator: np.random.Generator, found: Any
) -> None:
    w = generator.normal(size=(4, 5)) * [0.1, 1.0, 0.5, 2.0, 0.0]
    w = w.astype(ruler.precision)
    constraint = NORMS[case]()
    by_hand = from_keras("constraint", keras.constraints.serialize(constraint))
    actual = np.asarray(constraint(keras.ops.convert_to_tensor(w)))
    noisy = ruler.exact(w)
    with np.errstate(all="ignore"):
        by_hand.apply(noisy)
    ruler.agrees(actual, noisy, case)
    plain = w.copy()
    by_hand.apply(plain)
    assert plain.dtype == ruler.precision
    assert np.array_equal(plain, w) == np.array_equal(actual, w)
    found.agrees("constraint", *told(constraint), ruler.precision, ruler.largest)


def test_a_norm_by_arithmetic() -> None:
    w = np.array([[3.0, 0.3], [4.0, 0.4]])
    few = 8 * np.finfo(float).eps  # a root, two sums, a product and a quotient, each way
    constraints.MaxNorm(2.0).apply(w)  # the columns are 5 and 0.5 long
    shrunk = [2.0 / (5.0 + 1e-7), 0.5 / (0.5 + 1e-7)]
    np.testing.assert_allclose(w, np.array([[3.0, 0.3], [4.0, 0.4]]) * shrunk, rtol=few)
    length = np.sqrt((w * w).sum(axis=1))
    constraints.UnitNorm(axis=1).apply(w)
    np.testing.assert_allclose(np.sqrt((w * w).sum(axis=1)), length / (length + 1e-7), rtol=few)
