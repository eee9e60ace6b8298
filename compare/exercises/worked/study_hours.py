"""2-3-1 without biases, three samples.

From hours studied and slept to a test score: two inputs, three hidden units, one output, sigmoids
throughout. The error is E = ½ Σ (y − a2)², summed over the three samples; the learning rate is 1.
"""

import numpy as np

CASE = "study_hours"
ETA = 1.0  # η, the learning rate


def sigmoid(z):
    """Return σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, W2 = weights
    z1 = x @ W1  # gap: (3, 3): samples, units
    a1 = sigmoid(z1)  # gap: (3, 3)
    z2 = a1 @ W2  # gap: (3, 1)
    a2 = sigmoid(z2)  # (3, 1)
    return z1, a1, z2, a2


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, W2 = weights
    z1, a1, z2, a2 = activations
    da2 = a2 - y  # gap: (3, 1)
    dz2 = da2 * a2 * (1 - a2)  # gap: (3, 1)
    # fault: dz2 = da2 * sigmoid(a2) * (1 - sigmoid(a2))  # derivative is taken at the activation
    dW2 = a1.T @ dz2  # gap: (3, 1)
    da1 = dz2 @ W2.T  # gap: (3, 3)
    dz1 = da1 * a1 * (1 - a1)  # gap: (3, 3)
    # fault: dz1 = a1 * (1 - a1)  # the gradient from the right is not multiplied in
    dW1 = x.T @ dz1  # gap: (2, 3)
    return dW1, dW2


def update(weights, gradients):
    """Return every weight after the update."""
    W1, W2 = weights
    dW1, dW2 = gradients
    W1 = W1 - ETA * dW1  # gap
    W2 = W2 - ETA * dW2  # gap
    return W1, W2
