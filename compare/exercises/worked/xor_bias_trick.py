"""XOR with a hidden layer.

Two inputs, three hidden units with a bias (the weights of the tutorial's column of ones), one
output without. Sigmoids throughout, E = ½ (y − a2)², learning rate 0.5.
"""

import numpy as np

CASE = "xor_bias_trick"
ALPHA = 0.5  # α, the learning rate


def sigmoid(z):
    """Return σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, b1, W2 = weights
    z1 = x @ W1 + b1  # gap: (1, 3)
    # fault: z1 = x @ W1 - b1  # the bias is subtracted
    a1 = sigmoid(z1)  # gap: (1, 3)
    z2 = a1 @ W2  # gap: (1, 1)
    a2 = sigmoid(z2)  # gap: (1, 1)
    return z1, a1, z2, a2


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, b1, W2 = weights
    z1, a1, z2, a2 = activations
    da2 = a2 - y  # gap: (1, 1)
    D2 = da2 * a2 * (1 - a2)  # gap: (1, 1)
    dW2 = a1.T @ D2  # gap: (3, 1)
    D1 = (D2 @ W2.T) * a1 * (1 - a1)  # gap: (1, 3)
    dW1 = x.T @ D1  # gap: (2, 3)
    db1 = D1.sum(axis=0)  # gap: (3,)
    return dW1, db1, dW2


def update(weights, gradients):
    """Return every weight after the update."""
    W1, b1, W2 = weights
    dW1, db1, dW2 = gradients
    W1 = W1 - ALPHA * dW1  # gap
    b1 = b1 - ALPHA * db1  # gap
    # fault: b1 = b1 - db1  # the learning rate is forgotten
    W2 = W2 - ALPHA * dW2  # gap
    return W1, b1, W2
