"""XOR without a hidden layer.

Two inputs and one sigmoid unit, E = ½ (y − a)², learning rate 0.5. It can't be learnt; but its
gradients can be right.
"""

import numpy as np

CASE = "xor_no_hidden"
ALPHA = 0.5  # α, the learning rate


def forward(weights, x):
    """Return the unit's sum and its activation."""
    W, b = weights
    z = x @ W + b  # gap: (1, 1)
    a = 1 / (1 + np.exp(-z))  # gap: (1, 1)
    # fault: a = np.tanh(z)  # tanh is applied instead
    return z, a


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    z, a = activations
    da = a - y  # gap: (1, 1)
    dz = da * a * (1 - a)  # gap: (1, 1)
    dW = x.T @ dz  # gap: (2, 1)
    db = dz.sum(axis=0)  # gap: (1,)
    return dW, db


def update(weights, gradients):
    """Return every weight after the update."""
    W, b = weights
    dW, db = gradients
    W = W - ALPHA * dW  # gap
    b = b - ALPHA * db  # gap
    # fault: b = b + ALPHA * db  # uphill
    return W, b
