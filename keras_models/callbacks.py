"""Keras callbacks: one prints the loss of every epoch, one stops where predictions are close."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

import keras
import numpy as np


class EpochLoss(keras.callbacks.Callback):
    """Prints the loss and the metrics of an epoch on one aligned line.

    Parameters
    ----------
    every : int, default 1
        Print the first epoch, every ``every``-th, and the last.
    width : int, default 8
        Characters for a loss; a metric has six.
    beside : callable, optional
        Called at the end of an epoch; the numbers that it returns by name are printed in the same
        line, after the loss.
    only : sequence of str, optional
        Which of Keras's metrics to print; all by default.
    file : text stream, default standard output

    Examples
    --------
    >>> model.fit(x, y, epochs=3, verbose=0, callbacks=[EpochLoss()])  # doctest: +SKIP
    epoch 1/3  loss 0.714286  accuracy 0.5000
    epoch 2/3  loss 0.650913  accuracy 0.6250
    epoch 3/3  loss 0.601442  accuracy 0.7500
    """

    def __init__(
        self,
        every: int = 1,
        width: int = 8,
        beside: Callable[[], Mapping[str, float]] | None = None,
        only: Sequence[str] | None = None,
        file: TextIO | None = None,
    ) -> None:
        super().__init__()
        self.only = only
        self.every = every
        self.width = width
        self.beside = beside
        self.file = file

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        number, epochs = epoch + 1, self.params["epochs"]
        last = number == epochs or self.model.stop_training
        if number != 1 and number % self.every and not last:
            return
        logs = dict(logs or {})
        numbers = {"loss": logs.pop("loss", float("nan"))}
        if self.beside is not None:
            numbers.update(self.beside())
        numbers.update({k: v for k, v in logs.items() if self.only is None or k in self.only})
        columns = []
        for name, value in numbers.items():
            is_metric = name in logs and "loss" not in name
            columns.append(f"{name} {_aligned(value, 6 if is_metric else self.width)}")
        line = f"epoch {number:>{len(str(epochs))}}/{epochs}  " + "  ".join(columns)
        print(line.rstrip(), file=self.file or sys.stdout, flush=True)


def _aligned(value: float, width: int) -> str:
    """Write a number in ``width`` characters, whatever its size."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}".ljust(width)
    sign = value < 0
    decimals = width - len(f"{abs(value):.0f}") - 1 - sign
    if abs(value) >= 1e-3 and decimals >= 0:
        return f"{value:.{decimals}f}"
    written = f"{value:.{width - 6 - sign}e}"
    return written if len(written) <= width else f"{value:.{width - 7 - sign}e}"


class StopWhenClose(keras.callbacks.Callback):
    """Stops after the update in which every prediction was within ``tolerance`` of its target.

    The prediction is the one that the update starts from, as in a loop that predicts, updates and
    then looks whether that was good enough.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, tolerance: float) -> None:
        super().__init__()
        self.x, self.y, self.tolerance = x, y, tolerance
        self._close = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        distance = np.abs(self.model(self.x).numpy() - self.y)
        self._close = bool(np.all(distance <= self.tolerance))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._close:
            self.model.stop_training = True
