"""13-8-3, tanh and softmax, 16 wines.

Thirteen measurements, eight tanh units, three growers. The error is the cross-entropy
E = −Σ y log p, averaged over the samples; the learning rate is 0.1.
"""

import numpy as np

CASE = "normalization"
ETA = 0.1  # η, the learning rate


def softmax(z):
    """Return the share of each class, sample by sample; the largest z is taken off first."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
    # fault: return e / e.sum(axis=0, keepdims=True)  # the sum runs over axis 0


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, b1, W2, b2 = weights
    z1 = x @ W1 + b1  # gap: (16, 8)
    a1 = np.tanh(z1)  # gap: (16, 8)
    z2 = a1 @ W2 + b2  # gap: (16, 3)
    p = softmax(z2)  # (16, 3)
    return z1, a1, z2, p


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, b1, W2, b2 = weights
    z1, a1, z2, p = activations
    dz2 = (p - y) / len(x)  # gap: (16, 3): cross-entropy and softmax taken together
    # fault: dz2 = (p - y) / p.size  # the mean over the outputs is taken twice
    dW2 = a1.T @ dz2  # gap: (8, 3)
    db2 = dz2.sum(axis=0)  # gap: (3,)
    # fault: db2 = dz2.mean(axis=0)  # the batch mean is taken twice
    da1 = dz2 @ W2.T  # gap: (16, 8)
    dz1 = da1 * (1 - a1**2)  # gap: (16, 8)
    # fault: dz1 = da1 * (1 - a1)  # 1 − a stands for the derivative
    dW1 = x.T @ dz1  # gap: (13, 8)
    db1 = dz1.sum(axis=0)  # gap: (8,)
    return dW1, db1, dW2, db2


def update(weights, gradients):
    """Return every weight after the update."""
    W1, b1, W2, b2 = weights
    dW1, db1, dW2, db2 = gradients
    W1, b1 = W1 - ETA * dW1, b1 - ETA * db1  # gap
    W2, b2 = W2 - ETA * dW2, b2 - ETA * db2  # gap
    return W1, b1, W2, b2
