"""What the tests of data share: the same training by ``fit`` alone, and in lock-step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from compare import Report, lockstep


def alike(build: Callable[[], keras.Model], data: Callable[[], Any], **options: Any) -> Report:
    """Train a model by ``fit`` alone and another in lock-step; all that they become is the same.

    Parameters
    ----------
    build : callable
        Makes the model, always the same.
    data : callable
        Makes the arguments of ``fit`` by position: a generator can be used only once.
    **options
        For both; a callable stands for what it makes.
    """
    models, logs = [], []
    report = Report("", "")
    for train in (keras.Model.fit, lockstep):
        keras.utils.set_random_seed(1)
        model = build()
        keras.utils.set_random_seed(2)
        made = {name: one() if callable(one) else one for name, one in options.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of data that runs out
            if train is lockstep:
                report = lockstep(model, *data(), **made)
                logs.append(report.history[-1].keras)
            else:
                history = model.fit(*data(), verbose=0, **made).history
                logs.append({name: values[-1] for name, values in history.items()})
        models.append([v.numpy() for v in (*model.variables, *model.optimizer.variables)])
    for alone, followed in zip(*models, strict=True):
        np.testing.assert_array_equal(alone, followed)
    for name, value in logs[1].items():
        assert np.float64(logs[0][name]) == value, name
    assert report.ok, str(report.first)
    return report


def forms(kind: str = "lists", **options: Any) -> keras.Model:
    """Build a model of two inputs and two outputs, in lists or in dicts, that drops and keeps."""
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    hidden = keras.layers.Concatenate(name="join")([left, right])
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    hidden = keras.layers.Dropout(0.25, name="drop")(hidden)
    number = keras.layers.Dense(2, name="number")(hidden)
    kinds = keras.layers.Dense(3, "softmax", name="kinds")(hidden)
    losses: Any = ["mse", "sparse_categorical_crossentropy"]
    if kind == "dicts":
        losses = {"size": losses[0], "class": losses[1]}
        outputs = {"size": number, "class": kinds}
        model = keras.Model({"left": left, "right": right}, outputs)
    else:
        model = keras.Model([right, left], [number, kinds])
    model.compile(keras.optimizers.Adam(0.01), losses, **options)
    return model


def plain(outputs: int = 2, last: str = "linear", loss: Any = "mse", **options: Any) -> keras.Model:
    """Build a small model with one input that drops and keeps."""
    model = keras.Sequential(
        [
            keras.Input((3,), name="given"),
            keras.layers.Dense(4, "tanh", name="hidden"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.25, name="drop"),
            keras.layers.Dense(outputs, last, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss, **options)
    return model
