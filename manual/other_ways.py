"""The same gradients computed in other ways, as tutorials do: all must give the same numbers.

Each function takes the weights by name, a batch x and the targets y, and returns the gradient of
every weight by name. None of them uses a layer of this package.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from manual.arrays import Array

Weights = Mapping[str, Array]
Gradients = dict[str, Array]


def derivative_written_down(weights: Weights, x: Array, y: Array) -> Gradients:
    """∂/∂W 1/B Σ (x W + b − y)² = 2/B Σ xᵀ (x W + b − y); the same without x for b."""
    error = _line(weights, x) - y
    gradients = {"line/kernel": 2.0 * (x.T @ error) / len(x)}
    if "line/bias" in weights:
        gradients["line/bias"] = 2.0 * error.sum(axis=0) / len(x)
    return gradients


def central_difference(weights: Weights, x: Array, y: Array, h: float = 2.0**-10) -> Gradients:
    """∂E/∂w = (E(w + h) − E(w − h)) / 2h, exact but for rounding since E is a parabola in w."""

    def loss(changed: Weights) -> Array:
        error = _line(changed, x) - y
        return (error * error).sum() / len(x)

    gradients = {}
    for name, w in weights.items():
        gradients[name] = np.zeros_like(w)
        for index in np.ndindex(*w.shape):
            step = np.zeros(w.shape)
            step[index] = h
            above, below = {**weights, name: w + step}, {**weights, name: w - step}
            gradients[name][index] = (loss(above) - loss(below)) / (2.0 * h)
    return gradients


def _line(weights: Weights, x: Array) -> Array:
    y = x @ weights["line/kernel"]
    return y + weights["line/bias"] if "line/bias" in weights else y


def column_of_ones(weights: Weights, x: Array, y: Array) -> Gradients:
    """One matrix a layer; the last column of x is 1 and its weights are the first layer's bias."""
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in weights))
    matrices = [weights[f"{layer}/kernel"] for layer in layers]
    bias = weights[f"{layers[0]}/bias"]
    matrices[0] = np.concatenate([matrices[0], bias.reshape(1, -1)], axis=0)
    ones = np.concatenate([x, x[:, :1] * 0.0 + 1.0], axis=1)

    A = [ones]
    for W in matrices:
        A.append(1.0 / (1.0 + np.exp(-(A[-1] @ W))))
    D = [(A[-1] - y) * A[-1] * (1.0 - A[-1])]
    for W, a in zip(matrices[:0:-1], A[-2:0:-1], strict=True):
        D.append((D[-1] @ W.T) * a * (1.0 - a))
    products = [a.T @ d for a, d in zip(A, reversed(D), strict=False)]

    gradients = dict(zip([f"{layer}/kernel" for layer in layers], products, strict=True))
    gradients[f"{layers[0]}/kernel"] = products[0][:-1]
    gradients[f"{layers[0]}/bias"] = products[0][-1]
    return gradients


def element_by_element(weights: Weights, x: Array, y: Array) -> Gradients:
    """∂C/∂Wˡᵢⱼ = δᵢ aⱼ and δⱼ = Σᵢ Wᵢⱼ δᵢ aⱼ (1 − aⱼ), one subscript at a time; C = (s − y)²."""
    return _element_by_element(weights, x, lambda s: 2.0 * (s - y[0, 0]))


def element_by_element_cross_entropy(weights: Weights, x: Array, y: Array) -> Gradients:
    """Do the same with C = −y log σ(s) − (1 − y) log(1 − σ(s)), whose derivative is σ(s) − y."""
    return _element_by_element(weights, x, lambda s: 1.0 / (1.0 + np.exp(-s)) - y[0, 0])


def _element_by_element(weights: Weights, x: Array, dC_ds: object) -> Gradients:
    sample = x[0]
    gradients = {name: np.zeros_like(w) for name, w in weights.items()}
    W2, b2 = weights["layer_2/kernel"], weights["layer_2/bias"]
    W3, b3 = weights["layer_3/kernel"], weights["layer_3/bias"]
    W4 = weights["s/kernel"]
    a2, a3 = np.zeros_like(b2), np.zeros_like(b3)
    for i in range(2):
        z = b2[i]
        for j in range(4):
            z = z + sample[j] * W2[j, i]
        a2[i] = 1.0 / (1.0 + np.exp(-z))
    for i in range(2):
        z = b3[i]
        for j in range(2):
            z = z + a2[j] * W3[j, i]
        a3[i] = 1.0 / (1.0 + np.exp(-z))
    s = a3[0] * W4[0, 0] + a3[1] * W4[1, 0]

    delta_s = dC_ds(s)  # type: ignore[operator]
    delta3 = [delta_s * W4[j, 0] * a3[j] * (1.0 - a3[j]) for j in range(2)]
    delta2 = [
        (delta3[0] * W3[j, 0] + delta3[1] * W3[j, 1]) * a2[j] * (1.0 - a2[j]) for j in range(2)
    ]
    for j in range(2):
        gradients["s/kernel"][j, 0] = delta_s * a3[j]
        gradients["layer_3/bias"][j] = delta3[j]
        gradients["layer_2/bias"][j] = delta2[j]
        for i in range(2):
            gradients["layer_3/kernel"][j, i] = delta3[i] * a2[j]
        for k in range(4):
            gradients["layer_2/kernel"][k, j] = delta2[j] * sample[k]
    return gradients
