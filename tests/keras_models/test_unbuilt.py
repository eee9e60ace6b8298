"""A step is traced once: what Keras would make within it is there beforehand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from keras_models.recorder import Recorder
from keras_models.stepper import Stepper

X, Y = np.ones((6, 2), "float32"), np.ones((6, 1), "float32")


def with_metrics() -> tuple[keras.Model, Any]:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model, Y


def of_several_outputs() -> tuple[keras.Model, Any]:
    x = keras.Input((2,))
    model = keras.Model(x, {name: keras.layers.Dense(1, name=name)(x) for name in ("a", "b")})
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model, {"a": Y, "b": Y}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note whenever the step of ``fit`` is traced, and the tape's."""
    seen: list[str] = []

    def noting(owner: Any, method: str, name: str) -> None:
        own = getattr(owner, method)

        def step(*given: Any) -> Any:
            seen.append(name)
            return own(*given)

        monkeypatch.setattr(owner, method, step)

    noting(keras.Model, "train_step", "fit")
    noting(Stepper, "_step", "tape")
    return seen


@pytest.mark.parametrize("build", [with_metrics, of_several_outputs])
def test_each_step_is_traced_once(build: Any, traced: list[str]) -> None:
    model, y = build()
    records: list[Any] = []
    recorder = Recorder(records.append, beside=Stepper(model))
    model.fit(X, y, batch_size=4, verbose=0, callbacks=[recorder])
    assert len(records) == 2
    assert sorted(traced) == ["fit", "tape"]


@pytest.mark.parametrize("build", [with_metrics, of_several_outputs])
def test_the_numbers_are_those_of_keras(build: Any) -> None:
    logs = []
    for callbacks in ([], [Recorder(lambda record: None)]):
        keras.utils.set_random_seed(0)
        model, y = build()
        logs.append(model.fit(X, y, batch_size=4, verbose=0, callbacks=callbacks).history)
    assert logs[0] == logs[1]
