"""4-2-2-1 in matrix notation.

z² = W¹x + b¹, a² = σ(z²), z³ = W²a² + b², a³ = σ(z³), s = W³a³, for one sample, with a cost of
C = (s − y)² and a learning rate of 0.1. Samples are rows here: the weights are the tutorial's W¹,
W² and W³ transposed.
"""

import numpy as np

CASE = "four_layer"
ETA = 0.1  # η, the learning rate


def sigmoid(z):
    """Return σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    """Return z², a², z³, a³ and s."""
    W1, b1, W2, b2, W3 = weights
    z2 = x @ W1 + b1  # gap: (1, 2)
    a2 = sigmoid(z2)  # (1, 2)
    z3 = a2 @ W2 + b2  # gap: (1, 2)
    # fault: z3 = a2 @ W2.T + b2  # the kernel is transposed
    a3 = sigmoid(z3)  # (1, 2)
    s = a3 @ W3  # gap: (1, 1)
    return z2, a2, z3, a3, s


def backward(weights, x, y, activations):
    """Return the gradient of C at every weight, in the weights' order."""
    W1, b1, W2, b2, W3 = weights
    z2, a2, z3, a3, s = activations
    ds = 2 * (s - y)  # gap: (1, 1)
    # fault: ds = s - y  # the 2 of the square's derivative is missing
    dW3 = a3.T @ ds  # gap: (2, 1)
    delta3 = (ds @ W3.T) * a3 * (1 - a3)  # gap: (1, 2)
    dW2 = a2.T @ delta3  # gap: (2, 2)
    # fault: dW2 = delta3.T @ a2  # the matrix is transposed
    db2 = delta3.sum(axis=0)  # gap: (2,)
    delta2 = (delta3 @ W2.T) * a2 * (1 - a2)  # gap: (1, 2)
    # fault: delta2 = (delta3 @ W2.T) * a3 * (1 - a3)  # the derivative is that of layer_3
    dW1 = x.T @ delta2  # gap: (4, 2)
    db1 = delta2.sum(axis=0)  # gap: (2,)
    return dW1, db1, dW2, db2, dW3


def update(weights, gradients):
    """Return every weight after the update."""
    W1, b1, W2, b2, W3 = weights
    dW1, db1, dW2, db2, dW3 = gradients
    W1, b1 = W1 - ETA * dW1, b1 - ETA * db1  # gap
    W2, b2 = W2 - ETA * dW2, b2 - ETA * db2  # gap
    W3 = W3 - ETA * dW3  # gap
    return W1, b1, W2, b2, W3
