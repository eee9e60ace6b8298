"""2-5-1, mean absolute error.

Two inputs, five hidden units, one output, sigmoids throughout. The error is E = |o − y|, the
learning rate 0.01.
"""

import numpy as np

CASE = "hand_vs_keras"
ETA = 0.01  # η, the learning rate


def sigmoid(z):
    """Return σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W, V = weights
    z_h = x @ W  # gap: (1, 5)
    h = sigmoid(z_h)  # gap: (1, 5)
    z_o = h @ V  # gap: (1, 1)
    o = sigmoid(z_o)  # (1, 1)
    return z_h, h, z_o, o


def backward(weights, x, y, activations):
    """Return the gradient of E at W and at V."""
    W, V = weights
    z_h, h, z_o, o = activations
    do = np.sign(o - y)  # gap: (1, 1)
    # fault: do = o - y  # this is the derivative of ½ (p − y)²
    dz_o = do * o * (1 - o)  # gap: (1, 1)
    dV = h.T @ dz_o  # gap: (5, 1)
    dh = dz_o @ V.T  # gap: (1, 5)
    dz_h = dh * h * (1 - h)  # gap: (1, 5)
    dW = x.T @ dz_h  # gap: (2, 5)
    return dW, dV


def update(weights, gradients):
    """Return W and V after the update."""
    W, V = weights
    dW, dV = gradients
    W = W - ETA * dW  # gap
    V = V - ETA * dV  # gap
    # fault: V = V - ETA**2 * dV  # the learning rate is applied twice
    return W, V
