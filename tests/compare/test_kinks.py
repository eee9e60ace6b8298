"""At a kink either side's derivative is right: listed, and never an alarm; beyond it is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, check_gradients, lockstep
from compare.rounding.judge import judge_at_kinks
from compare.rounding.noise import Noisy, resolved
from manual import losses
from manual.activations import ReLU

Model = Callable[..., keras.Model]
ONES, ZEROS = np.ones((4, 2)), np.zeros((4, 2))


def at_zero(model_of: Model, **options: Any) -> keras.Model:
    """Return a network whose hidden pre-activations are exactly 0 for an input of zeros."""
    layers = keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2, name="out")
    model = model_of(2, *layers, **options)
    model.get_layer("hidden").bias.assign([0.0, 0.0, 0.5])
    return model


def steep(slope: float) -> Callable[..., Any]:
    """Return ReLU's derivative with another value at 0."""
    return lambda self, da, z, a: da * (1.0 * (z > 0.0) + slope * (1.0 * (z >= 0.0) - (z > 0.0)))


@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_another_derivative_of_relu_at_0_is_listed(
    slope: float, precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReLU, "backward", steep(slope))
    report = lockstep(at_zero(model_of), ZEROS, ONES, batch_size=4)
    assert report.ok, str(report.first)
    told = "activation gradient · hidden/pre_activation (GradientTape): 8 elements lie at a kink"
    assert any(line.startswith(told) for line in report.kinks)
    assert report.as_dict()["kinks"] == report.kinks


@pytest.mark.parametrize("slope", [-0.1, 1.1, 2.0])
def test_what_is_no_subgradient_is_an_alarm(
    slope: float, precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReLU, "backward", steep(slope))
    first = lockstep(at_zero(model_of), ZEROS, ONES, batch_size=4).first
    assert first is not None
    assert (first.phase, first.name) == ("activation gradient", "hidden/pre_activation")
    assert first.diagnosis is not None
    # A central difference lies halfway between the derivatives of both sides, with neither.
    assert str(first.diagnosis.ruling) == "cannot decide here: the loss has a kink here"


def test_a_fault_beside_a_kink_is_an_alarm(
    precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third unit is at no kink: the factor 1.001 there doesn't hide behind the others."""
    wrong = steep(1.0)
    monkeypatch.setattr(ReLU, "backward", lambda s, da, z, a: wrong(s, da, z, a) * 1.001)
    first = lockstep(at_zero(model_of), ZEROS, ONES, batch_size=4).first
    assert first is not None
    assert (first.phase, first.name) == ("activation gradient", "hidden/pre_activation")


@pytest.mark.parametrize("sign_of_0", [-1.0, 0.3, 1.0])
def test_the_absolute_error_at_0(
    sign_of_0: float, precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def values_gradient(self: Any, dv: Any, saved: Any) -> Any:
        sign = np.sign(saved) + sign_of_0 * (1.0 * (saved >= 0.0) - (saved > 0.0))
        return dv[..., None] * sign / saved.shape[-1]

    monkeypatch.setattr(losses.MeanAbsoluteError, "values_gradient", values_gradient)
    model = model_of(2, keras.layers.Dense(2, name="out"), loss="mae")
    model.get_layer("out").bias.assign([0.0, 0.25])
    report = lockstep(model, ZEROS, ZEROS, batch_size=4)
    assert report.ok, str(report.first)
    assert any(line.startswith("activation gradient · out") for line in report.kinks)


def gradients(model: keras.Model, slope: float, factor: float = 1.0) -> list[np.ndarray]:
    """Return a student's gradients for zeros in and ones wanted, with a slope of his own at 0."""
    W, b, V, c = (np.asarray(weight, np.float64) for weight in model.get_weights())
    z = ZEROS @ W + b
    h = np.maximum(z, 0.0)
    dp = 2.0 * (h @ V + c - ONES) / ONES.size * factor
    dz = (dp @ V.T) * np.where(z > 0, 1.0, np.where(z == 0, slope, 0.0))
    return [ZEROS.T @ dz, dz.sum(axis=0), h.T @ dp, dp.sum(axis=0)]


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_a_submission_with_another_derivative_at_0(
    slope: float, precision: str, model_of: Model
) -> None:
    model = at_zero(model_of)
    report: Report = check_gradients(model, ZEROS, ONES, gradients(model, slope))
    assert report.ok, str(report.first)
    listed = [line.split(":")[0] for line in report.kinks]
    assert listed == ([] if slope == 0.0 else ["weight gradient · hidden/bias (submission)"])


@pytest.mark.parametrize(("slope", "factor"), [(1.5, 1.0), (1.0, 2.0)])
def test_a_wrong_submission_at_a_kink(
    slope: float, factor: float, precision: str, model_of: Model
) -> None:
    model = at_zero(model_of)
    report = check_gradients(model, ZEROS, ONES, gradients(model, slope, factor))
    assert not report.ok


def test_whether_a_number_is_a_constant_is_no_kink() -> None:
    x = Noisy(np.array([0.0, 1.0]), unit=2.0**-24)
    for way in (False, True):
        with resolved(way):
            np.testing.assert_array_equal(x != 0.0, [False, True])
            np.testing.assert_array_equal(x == 0.0, [True, False])
            np.testing.assert_array_equal(x > 0.0, [way, True])
            np.testing.assert_array_equal(np.sign(x).value, [1.0 if way else -1.0, 1.0])


@pytest.mark.parametrize(
    ("shares", "right"),
    [([3.0, 0.0], True), ([0.0, 3.0], True), ([1.5, 1.5], True), ([3.0, 3.0], False)],
)
def test_who_is_the_largest_of_equals(shares: list[float], right: bool) -> None:
    """Of two equal numbers in a window either gets the gradient, or both a share; not both all."""
    exact = [Noisy(np.array(one), unit=2.0**-24) for one in ([3.0, 0.0], [0.0, 0.0], [3.0, 3.0])]
    verdict = judge_at_kinks(shares, exact[0], exact[1:], between=True, shared_out=True)
    assert (verdict is not None) == right


def test_masks_are_what_they_were_after_kinks_were_looked_at(model_of: Model) -> None:
    """The loss's cause is told from Keras's own mask, whatever was asked in between."""
    inputs = keras.Input((3, 2))
    y = keras.layers.Dense(2, name="out")(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, y)
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.ones((4, 3, 2))
    x[:2, 1:] = 0.0
    right = losses.Loss.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses.Loss, "backward", lambda self, saved: right(self, saved) * (8 / 12))
        first = lockstep(model, x, np.ones((4, 3, 2)), batch_size=4).first
    assert first is not None and first.diagnosis is not None
    told = "the mean is taken over all steps, masked ones too"
    assert first.diagnosis.causes[0].sentence == told, str(first)
