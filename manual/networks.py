"""The worked networks again, as layers whose derivatives are written by hand.

Each function returns a network with its initial weights, not compiled. Networks whose weights are
random start from their own draw; a comparison hands them Keras's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from manual.constraints import Constant
from manual.layers import Dense, Input, Layer
from manual.network import Network


def chain(inputs: int, *layers: Layer, weights: Sequence[Any] = (), dtype: str) -> Network:
    """Join layers one after the other and set their weights, if any are given."""
    first = last = Input((inputs,))
    for layer in layers:
        last = layer(last)
    network = Network(first, last, dtype=dtype)
    if weights:
        network.set_weights(weights)
    return network


def mazur(dtype: str, train_biases: bool = False) -> Network:
    """Two inputs, h1 and h2, o1 and o2. Columns are units: w1 and w2 lead into h1."""
    b1, b2 = 0.35, 0.60
    w1, w2, w3, w4 = 0.15, 0.20, 0.25, 0.30
    w5, w6, w7, w8 = 0.40, 0.45, 0.50, 0.55
    frozen = (None, None) if train_biases else (Constant(b1), Constant(b2))
    return chain(
        2,
        Dense(2, "sigmoid", bias_constraint=frozen[0], name="hidden"),
        Dense(2, "sigmoid", bias_constraint=frozen[1], name="output"),
        weights=[
            np.array([[w1, w3], [w2, w4]]),
            np.array([b1, b1]),
            np.array([[w5, w7], [w6, w8]]),
            np.array([b2, b2]),
        ],
        dtype=dtype,
    )


def study_hours(dtype: str) -> Network:
    """First row from the hours studied, second from the hours slept."""
    return chain(
        2,
        Dense(3, "sigmoid", use_bias=False, name="hidden"),
        Dense(1, "sigmoid", use_bias=False, name="score"),
        weights=[
            np.array([[0.2, 0.6, 0.1], [0.8, 0.3, 0.7]]),
            np.array([[0.4], [0.5], [0.9]]),
        ],
        dtype=dtype,
    )


def xor_bias_trick(dtype: str) -> Network:
    """Cut the figure's 3 × 3 matrix into the rows of x1 and x2 and the row of the ones."""
    rows = np.array([[0.351, -0.097, 0.457], [1.076, -0.165, -0.165], [1.116, 0.542, -0.331]])
    return chain(
        2,
        Dense(3, "sigmoid", name="hidden"),
        Dense(1, "sigmoid", use_bias=False, name="output"),
        weights=[rows[:-1], rows[-1], np.array([[0.383], [-0.327], [-0.329]])],
        dtype=dtype,
    )


def xor_no_hidden(dtype: str, seed: int = 42) -> Network:
    """One unit: two weights, and the ones column's."""
    rows = bias_trick_matrices([2, 1], seed)[0]
    return chain(2, Dense(1, "sigmoid", name="output"), weights=[rows[:-1], rows[-1]], dtype=dtype)


def digits_bias_trick(dtype: str, seed: int = 42) -> Network:
    """Every hidden layer has one unit more than it is said to have."""
    first, second, third = bias_trick_matrices([64, 32, 16, 10], seed)
    return chain(
        64,
        Dense(33, "sigmoid", name="hidden_1"),
        Dense(17, "sigmoid", use_bias=False, name="hidden_2"),
        Dense(10, "sigmoid", use_bias=False, name="output"),
        weights=[first[:-1], first[-1], second, third],
        dtype=dtype,
    )


def bias_trick_matrices(units: Sequence[int], seed: int) -> list[np.ndarray]:
    """Draw one matrix per layer as the tutorial's class does, the ones column included."""
    generator = np.random.RandomState(seed)
    matrices = []
    for layer, (below, above) in enumerate(pairwise(units), start=2):
        extra = 0 if layer == len(units) else 1
        matrices.append(generator.randn(below + 1, above + extra) / np.sqrt(below))
    return matrices


def four_layer(dtype: str, output: str = "linear") -> Network:
    """z² = W¹x + b¹, a² = f(z²), z³ = W²a² + b², a³ = f(z³), s = W³a³; kernels are Wᵀ."""
    W1 = np.array([[0.1, -0.2, 0.3, 0.4], [-0.5, 0.6, -0.7, 0.2]])
    W2 = np.array([[0.3, -0.4], [0.5, 0.7]])
    W3 = np.array([[0.8, -0.9]])
    return chain(
        4,
        Dense(2, "sigmoid", name="layer_2"),
        Dense(2, "sigmoid", name="layer_3"),
        Dense(1, output, use_bias=False, name="s"),
        weights=[W1.T, np.array([0.1, -0.1]), W2.T, np.array([0.05, -0.05]), W3.T],
        dtype=dtype,
    )


def single_neuron(dtype: str) -> Network:
    """Weights 0.5 and 0.2, bias 1.83."""
    return chain(
        2,
        Dense(1, "sigmoid", name="neuron"),
        weights=[np.array([[0.5], [0.2]]), np.array([1.83])],
        dtype=dtype,
    )


def three_inputs(dtype: str, seed: int = 0) -> Network:
    """Layers of 7, 5, 4 and 1; each unit draws its own weights in turn."""
    units = [3, 7, 5, 4, 1]
    generator = np.random.RandomState(seed)
    weights = [
        np.array([[generator.rand() for _ in range(below)] for _ in range(above)]).T
        for below, above in pairwise(units)
    ]
    names = ["hidden_1", "hidden_2", "hidden_3", "output"]
    layers = [
        Dense(n, "sigmoid", use_bias=False, name=name)
        for n, name in zip(units[1:], names, strict=True)
    ]
    return chain(3, *layers, weights=weights, dtype=dtype)


def straight_line(dtype: str, weight: float = 3.0) -> Network:
    """Draw a line through the origin."""
    layer = Dense(1, use_bias=False, name="line")
    return chain(1, layer, weights=[np.array([[weight]])], dtype=dtype)


def diabetes_line(dtype: str) -> Network:
    """Lay a plane over ten inputs, starting flat."""
    layer = Dense(1, name="line")
    return chain(10, layer, weights=[np.zeros((10, 1)), np.zeros(1)], dtype=dtype)


def wine(dtype: str) -> Network:
    """Thirteen measurements, eight units, three growers."""
    return chain(
        13, Dense(8, "tanh", name="hidden"), Dense(3, "softmax", name="grower"), dtype=dtype
    )


def diabetes(dtype: str) -> Network:
    """Ten measurements, six units, one number."""
    return chain(10, Dense(6, "tanh", name="hidden"), Dense(1, name="progression"), dtype=dtype)


def digits(dtype: str) -> Network:
    """Pixels, two hidden layers, ten classes."""
    return chain(
        64,
        Dense(32, "relu", name="hidden_1"),
        Dense(16, "relu", name="hidden_2"),
        Dense(10, "softmax", name="digit"),
        dtype=dtype,
    )


def hand_vs_keras(dtype: str) -> Network:
    """First-layer weights 0.1, second-layer weights 0.2."""
    return chain(
        2,
        Dense(5, "sigmoid", use_bias=False, name="hidden"),
        Dense(1, "sigmoid", use_bias=False, name="output"),
        weights=[np.full((2, 5), 0.1), np.full((5, 1), 0.2)],
        dtype=dtype,
    )
