"""The step-by-step 2-2-2 network, for long: so many steps by hand, so many of Keras fit.

python -m benchmarks.measures.million manual|keras STEPS
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

ROWS = 1000
"""The one sample, as often as makes an epoch of many steps."""
RATE = 0.5


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return the tutorial's sample, repeated."""
    x, y = np.array([[[0.05, 0.10]], [[0.01, 0.99]]], np.float32)
    return x.repeat(ROWS, axis=0), y.repeat(ROWS, axis=0)


def by_hand(steps: int) -> float:
    """Train the hand-written half; return the seconds."""
    import manual
    import manual.networks

    network = manual.networks.mazur("float32")
    network.compile(manual.HalfSquaredSum(), manual.SGD(RATE))
    x, y = data()
    network.fit(x[:10], y[:10], batch_size=1)
    start = time.perf_counter()
    network.fit(x, y, batch_size=1, epochs=steps // ROWS, shuffle=False)
    return time.perf_counter() - start


def in_keras(steps: int) -> float:
    """Train the Keras half by ``fit``; return the seconds of its epochs."""
    import keras_models.networks
    from benchmarks.contenders.keras_ways import Stopwatch, keras

    model = keras_models.networks.mazur()
    model.compile(keras.optimizers.SGD(RATE), keras_models.HalfSquaredSum())
    x, y = data()
    model.fit(x[:10], y[:10], batch_size=1, verbose=0)
    watch = Stopwatch()
    epochs = steps // ROWS
    model.fit(x, y, batch_size=1, epochs=epochs, shuffle=False, verbose=0, callbacks=[watch])
    return watch.seconds


def main() -> None:
    """Train one half; print the seconds."""
    half = {"manual": by_hand, "keras": in_keras}[sys.argv[1]]
    print(json.dumps(half(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
