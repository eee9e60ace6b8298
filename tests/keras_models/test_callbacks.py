"""The callbacks look on: what they report is true, and the training doesn't notice them."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import keras
import numpy as np
import pytest

from keras_models import EpochLoss, Recorder, StepRecord
from keras_models.callbacks import StopWhenClose

MODES = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
}


@pytest.fixture
def set_precision() -> Any:
    """Return a function that sets Keras's precision; what was set before comes back afterwards."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()

    def use(dtype: str) -> None:
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)

    yield use
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def compiled(optimizer: Any = "sgd", **options: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "relu", name="hidden"),
            keras.layers.Dense(3, "softmax", name="class"),
        ]
    )
    model.compile(
        optimizer,
        "categorical_crossentropy",
        **{"metrics": ["accuracy"], "run_eagerly": False, "jit_compile": False, **options},
    )
    return model


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw samples whose first number is their row, so that a row can be recognised."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(samples, 4))
    x[:, 0] = np.arange(samples) / samples
    x = x.astype(keras.config.floatx())
    return x, np.eye(3, dtype=x.dtype)[generator.integers(0, 3, samples)]


# ---------------------------------------------------------------------- Recorder


@pytest.mark.parametrize(
    ("dtype", "mode", "optimizer", "samples"),
    [
        ("float32", "graph", "adam", 22),
        ("float64", "graph", "momentum", 22),
        ("float64", "eager", "adam", 22),
        ("float32", "eager", "momentum", 22),
        ("float32", "xla", "adam", 20),
    ],
)
def test_fit_ends_with_the_same_bits(
    dtype: str, mode: str, optimizer: str, samples: int, set_precision: Any
) -> None:
    set_precision(dtype)
    x, y = data(samples)
    ends = []
    for callbacks in ([], [Recorder(lambda record: None)]):
        model = compiled(OPTIMIZERS[optimizer](), **MODES[mode])
        history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
        ends.append([variable.numpy() for variable in model.variables])
        ends[-1] += [history.history["loss"], history.history["accuracy"]]
    for alone, recorded in zip(*ends, strict=True):
        np.testing.assert_array_equal(alone, recorded)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_batches_are_fits_own(mode: str) -> None:
    x, y = data(22)
    records: list[StepRecord] = []
    compiled(**MODES[mode]).fit(
        x, y, batch_size=8, epochs=2, verbose=0, callbacks=[Recorder(records.append)]
    )
    assert [(record.epoch, record.step) for record in records] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 4),
        (2, 5),
        (2, 6),
    ]
    assert [len(record.x) for record in records] == [8, 8, 6] * 2
    for epoch in (1, 2):
        seen = [record for record in records if record.epoch == epoch]
        rows = np.concatenate([np.rint(record.x[:, 0] * 22).astype(int) for record in seen])
        np.testing.assert_array_equal(np.sort(rows), np.arange(22))
        np.testing.assert_array_equal(np.concatenate([record.x for record in seen]), x[rows])
        np.testing.assert_array_equal(np.concatenate([record.y for record in seen]), y[rows])
        assert not np.array_equal(rows, np.arange(22))


def test_records_join_without_a_gap() -> None:
    """What a step ends with is what the next one begins with."""
    x, y = data(20)
    records: list[StepRecord] = []
    model = compiled(OPTIMIZERS["adam"]())
    start = model.get_weights()
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[Recorder(records.append)])
    names = ["hidden/kernel", "hidden/bias", "class/kernel", "class/bias"]
    for name, weight in zip(names, start, strict=True):
        np.testing.assert_array_equal(records[0].before[name], weight)
        np.testing.assert_array_equal(
            records[0].slots_before["velocity"][name], np.zeros_like(weight)
        )
    for one, following in itertools.pairwise(records):
        for name in names:
            np.testing.assert_array_equal(one.after[name], following.before[name])
            for slot in ("momentum", "velocity"):
                np.testing.assert_array_equal(
                    one.slots_after[slot][name], following.slots_before[slot][name]
                )
    for name, weight in zip(names, model.get_weights(), strict=True):
        np.testing.assert_array_equal(records[-1].after[name], weight)
    assert [record.iterations for record in records] == [0, 1, 2]
    assert {record.learning_rate for record in records} == {float(np.float32(0.01))}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradients_are_those_that_were_applied(dtype: str, set_precision: Any) -> None:
    """With a learning rate of ½, w − ½ g is exact but for the last subtraction."""
    set_precision(dtype)
    x, y = data(20)
    records: list[StepRecord] = []
    model = compiled(keras.optimizers.SGD(0.5))
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[Recorder(records.append)])
    assert len(records) == 3
    for record in records:
        assert list(record.gradients) == list(record.before)
        for name, gradient in record.gradients.items():
            assert gradient.dtype == dtype
            expected = record.before[name] - gradient * gradient.dtype.type(0.5)
            np.testing.assert_array_equal(record.after[name], expected)


def test_the_loss_is_that_of_the_batch_before_the_update() -> None:
    x, y = data(8)
    records: list[StepRecord] = []
    model = compiled(OPTIMIZERS["adam"]())
    history = model.fit(
        x, y, batch_size=8, epochs=3, verbose=0, callbacks=[Recorder(records.append)]
    )
    assert [float(record.loss) for record in records] == history.history["loss"]


