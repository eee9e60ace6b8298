"""One neuron, two inputs, one sample.

s = x1·w1 + x2·w2 + b, predicted = σ(s), E = ½ (desired − predicted)², learning rate 0.01: the
smallest network that has a chain rule.
"""

import numpy as np

CASE = "single_neuron"
ETA = 0.01  # η, the learning rate


def forward(weights, x):
    """Return the sum s and what is predicted."""
    W, b = weights  # w1 and w2 in a column
    s = x @ W + b  # gap: (1, 1)
    # fault: s = x @ W  # the bias is forgotten
    predicted = 1 / (1 + np.exp(-s))  # gap: (1, 1)
    return s, predicted


def backward(weights, x, desired, activations):
    """Return the gradient of E at w1 and w2, and at b."""
    s, predicted = activations
    dE_dpredicted = predicted - desired  # gap: (1, 1)
    # fault: dE_dpredicted = desired - predicted  # the sign is reversed
    dpredicted_ds = predicted * (1 - predicted)  # gap: (1, 1)
    dE_ds = dE_dpredicted * dpredicted_ds  # gap: (1, 1)
    # fault: dE_ds = dE_dpredicted  # the derivative of the activation is missing
    dW = x.T @ dE_ds  # gap: (2, 1)
    db = dE_ds.sum(axis=0)  # gap: (1,)
    return dW, db


def update(weights, gradients):
    """Return every weight after the update."""
    W, b = weights
    dW, db = gradients
    W = W - ETA * dW  # gap
    b = b - ETA * db  # gap
    return W, b
