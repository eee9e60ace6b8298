"""A line through the origin.

ŷ = W x, and E is the mean of (ŷ − y)² over the three samples; the learning rate is 0.3.
"""

CASE = "linear_regression"
ETA = 0.3  # η, the learning rate


def forward(weights, x):
    """Return what the line predicts, in a list of one."""
    (W,) = weights  # (1, 1)
    predicted = x @ W  # gap: (3, 1)
    return [predicted]


def backward(weights, x, y, activations):
    """Return the gradient of E at W, in a list of one."""
    (predicted,) = activations
    dpredicted = 2 * (predicted - y) / len(x)  # gap: (3, 1)
    # fault: dpredicted = 2 * (predicted - y)  # the batch mean is missing
    dW = x.T @ dpredicted  # gap: (1, 1)
    return [dW]


def update(weights, gradients):
    """Return W after the update, in a list of one."""
    (W,) = weights
    (dW,) = gradients
    W = W - ETA * dW  # gap
    return [W]
