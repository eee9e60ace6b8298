"""64-33-17-10, sigmoids, one digit.

One digit at a time: 64 pixels, two hidden layers, ten outputs; only the first layer has a bias (the
weights of the tutorial's column of ones). E = ½ Σ (y − a3)², learning rate 0.1.
"""

import numpy as np

CASE = "digits_bias_trick"
ALPHA = 0.1  # α, the learning rate


def sigmoid(z):
    """Return σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, b1, W2, W3 = weights
    z1 = x @ W1 + b1  # gap: (1, 33)
    a1 = sigmoid(z1)  # (1, 33)
    z2 = a1 @ W2  # gap: (1, 17)
    a2 = sigmoid(z2)  # (1, 17)
    z3 = a2 @ W3  # gap: (1, 10)
    a3 = sigmoid(z3)  # (1, 10)
    return z1, a1, z2, a2, z3, a3


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, b1, W2, W3 = weights
    z1, a1, z2, a2, z3, a3 = activations
    D3 = (a3 - y) * a3 * (1 - a3)  # gap: (1, 10)
    D2 = (D3 @ W3.T) * a2 * (1 - a2)  # gap: (1, 17)
    # fault: D2 = (D3 @ W3.T) * (1 - a2)  # 1 − a stands for the derivative
    D1 = (D2 @ W2.T) * a1 * (1 - a1)  # gap: (1, 33)
    # fault: D1 = (D2 @ W2.T) * a1  # the activation stands for its derivative
    dW3 = a2.T @ D3  # gap: (17, 10)
    dW2 = a1.T @ D2  # gap: (33, 17)
    dW1 = x.T @ D1  # gap: (64, 33)
    db1 = D1.sum(axis=0)  # gap: (33,)
    return dW1, db1, dW2, dW3


def update(weights, gradients):
    """Return every weight after the update."""
    pairs = zip(weights, gradients)
    return [w - ALPHA * dw for w, dw in pairs]  # gap
