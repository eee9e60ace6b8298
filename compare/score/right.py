"""Right runs: networks drawn at random, of every family of layers, in which nothing is planted.

None of them may raise an alarm. A third of them stands at kinks: inputs of 0 and small whole
numbers, biases of 0, so that ReLUs are asked about exactly 0 and windows hold equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from compare.findings.report import Report
from compare.steps.engine import lockstep
from keras_models.precision import precision

Generator = np.random.Generator
ACTIVATIONS = ("linear", "sigmoid", "tanh", "relu", "elu", "softplus", "gelu", "leaky_relu", "selu")
DTYPES = ("float32", "float64")


def right_run(number: int) -> tuple[str, Report]:
    """Train the network of a number in lock-step; return what it is, and the report."""
    draw = np.random.default_rng([20241124, number])
    dtype = DTYPES[number % 2]
    with precision(dtype):
        keras.backend.clear_session(free_memory=False)
        keras.utils.set_random_seed(int(draw.integers(2**31)))
        at_kinks = number % 3 == 0
        model, x, y, told = network(draw, at_kinks)
        batch_size = int(draw.integers(2, 9))
        report = lockstep(model, x, y, batch_size=batch_size, shuffle=False, steps=3)
    kinks = ", at kinks" if at_kinks else ""
    return f"{number}: {told}, batch {batch_size}{kinks} ({dtype})", report


def network(draw: Generator, at_kinks: bool) -> tuple[keras.Model, np.ndarray, np.ndarray, str]:
    """Draw a compiled model, its data, and a description."""
    kind = str(draw.choice(list(BODIES)))
    inputs, features = BODIES[kind](draw)
    loss, last, targets = HEADS[str(draw.choice(list(HEADS)))]
    units = int(draw.integers(2, 5))
    model = keras.Model(inputs, keras.layers.Dense(units, last, name="last")(features))
    scale = 0.0 if at_kinks else float(draw.choice([0.1, 0.5]))
    for layer in model.layers:
        for variable in layer.trainable_variables:
            if variable.name == "bias":
                variable.assign(scale * draw.normal(size=variable.shape))
    names = list(OF_TABLES if kind == "tokens" else OPTIMIZERS)
    optimizer = OPTIMIZERS[str(draw.choice(names))]()
    model.compile(optimizer, loss, run_eagerly=True)
    shape = (int(draw.integers(9, 17)), *inputs.shape[1:])
    if kind == "tokens":
        x = draw.integers(0, TOKENS, shape)
    elif at_kinks:
        x = draw.integers(-1, 2, shape).astype(float)
        x[::3] = 0.0
    else:
        x = draw.normal(size=shape) * 10.0 ** draw.uniform(-2, 2)
    told = ", ".join(type(layer).__name__ for layer in model.layers[1:])
    return model, x, targets(draw, len(x), units), f"{told}; {loss}, {optimizer.name}"


# ---------------------------------------------------------------------- bodies: what comes first

TOKENS = 7
layers = keras.layers


def table(draw: Generator) -> tuple[Any, Any]:
    """Dense layers, with what may stand between them, and perhaps a skip connection."""
    x = inputs = keras.Input((int(draw.integers(1, 7)),))
    for _ in range(int(draw.integers(1, 4))):
        y = layers.Dense(int(draw.integers(2, 7)), activation(draw), **penalties(draw))(x)
        y = between(draw, y)
        if draw.random() < 0.25:
            skipped = layers.Dense(y.shape[-1], use_bias=False)(x)
            join = draw.choice([layers.Add, layers.Multiply, layers.Average, layers.Maximum])
            y = join()([skipped, y])
        x = y
    return inputs, x


def image(draw: Generator) -> tuple[Any, Any]:
    """Convolution and pooling in two dimensions."""
    x = inputs = keras.Input((6, 5, int(draw.integers(1, 4))))
    padding = str(draw.choice(["valid", "same"]))
    strides = int(draw.integers(1, 3))
    filters = int(draw.integers(1, 5))
    x = layers.Conv2D(filters, 3, strides, padding, activation=activation(draw))(x)
    x = between(draw, x)
    pool = draw.choice([layers.MaxPooling2D, layers.AveragePooling2D])
    x = pool(2, int(draw.integers(1, 3)), padding="same")(x)
    end = draw.choice([layers.Flatten, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
    return inputs, end()(x)


def series(draw: Generator) -> tuple[Any, Any]:
    """Look along time, by convolution or attention, then through it; perhaps with a mask."""
    x = inputs = keras.Input((int(draw.integers(2, 6)), int(draw.integers(1, 4))))
    first = draw.integers(3)
    if first == 0:
        x = layers.Masking()(x)
    elif first == 1:
        x = layers.Conv1D(3, 2, padding="causal", activation=activation(draw))(x)
    else:
        x = layers.MultiHeadAttention(2, 2)(x, x)
    recurrent = draw.choice([layers.SimpleRNN, layers.LSTM, layers.GRU])
    return inputs, recurrent(int(draw.integers(1, 5)))(x)


def tokens(draw: Generator) -> tuple[Any, Any]:
    """Embed tokens, masked or not, and sum the sequence up."""
    inputs = keras.Input((int(draw.integers(2, 6)),), dtype="int32")
    masked = bool(draw.integers(2))
    x = layers.Embedding(TOKENS, int(draw.integers(2, 5)), mask_zero=masked)(inputs)
    if masked or draw.random() < 0.5:
        return inputs, layers.GRU(int(draw.integers(1, 5)))(x)
    return inputs, layers.GlobalAveragePooling1D()(between(draw, x))


BODIES: dict[str, Callable[[Generator], tuple[Any, Any]]] = {
    "table": table,
    "image": image,
    "series": series,
    "tokens": tokens,
}


def activation(draw: Generator) -> str:
    """Draw an activation function."""
    return str(draw.choice(ACTIVATIONS))


def between(draw: Generator, x: Any) -> Any:
    """Perhaps normalise, or disturb, what comes out of a layer."""
    choice = draw.integers(6)
    if choice == 0:
        return layers.BatchNormalization()(x)
    if choice == 1:
        return layers.LayerNormalization()(x)
    if choice == 2:
        return layers.Dropout(0.4)(x)
    if choice == 3:
        return layers.ReLU()(x)
    return x


def penalties(draw: Generator) -> dict[str, Any]:
    """Perhaps punish, or constrain, a layer's weights."""
    choice = draw.integers(5)
    if choice == 0:
        return {"kernel_regularizer": keras.regularizers.L1L2(0.01, 0.02)}
    if choice == 1:
        return {"kernel_constraint": "non_neg", "bias_regularizer": "l2"}
    return {}


