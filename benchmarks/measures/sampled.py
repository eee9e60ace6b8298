"""What `compare.Lockstep` costs a training in which each 50th step is compared.

python -m benchmarks.measures.sampled ROUNDS
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras_models  # loads TensorFlow without its chatter

# isort: split
import keras
import numpy as np

from compare import Lockstep

assert keras_models

EVERY = 50
BATCH, STEPS = 16, 500
"""Samples in a batch, and batches in an epoch."""
EPOCHS = 4


class Steps(keras.callbacks.Callback):
    """Times the steps of every epoch, but for its beginning and its end.

    What is timed begins and ends half way between two compared steps, so that each 50th is one.
    Keras takes up to a third of a second to begin an epoch, or a tenth of that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == EVERY // 2:
            self.start = time.perf_counter()
        if batch == STEPS - EVERY // 2:
            self.seconds.append((time.perf_counter() - self.start) / (STEPS - EVERY))


def small_cnn() -> keras.Model:
    """Return a convolutional network of 5,258 weights, compiled."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def main() -> None:
    """Train with the callback and without in turn; the first epoch, which prepares, isn't timed."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(STEPS * BATCH, 16, 16, 1)).astype(np.float32)
    y = draw.integers(0, 10, len(x))
    models = {"fit": small_cnn(), "sampled": small_cnn()}
    seconds: dict[str, list[float]] = {way: [] for way in models}
    for _ in range(int(sys.argv[1])):
        for way, model in models.items():
            watch, callback = Steps(), Lockstep(every=EVERY, on_difference="record")
            callbacks = [watch, callback] if way == "sampled" else [watch]
            model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=callbacks)
            if way == "sampled":
                callback.report.raise_if_different()
            seconds[way] += watch.seconds[1:]
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