def test_sample_weights_come_with_the_batch() -> None:
    x, y = data(20)
    weights = np.arange(20, dtype="float32")
    records: list[StepRecord] = []
    compiled().fit(
        x, y, sample_weight=weights, batch_size=8, verbose=0, callbacks=[Recorder(records.append)]
    )
    for record in records:
        np.testing.assert_array_equal(record.sample_weight, np.rint(record.x[:, 0] * 20))


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_model_gets_its_own_training_step_back(mode: str) -> None:
    x, y = data(16)
    model = compiled(**MODES[mode])
    own = model.train_step
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[Recorder(lambda record: None)])
    assert "train_step" not in model.__dict__
    assert model.train_step == own
    assert "apply" not in model.optimizer.__dict__
    assert "compute_loss" not in model.__dict__
    steps: list[int] = []
    recorder = Recorder(lambda record: steps.append(record.step))
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[recorder])
    model.fit(x, y, batch_size=8, verbose=0)
    assert steps == [1, 2]


def test_restore_after_a_fit_that_failed() -> None:
    x, y = data(16)
    model = compiled()

    def fail(record: StepRecord) -> None:
        raise KeyboardInterrupt

    recorder = Recorder(fail)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[recorder])
    recorder.restore()
    assert "train_step" not in model.__dict__
    before = model.get_weights()
    model.fit(x, y, batch_size=8, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])
    recorder.restore()  # a second time does no harm
    assert model.train_function is not None


# ---------------------------------------------------------------------- EpochLoss


def printed(epochs: int, **options: Any) -> list[str]:
    x, y = data(8)
    out = io.StringIO()
    callbacks = [EpochLoss(file=out, **options.pop("loss", {})), *options.pop("callbacks", [])]
    compiled(run_eagerly=True).fit(x, y, epochs=epochs, verbose=0, callbacks=callbacks, **options)
    return out.getvalue().splitlines()


def rounds_to(shown: str, value: float) -> bool:
    """Say whether the digits that are shown are the number's own, the last one rounded."""
    last_digit = Decimal(shown).as_tuple().exponent
    return abs(Decimal(shown) - Decimal(value)) <= Decimal(5).scaleb(int(last_digit) - 1)


def test_every_epoch_has_a_line() -> None:
    x, y = data(8)
    out = io.StringIO()
    history = compiled(run_eagerly=True).fit(
        x, y, epochs=12, verbose=0, callbacks=[EpochLoss(file=out)]
    )
    lines = out.getvalue().splitlines()
    assert len(lines) == 12
    pattern = re.compile(r"epoch +(\d+)/12  loss ([\d.e+-]+) +accuracy ([\d.e+-]+)")
    for number, line in enumerate(lines, start=1):
        found = pattern.fullmatch(line)
        assert found is not None, line
        assert int(found[1]) == number
        assert rounds_to(found[2], history.history["loss"][number - 1])
        assert rounds_to(found[3], history.history["accuracy"][number - 1])
    assert len({line.index("accuracy") for line in lines}) == 1


def test_some_epochs_and_always_the_last() -> None:
    lines = printed(11, loss={"every": 4})
    assert [line.split()[1] for line in lines] == ["1/11", "4/11", "8/11", "11/11"]


def test_the_last_epoch_of_a_training_that_is_stopped() -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 5

    x, y = data(8)
    out = io.StringIO()
    callbacks = [Stop(), EpochLoss(every=4, file=out)]
    compiled(run_eagerly=True).fit(x, y, epochs=20, verbose=0, callbacks=callbacks)
    assert [line.split()[:2] for line in out.getvalue().splitlines()] == [
        ["epoch", "1/20"],
        ["epoch", "4/20"],
        ["epoch", "6/20"],
    ]


def test_numbers_beside_keras_own() -> None:
    lines = printed(2, loss={"beside": lambda: {"by hand": 0.25}, "only": ()})
    for line in lines:
        assert re.fullmatch(r"epoch \d/2  loss [\d.]+ +by hand 0.250*", line)


@pytest.mark.parametrize("value", [0.0, -0.5, 0.123456789, 1e-5, -1e-5, 1e7, 3e38, np.nan, np.inf])
def test_columns_stay_aligned_whatever_the_size(value: float) -> None:
    columns = []
    for loss in (1.0, value):
        out = io.StringIO()
        callback = EpochLoss(file=out)
        callback.set_params({"epochs": 100})
        callback.set_model(compiled(run_eagerly=True))
        callback.on_epoch_end(0, {"loss": loss, "accuracy": 0.5})
        line = out.getvalue().rstrip()
        assert line.startswith("epoch   1/100  loss ")
        assert re.search(r"accuracy 0\.50*$", line)
        columns.append(line.index("accuracy"))
    assert columns[0] == columns[1]


# ---------------------------------------------------------------------- StopWhenClose


def test_training_stops_once_every_prediction_is_close() -> None:
    """The line y = w x with w from 1 towards 0: w is halved at every step of x = 1, η = ¼."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0]])])
    model.compile(keras.optimizers.SGD(0.25), "mse", run_eagerly=True)
    x, y = np.array([[1.0]], "float32"), np.array([[0.0]], "float32")
    history = model.fit(x, y, epochs=50, verbose=0, callbacks=[StopWhenClose(x, y, 0.1)])
    # Predictions 1, ½, ¼, ⅛, 1/16: the fifth update starts from the first that is close.
    assert history.history["loss"] == [4.0**-n for n in range(5)]
    assert model.get_weights()[0] == 2.0**-5