# ---------------------------------------------------------------------- heads: what comes last

Targets = Callable[[Generator, int, int], np.ndarray]


def numbers(draw: Generator, samples: int, units: int) -> np.ndarray:
    """Draw small whole numbers."""
    return draw.integers(-1, 2, (samples, units)).astype(float)


def shares(draw: Generator, samples: int, units: int) -> np.ndarray:
    """Draw shares that add up to 1."""
    return draw.dirichlet(np.ones(units), size=samples)


def yes_or_no(draw: Generator, samples: int, units: int) -> np.ndarray:
    """Draw zeros and ones."""
    return draw.integers(0, 2, (samples, units)).astype(float)


def classes(draw: Generator, samples: int, units: int) -> np.ndarray:
    """Draw class numbers."""
    return draw.integers(0, units, samples)


HEADS: dict[str, tuple[Any, str, Targets]] = {
    "squared": ("mean_squared_error", "linear", numbers),
    "absolute": ("mean_absolute_error", "linear", numbers),
    "huber": ("huber", "linear", numbers),
    "hinge": ("hinge", "tanh", yes_or_no),
    "binary": ("binary_crossentropy", "sigmoid", yes_or_no),
    "categorical": ("categorical_crossentropy", "softmax", shares),
    "sparse": ("sparse_categorical_crossentropy", "softmax", classes),
    "divergence": ("kl_divergence", "softmax", shares),
}

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=0.5),
    "Adam": lambda: keras.optimizers.Adam(0.01, global_clipnorm=1.0),
    "AdamW": lambda: keras.optimizers.AdamW(0.01),
    "RMSprop": lambda: keras.optimizers.RMSprop(0.01, centered=True),
    "Adagrad": lambda: keras.optimizers.Adagrad(0.05, clipvalue=0.1),
    "Nadam": lambda: keras.optimizers.Nadam(0.01),
    "averaged": lambda: keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True),
}
OF_TABLES = [name for name in OPTIMIZERS if name != "RMSprop"]
"""What an Embedding is trained with. Where a token occurs often in a batch, Keras's centered
RMSprop takes the root of a negative number, v of Σ gᵢ² less the square of a mean, and stops."""
