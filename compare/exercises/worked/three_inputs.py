"""3-7-5-4-1 without biases.

Three inputs, three hidden layers, one output, sigmoids throughout. The error is E = (p − y)², the
learning rate 0.7.
"""

import numpy as np

CASE = "three_inputs"
ETA = 0.7  # η, the learning rate


def sigmoid(z):
    """Return σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, W2, W3, W4 = weights
    z1 = x @ W1  # (1, 7)
    a1 = sigmoid(z1)  # gap: (1, 7)
    z2 = a1 @ W2  # gap: (1, 5)
    a2 = sigmoid(z2)  # (1, 5)
    z3 = a2 @ W3  # (1, 4)
    a3 = sigmoid(z3)  # (1, 4)
    z4 = a3 @ W4  # gap: (1, 1)
    p = sigmoid(z4)  # gap: (1, 1)
    return z1, a1, z2, a2, z3, a3, z4, p


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, W2, W3, W4 = weights
    z1, a1, z2, a2, z3, a3, z4, p = activations
    dz4 = 2 * (p - y) * p * (1 - p)  # gap: (1, 1)
    dz3 = (dz4 @ W4.T) * a3 * (1 - a3)  # gap: (1, 4)
    dz2 = (dz3 @ W3.T) * a2 * (1 - a2)  # gap: (1, 5)
    # fault: dz2 = dz3 @ W3.T  # the derivative of the activation is missing
    dz1 = (dz2 @ W2.T) * a1 * (1 - a1)  # gap: (1, 7)
    dW1 = x.T @ dz1  # gap: (3, 7)
    dW2 = a1.T @ dz2  # gap: (7, 5)
    dW3 = a2.T @ dz3  # gap: (5, 4)
    # fault: dW3 = z2.T @ dz3  # the pre-activation of the layer below
    dW4 = a3.T @ dz4  # gap: (4, 1)
    return dW1, dW2, dW3, dW4


def update(weights, gradients):
    """Return every weight after the update."""
    pairs = zip(weights, gradients)
    return [W - ETA * dW for W, dW in pairs]  # gap
