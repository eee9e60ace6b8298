"""Dense networks as one writes them down for a single network: a loop, nothing general.

No ``out=``, no buffer is kept, and the loss is computed, as the others compute it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.contenders.base import Stepwise
from benchmarks.contenders.blas import about_numpy
from benchmarks.problem import Problem

Array = np.ndarray
Step = Callable[[list[Array], Array, Array, float], float]


def sigmoid(z: Array) -> Array:
    """1 / (1 + e⁻ᶻ)."""
    a: Array = 1 / (1 + np.exp(-z))
    return a


def softmax_loss(z: Array, y: Array) -> tuple[float, Array]:
    """Return the cross-entropy of softmax(z) and its derivative with respect to z."""
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    loss = np.sum(y * (np.log(total) - z)) / len(y)
    return loss, (e / total - y) / len(y)


def two_sigmoid_layers(weights: list[Array], x: Array, y: Array, rate: float) -> float:
    """Make one step of SGD on the mean square."""
    W1, b1, W2, b2 = weights
    h = sigmoid(x @ W1 + b1)
    o = sigmoid(h @ W2 + b2)
    e = o - y
    loss = np.mean(e * e)
    do = 2 / e.size * e * o * (1 - o)
    dh = do @ W2.T * h * (1 - h)
    W2 -= rate * (h.T @ do)
    b2 -= rate * do.sum(axis=0)
    W1 -= rate * (x.T @ dh)
    b1 -= rate * dh.sum(axis=0)
    return float(loss)


def one_relu_layer(weights: list[Array], x: Array, y: Array, rate: float) -> float:
    """Make one step of SGD on the cross-entropy behind one hidden layer."""
    W1, b1, W2, b2 = weights
    z1 = x @ W1 + b1
    h1 = np.maximum(z1, 0)
    loss, d2 = softmax_loss(h1 @ W2 + b2, y)
    d1 = d2 @ W2.T * (z1 > 0)
    W2 -= rate * (h1.T @ d2)
    b2 -= rate * d2.sum(axis=0)
    W1 -= rate * (x.T @ d1)
    b1 -= rate * d1.sum(axis=0)
    return float(loss)


def two_relu_layers(weights: list[Array], x: Array, y: Array, rate: float) -> float:
    """Make one step of SGD on the cross-entropy behind two hidden layers."""
    W1, b1, W2, b2, W3, b3 = weights
    z1 = x @ W1 + b1
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W2 + b2
    h2 = np.maximum(z2, 0)
    loss, d3 = softmax_loss(h2 @ W3 + b3, y)
    d2 = d3 @ W3.T * (z2 > 0)
    d1 = d2 @ W2.T * (z1 > 0)
    W3 -= rate * (h2.T @ d3)
    b3 -= rate * d3.sum(axis=0)
    W2 -= rate * (h1.T @ d2)
    b2 -= rate * d2.sum(axis=0)
    W1 -= rate * (x.T @ d1)
    b1 -= rate * d1.sum(axis=0)
    return float(loss)


STEPS: dict[str, Step] = {
    "2-2-2": two_sigmoid_layers,
    "2-3-1": two_sigmoid_layers,
    "digits": two_relu_layers,
    "mnist": one_relu_layer,
    "wide": two_relu_layers,
}


class Inlined(Stepwise):
    """The loop."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.take = STEPS[problem.architecture.name]
        self.rate = problem.rate
        self.about = about_numpy()

    def reset(self) -> None:
        self.weights = [weight.copy() for weight in self.problem.weights.values()]

    def step(self, x: Array, y: Array) -> float:
        return self.take(self.weights, x, y, self.rate)


class Products(Stepwise):
    """No training: only the matrix products of one step, which is what the machine can reach."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.about = about_numpy()
        generator = np.random.default_rng(0)
        batch, widths = problem.architecture.batch, problem.architecture.widths
        self.kernels = [
            problem.weights[f"{layer.name}/kernel"] for layer in problem.architecture.layers
        ]
        self.outputs = [generator.normal(size=(batch, n)).astype(problem.dtype) for n in widths[1:]]

    @property
    def flops(self) -> float:
        """Additions and multiplications of one step."""
        sizes = [float(W.size) for W in self.kernels]
        return 2.0 * self.problem.architecture.batch * (3 * sum(sizes) - sizes[0])

    def reset(self) -> None:
        """Nothing changes here."""

    def losses(self, steps: int) -> list[float]:
        return []

    def step(self, x: Array, y: Array) -> float:
        inputs = [x, *self.outputs[:-1]]
        for a, W in zip(inputs, self.kernels, strict=True):
            np.matmul(a, W)
        for number, (a, W, dz) in enumerate(zip(inputs, self.kernels, self.outputs, strict=True)):
            np.matmul(a.T, dz)
            if number:  # nobody asks for the gradient of the data
                np.matmul(dz, W.T)
        return 0.0
