"""The rulers that the other files measure with can fail: they reject planted errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from compare.rounding.noise import Noisy
from manual.layers import Dense, Input

FAULTS: dict[str, Callable[[np.ndarray, tuple[int, ...]], np.ndarray]] = {
    "factor": lambda gradient, where: _with(gradient, where, gradient[where] * (1 + 1e-4)),
    "sign of one": lambda gradient, where: _with(gradient, where, -gradient[where]),
    "sign of all": lambda gradient, where: -gradient,
    "transpose": lambda gradient, where: gradient.T.copy(),
    "dropped": lambda gradient, where: np.zeros_like(gradient),
    "not a number": lambda gradient, where: _with(gradient, where, np.nan),
}


def _with(array: np.ndarray, where: tuple[int, ...], number: float) -> np.ndarray:
    changed = array.copy()
    changed[where] = number
    return changed


def _largest(array: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.abs(array).argmax(), array.shape))


def _everywhere(array: np.ndarray) -> list[tuple[int, ...]]:
    return list(np.ndindex(*array.shape))


@pytest.fixture
def dense(loaded: Any) -> Callable[..., Any]:
    """Return a function that runs a square Dense layer both ways."""

    def run(x: Any, W: Any, b: Any, dz: Any, exact: Any) -> tuple[Noisy, list[Noisy]]:
        layer = Dense(W.shape[1], name="square")
        layer(Input((W.shape[0],)))
        loaded(layer, [W, b], exact)
        z, saved = layer.forward(x if isinstance(x, Noisy) else exact(x))
        dx = layer.backward(exact(dz), saved)
        return z, [dx, *(parameter.gradient for parameter in layer.parameters)]

    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_the_judge_rejects_a_planted_error(
    fault: str, ruler: Any, on_tape: Any, dense: Any, generator: np.random.Generator
) -> None:
    x, W, b, dz = (
        generator.normal(size=shape).astype(ruler.precision)
        for shape in [(4, 4), (4, 4), (4,), (4, 4)]
    )
    actual_z, gradients = on_tape(lambda x, W, b: x @ W + b, [x, W, b], dz)
    by_hand, expected = dense(x, W, b, dz, ruler.exact)
    ruler.agrees(actual_z, by_hand)
    for actual, wanted in zip(gradients, expected, strict=True):
        ruler.agrees(actual, wanted)
        if fault == "transpose" and actual.ndim == 1:
            continue
        where = _everywhere(actual) if ruler.precision == "float64" else [_largest(actual)]
        for index in where:
            with pytest.raises(AssertionError, match="agrees=False"):
                ruler.agrees(FAULTS[fault](actual, index), wanted)


def test_the_judge_rejects_the_other_precision(ruler: Any) -> None:
    other = {"float32": "float64", "float64": "float32"}[ruler.precision]
    with pytest.raises(AssertionError, match=f"Keras computed in {other}"):
        ruler.agrees(np.ones(3, other), ruler.exact(np.ones(3)))


@pytest.mark.parametrize("along", [False, True], ids=["each", "along diagonals"])
@pytest.mark.parametrize("fault", FAULTS)
def test_central_differences_reject_a_planted_error(
    fault: str,
    along: bool,
    differences: Any,
    dense: Any,
    smooth_points: Any,
    generator: np.random.Generator,
) -> None:
    agree = partial(differences.agree_along, signs=generator) if along else differences.agree
    x, W, b, dz = (smooth_points(*shape) for shape in [(4, 4), (4, 4), (4,), (4, 4)])

    def function(points: list[Noisy]) -> Noisy:
        z, _ = dense(*points, dz, differences.exact)
        return (z * z * z * dz).sum()

    z, _ = dense(x, W, b, dz, differences.exact)
    _, gradients = dense(x, W, b, 3.0 * z * z * dz, lambda array: _noisy(array, differences.exact))
    agree(function, [x, W, b], gradients)
    for place, gradient in enumerate(gradients):
        if fault == "transpose" and gradient.ndim == 1:
            continue
        wrong = FAULTS[fault](gradient.value, _largest(gradient.value))
        planted = [*gradients[:place], Noisy(wrong, gradient.noise, unit=gradient.unit)]
        with pytest.raises(AssertionError, match=f"gradient {0 if along else place} is wrong"):
            agree(function, [x, W, b], [*planted, *gradients[place + 1 :]])


def _noisy(array: Any, exact: Any) -> Noisy:
    return array if isinstance(array, Noisy) else exact(array)


def test_central_differences_refuse_to_be_blunt(differences: Any) -> None:
    """Where rounding drowns the derivative the check says so instead of passing."""

    def function(points: list[Noisy]) -> Noisy:
        return (points[0] * 2.0**-30 + 1.0).sum()

    with pytest.raises(AssertionError, match="a blunt check"):
        differences.agree(function, [np.ones(2)], [differences.exact(np.full(2, 2.0**-30))])


def test_central_differences_are_exact_about_their_steps(differences: Any) -> None:
    with pytest.raises(AssertionError, match="points must be float32 numbers"):
        differences.agree(lambda points: points[0].sum(), [np.array([0.1])], [np.ones(1)])
