"""64-32-16-10, ReLU, softmax, Adam.

32 handwritten digits at a time, two hidden ReLU layers, ten classes. The error is the cross-entropy
E = −Σ y log p, averaged over the samples; the weights are moved by Adam, with ε where Keras
has it: beside the root of v, before the bias corrections.
"""

import numpy as np

CASE = "digits"
ETA = 0.003  # η, the learning rate
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7


def softmax(z):
    """Return the share of each class, sample by sample; the largest z is taken off first."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(weights, x):
    """Return every layer's sums and activations, from the first layer to the last."""
    W1, b1, W2, b2, W3, b3 = weights
    z1 = x @ W1 + b1  # gap: (32, 32): samples, units
    a1 = np.maximum(z1, 0)  # gap: (32, 32)
    z2 = a1 @ W2 + b2  # gap: (32, 16)
    a2 = np.maximum(z2, 0)  # gap: (32, 16)
    # fault: a2 = z2  # the activation function is not applied
    z3 = a2 @ W3 + b3  # gap: (32, 10)
    p = softmax(z3)  # (32, 10)
    return z1, a1, z2, a2, z3, p


def backward(weights, x, y, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, b1, W2, b2, W3, b3 = weights
    z1, a1, z2, a2, z3, p = activations
    dz3 = (p - y) / len(x)  # gap: (32, 10): cross-entropy and softmax taken together
    # fault: dz3 = p - y  # the batch mean is missing
    dW3 = a2.T @ dz3  # gap: (16, 10)
    db3 = dz3.sum(axis=0)  # (10,)
    dz2 = (dz3 @ W3.T) * (z2 > 0)  # gap: (32, 16)
    dW2 = a1.T @ dz2  # gap: (32, 16)
    db2 = dz2.sum(axis=0)  # (16,)
    dz1 = (dz2 @ W2.T) * (z1 > 0)  # gap: (32, 32)
    # fault: dz1 = np.maximum(dz2 @ W2.T, 0)  # what passes is decided by the gradient's sign
    dW1 = x.T @ dz1  # gap: (64, 32)
    db1 = dz1.sum(axis=0)  # (32,)
    return dW1, db1, dW2, db2, dW3, db3


def update(weights, gradients, m, v, t):
    """Return the weights after Adam's update number t, and its memories m and v."""
    eta = ETA * np.sqrt(1 - BETA2**t) / (1 - BETA1**t)  # gap: both bias corrections
    # fault: eta = ETA  # the bias correction is missing
    m = [BETA1 * a + (1 - BETA1) * g for a, g in zip(m, gradients)]  # gap
    v = [BETA2 * a + (1 - BETA2) * g**2 for a, g in zip(v, gradients)]  # gap
    # fault: v = [BETA1 * a + (1 - BETA1) * g**2 for a, g in zip(v, gradients)]  # β₁ stands for β₂
    steps = [a / (np.sqrt(b) + EPSILON) for a, b in zip(m, v)]  # gap
    # fault: steps = [a / np.sqrt(b + EPSILON) for a, b in zip(m, v)]  # ε stands inside the root
    return [w - eta * step for w, step in zip(weights, steps)], m, v
