"""2-2-2, w1 … w8, one sample.

Two inputs, and the sigmoid units h1, h2, o1 and o2. The error is E = Σ ½ (t − o)², the learning
rate 0.5. The biases have gradients like every weight, but stay as they are.
"""

import numpy as np

CASE = "mazur"
ETA = 0.5  # η, the learning rate


def sigmoid(net):
    """Return σ(net) = 1 / (1 + e^−net)."""
    return 1 / (1 + np.exp(-net))


def forward(weights, x):
    """Return what every unit gets and gives, from the first layer to the last."""
    W1, b1, W2, b2 = weights  # W1 has w1 and w2 in its first column, W2 w5 and w6
    net_h = x @ W1 + b1  # gap: (1, 2)
    out_h = sigmoid(net_h)  # (1, 2)
    net_o = out_h @ W2 + b2  # gap: (1, 2)
    out_o = sigmoid(net_o)  # (1, 2)
    return net_h, out_h, net_o, out_o


def backward(weights, x, t, activations):
    """Return the gradient of E at every weight, in the weights' order."""
    W1, b1, W2, b2 = weights
    net_h, out_h, net_o, out_o = activations
    dout_o = out_o - t  # gap: (1, 2)
    dnet_o = dout_o * out_o * (1 - out_o)  # gap: (1, 2)
    dW2 = out_h.T @ dnet_o  # gap: (2, 2)
    db2 = dnet_o.sum(axis=0)  # (2,)
    dout_h = dnet_o @ W2.T  # gap: (1, 2)
    # fault: dout_h = dnet_o @ W2  # the kernel is not transposed
    # fault: W2 = W2 - ETA * dW2  # the already updated kernel is used
    #        dout_h = dnet_o @ W2.T
    dnet_h = dout_h * out_h * (1 - out_h)  # gap: (1, 2)
    # fault: dnet_h = dout_h * net_h * (1 - net_h)  # computed from the pre-activation
    dW1 = x.T @ dnet_h  # gap: (2, 2)
    db1 = dnet_h.sum(axis=0)  # (2,)
    return dW1, db1, dW2, db2


def update(weights, gradients):
    """Return every weight after the update."""
    W1, b1, W2, b2 = weights
    dW1, db1, dW2, db2 = gradients
    W1 = W1 - ETA * dW1  # gap
    W2 = W2 - ETA * dW2  # gap
    return W1, b1, W2, b2
