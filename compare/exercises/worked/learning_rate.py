"""10-6-1, tanh, 442 patients at once.

Ten measurements, six tanh units, one number. The error is the mean of (p − y)² over the patients;
the learning rate is 0.01.
"""

import numpy as np

CASE = "learning_rate"
ETA = 0.01  # η, the learning rate


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, b1, W2, b2 = weights
    z1 = x @ W1 + b1  # gap: (442, 6)
    a1 = np.tanh(z1)  # gap: (442, 6)
    p = a1 @ W2 + b2  # gap: (442, 1): the last layer is linear
    return z1, a1, p


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, b1, W2, b2 = weights
    z1, a1, p = activations
    dp = 2 * (p - y) / len(x)  # gap: (442, 1)
    # fault: dp = 2 * (p - y)  # the batch mean is missing
    dW2 = a1.T @ dp  # gap: (6, 1)
    db2 = dp.sum(axis=0)  # gap: (1,)
    da1 = dp @ W2.T  # gap: (442, 6)
    dz1 = da1 * (1 - a1**2)  # gap: (442, 6)
    # fault: dz1 = da1 * a1 * (1 - a1)  # the derivative of sigmoid
    dW1 = x.T @ dz1  # gap: (10, 6)
    db1 = dz1.sum(axis=0)  # gap: (6,)
    # fault: db1 = dz1[0]  # only the first sample's share
    return dW1, db1, dW2, db2


def update(weights, gradients):
    """Return every weight after the update."""
    W1, b1, W2, b2 = weights
    dW1, db1, dW2, db2 = gradients
    W1, b1 = W1 - ETA * dW1, b1 - ETA * db1  # gap
    W2, b2 = W2 - ETA * dW2, b2 - ETA * db2  # gap
    return W1, b1, W2, b2
