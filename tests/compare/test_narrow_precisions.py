"""Narrow and mixed precisions: noise is measured in what each layer computes in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import compare
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from compare.rounding.working_precision import SMALLEST, UNIT_ROUNDOFF, representation_error
from compare.twins.twin import twin_network

layers = keras.layers
POLICIES = ["mixed_bfloat16", "bfloat16", "float16"]


def only(name: str) -> pytest.MarkDecorator:
    """Let a test run under this policy alone."""
    return pytest.mark.parametrize("policy", [name], indirect=True)


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float32" if "mixed" in request.param else request.param)
    keras.config.set_dtype_policy(request.param)
    keras.utils.set_random_seed(0)
    yield request.param
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def table() -> tuple[keras.Model, Any, Any]:
    generator = np.random.default_rng(0)
    parts = [
        keras.Input((3,)),
        layers.Dense(16, "relu", name="first"),
        layers.Dense(1, name="last", kernel_regularizer="l2"),
    ]
    return keras.Sequential(parts), generator.normal(size=(16, 3)), generator.normal(size=(16, 1))


def images() -> tuple[keras.Model, Any, Any]:
    generator = np.random.default_rng(0)
    parts = [
        keras.Input((8, 8, 2)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
    ]
    x, y = generator.normal(size=(16, 8, 8, 2)), generator.integers(0, 3, 16)
    return keras.Sequential(parts), x, y


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_table(policy: str, optimizer: str) -> None:
    model, x, y = table()
    model.compile(optimizer, "mse")
    report = compare.lockstep(model, x, y, batch_size=8, epochs=2)
    report.raise_if_different()
    assert report.dtype == ("bfloat16 and float32" if "mixed" in policy else policy)


def test_images(policy: str) -> None:
    """In mixed precision the loss gets probabilities in float32, which have lost their logits."""
    model, x, y = images()
    model.compile("sgd", "sparse_categorical_crossentropy")
    network = twin_network(model)
    assert network.heads[0].from_logits == (policy != "mixed_bfloat16")
    compare.lockstep(model, x, y, batch_size=8, epochs=2).raise_if_different()


def test_a_last_layer_in_full_precision() -> None:
    """As Keras recommends for mixed precision: each layer has the noise of its own."""
    x = keras.Input((3,))
    wide = layers.Dense(4, "tanh", name="narrow", dtype="mixed_bfloat16")(x)
    model = keras.Model(x, layers.Dense(1, name="wide", dtype="float32")(wide))
    model.compile("sgd", "mse")
    reference = Reference(twin_network(model))
    units = dict(zip([one.name for one in reference.network.nodes], reference.units, strict=True))
    assert units["narrow"] == UNIT_ROUNDOFF["bfloat16"]
    assert units["wide"] == UNIT_ROUNDOFF["float32"]
    _, data, y = table()
    compare.lockstep(model, data, y, batch_size=8).raise_if_different()


def test_a_slip_is_found(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from manual.layers import Dense

    model, x, y = table()
    model.compile("sgd", "mse")
    own = Dense.backward

    def a_tenth_off(self: Any, dz: Any, saved: Any) -> Any:
        dx = own(self, dz, saved)
        if self.name == "last":
            self.kernel.gradient *= 1.1
        return dx

    monkeypatch.setattr(Dense, "backward", a_tenth_off)
    first = compare.lockstep(model, x, y, batch_size=8).first
    assert first is not None
    assert (first.phase, first.name) == ("weight gradient", "last/kernel")


def test_numbers_that_change_their_precision() -> None:
    narrow, wide = UNIT_ROUNDOFF["bfloat16"], UNIT_ROUNDOFF["float32"]
    exact = Noisy(np.array([0.1, 3.0]), unit=wide)
    rounded = exact.in_unit(narrow)  # 3 needs no rounding
    few = 6 * 2.0**-53  # a square, a quotient and two roots here, a root and a quotient there
    np.testing.assert_allclose(rounded.noise, [0.1 / np.sqrt(3), 0.0], rtol=few)
    back = rounded.in_unit(wide)
    passed = rounded.noise * narrow
    np.testing.assert_allclose(back.noise * wide, passed, rtol=few, atol=SMALLEST[wide])
    assert exact.in_unit(wide) is exact


def test_constants_below_the_normal_numbers_of_float16() -> None:
    error = representation_error(1e-7, UNIT_ROUNDOFF["float16"])
    assert error == pytest.approx(abs(1e-7 - float(np.float16(1e-7))) * 2.0**11)
    assert representation_error(0.5, UNIT_ROUNDOFF["float16"]) == 0.0


@only("mixed_float16")
def test_steps_that_overflow_are_skipped_on_both_sides(policy: str) -> None:
    """mixed_float16 begins with a loss scale of 2¹⁵, which is too much for this network."""
    model, x, y = images()
    model.compile("adam", "sparse_categorical_crossentropy")
    compare.lockstep(model, x * 40.0, y, batch_size=8, epochs=2).raise_if_different()
    scale = float(np.asarray(model.optimizer.dynamic_scale))
    assert scale < 2.0**15


@only("mixed_bfloat16")
def test_indices_keep_all_their_digits(policy: str) -> None:
    tokens = keras.Input((4,), dtype="int32")
    rows = layers.GlobalAveragePooling1D()(layers.Embedding(1000, 3)(tokens))
    model = keras.Model(tokens, layers.Dense(1, dtype="float32")(rows))
    model.compile("sgd", "mse")
    x = np.arange(255, 255 + 64).reshape(16, 4) * 3
    y = np.random.default_rng(0).normal(size=(16, 1))
    compare.lockstep(model, x, y, batch_size=8).raise_if_different()


NORMALIZATIONS = {
    "batch": lambda: layers.BatchNormalization(name="norm"),
    "renorm": lambda: layers.BatchNormalization(renorm=True, name="norm"),
    "layer": lambda: layers.LayerNormalization(name="norm"),
    "group": lambda: layers.GroupNormalization(2, name="norm"),
    "root mean square": lambda: layers.RMSNormalization(name="norm"),
}


def normalized(kind: str, scale: float) -> tuple[keras.Model, Any, Any]:
    """Return a small network whose gradients leave float16's range within the normalization."""
    keras.utils.set_random_seed(0)
    parts = [
        keras.Input((4, 6)),
        layers.Conv1D(4, 2),
        NORMALIZATIONS[kind](),
        layers.Flatten(),
        layers.Dense(3),
        layers.Activation("softmax", dtype="float32"),
    ]
    model = keras.Sequential(parts)
    model.compile("adam", "sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    return model, scale * generator.normal(size=(16, 4, 6)), generator.integers(0, 3, 16)


@only("mixed_float16")
@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_what_keras_upcasts_does_not_overflow_within(policy: str, kind: str) -> None:
    for scale in (0.01, 1.0):
        model, x, y = normalized(kind, scale)
        compare.lockstep(model, x, y, batch_size=4).raise_if_different()


@only("mixed_float16")
@pytest.mark.parametrize("kind", ["batch", "renorm", "layer", "group"])
def test_what_keras_upcasts_has_the_noise_of_float32(
    policy: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient that is off by 2⁻¹⁴ of itself, a fraction of a unit of float16, is found."""
    model, x, y = normalized(kind, 1.0)
    norm = type(next(one for one in twin_network(model).layers if one.name == "norm"))
    own = norm.backward

    def slightly_off(self: Any, dy: Any, saved: Any) -> Any:
        dx = own(self, dy, saved)
        self.parameters[0].gradient *= 1.0 + 2.0**-14
        return dx

    monkeypatch.setattr(norm, "backward", slightly_off)
    first = compare.lockstep(model, x, y, batch_size=4).first
    assert first is not None
    assert (first.phase, first.name) == ("weight gradient", "norm/gamma")


@only("mixed_float16")
@pytest.mark.parametrize("seed", range(3))
def test_a_mask_that_is_in_doubt_has_the_precision_of_what_it_masks(policy: str, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(8, 5, 8))
    x[:, 2] = 0.0
    parts = [layers.Dense(4, "relu"), layers.Masking(), layers.BatchNormalization()]
    last = [layers.GlobalAveragePooling1D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((5, 8)), *parts, *last])
    model.compile("sgd", "mse")
    compare.lockstep(model, x, generator.normal(size=(8, 2)), batch_size=4).raise_if_different()


def test_gradients_of_several_calls_are_rounded_each(policy: str) -> None:
    """A layer within TimeDistributed is called for each step."""
    parts = layers.Dense(4), layers.LayerNormalization()
    over_time = [layers.TimeDistributed(one) for one in parts]
    model = keras.Sequential([keras.Input((5, 8)), *over_time, layers.Flatten(), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(32, 5, 8)), generator.normal(size=(32, 2))
    compare.lockstep(model, x, y, batch_size=4).raise_if_different()
