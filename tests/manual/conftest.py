"""The two rulers of the tests of single pieces, and the draws they share.

Neither ruler has a tolerance that anybody picked. Against Keras the judge measures in the rounding
noise of the hand-written piece itself; against central differences the bound is derived in
`Differences`. The tests in ``test_rulers.py`` prove that both reject a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from found import Found

from compare.rounding.judge import BOUND, judge
from compare.rounding.noise import Noisy
from compare.rounding.reference import UNIT_ROUNDOFF
from keras_models.losses import loss_config
from manual import registry
from manual.functions import OF_OPERATIONS
from manual.heads import as_target
from manual.registry import from_keras

SEED = 20240229
"""Any other will do; this one is here so that a failure comes back."""

Scalar = Callable[[list[Noisy]], Noisy]


class Ruler:
    """Holds what Keras computed in one precision against the hand-written piece's own noise.

    Its ``largest`` is the largest distance so far, in standard deviations of that noise.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.unit = UNIT_ROUNDOFF[precision]
        self.largest = 0.0

    def exact(self, array: Any) -> Noisy:
        """Take an array as an input: its numbers carry no noise yet."""
        return Noisy(np.array(array), unit=self.unit)

    def agrees(self, actual: Any, expected: Noisy, what: str = "") -> None:
        """Assert that every element lies within the judge's bound, in the right precision."""
        actual = np.asarray(actual)
        assert actual.dtype == self.precision, f"{what}: Keras computed in {actual.dtype}"
        verdict = judge(actual, expected)
        self.largest = max(self.largest, verdict.distance)
        assert verdict.agrees, f"{what}: {verdict}"


class Differences:
    """Holds a hand-written derivative against float64 central differences of its own forward map.

    The quotient is D(h) = (F(x + h) − F(x − h)) / 2h for a scalar function F. It differs from the
    derivative F′ by three errors:

    - Truncation. D(h) = F′ + a h² + b h⁴ + …, with a = F‴/6. Richardson: D(2h) − D(h) =
      3 a h² + 15 b h⁴. While |b| h² ≤ |a| / 8 that is at least (3 − 15/8) |a| h² = 9/8 |a| h²,
      which is at least |a h² + b h⁴|: so the difference of the two quotients bounds it. Where the
      third derivative vanishes, b h⁴ is left, some 2⁻⁷² of the function's scale, far below the
      next term, which is some 2⁻³⁵ of it.
    - Rounding of F. Evaluated on `Noisy` numbers, F says how far off each of its values may be;
      divided by 2h, that is the standard deviation of the quotient's error. As everywhere in
      this project `BOUND` deviations of it are granted: to D(h), and to D(2h), which stands in
      the estimate of the truncation.
    - Rounding of the derivative that is being checked: `BOUND` deviations of its own noise.

    Truncation grows as h², rounding falls as 1/h, so that h = u^(1/3) of the scale on which F
    varies is where both are small: 2⁻¹⁸ of it, as a power of two. Points are rounded to float32,
    which leaves 29 bits free, so that x ± h and x ± 2h are exact.

    A bound may be honest and useless. So the test also demands that the bound at the largest
    element is below a 10⁻⁴th of it: such an error would not have passed.
    """

    SHARPNESS = 1e-4
    unit = UNIT_ROUNDOFF["float64"]

    def exact(self, array: Any) -> Noisy:
        return Noisy(np.array(array), unit=self.unit)

    def agree(
        self,
        function: Scalar,
        points: Sequence[np.ndarray],
        gradients: Sequence[Noisy],
        scales: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Assert that the gradients are those of the function at the points.

        Parameters
        ----------
        function : callable
            From a list of arrays, like ``points``, to a scalar.
        points : arrays of float32 numbers
        gradients : arrays of the same shapes
        scales : arrays of the same shapes, optional
            Over which distance the function varies (to a pole or a kink, say); by default the
            largest number in each array.
        """
        for place, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
            assert np.array_equal(point, np.float32(point)), "points must be float32 numbers"
            assert gradient.shape == point.shape
            scale = np.full(point.shape, np.abs(point).max()) if scales is None else scales[place]
            wanted, bound = np.empty(point.shape), np.empty(point.shape)
            for index in np.ndindex(*point.shape):
                h = 2.0 ** (np.floor(np.log2(scale[index])) - 18)
                near = self._quotient(function, points, place, index, h)
                far = self._quotient(function, points, place, index, 2 * h)
                noise = near.noise + far.noise + gradient.noise[index]
                wanted[index] = near.value
                bound[index] = abs(far.value - near.value) + BOUND * self.unit * noise
            error = np.abs(gradient.value - wanted)
            assert (error <= bound).all(), (
                f"gradient {place} is wrong at {np.argwhere(error > bound).tolist()}:\n"
                f"by hand {gradient.value}\ncentral difference {wanted}\nbound {bound}"
            )
            if wanted.any():
                largest = np.unravel_index(np.abs(wanted).argmax(), wanted.shape)
                assert bound[largest] < self.SHARPNESS * abs(wanted[largest]), "a blunt check"

    def agree_along(
        self,
        function: Scalar,
        points: Sequence[np.ndarray],
        gradients: Sequence[Noisy],
        signs: np.random.Generator,
    ) -> None:
        """Assert the same of each array as a whole, moved along two drawn diagonals.

        F(x + t s) with every s = ±1 has the derivative Σ s ∂F/∂x in t: two numbers for an array,
        where `agree` moves every element by itself. The largest of all has to be sharp.
        """
        assert all(np.array_equal(point, np.float32(point)) for point in points)
        ways, slopes, scales = [], [], []
        for place, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
            for _ in range(2 if point.size > 1 else 1):
                s = signs.choice([-1.0, 1.0], point.shape)
                ways.append((place, s))
                slopes.append((gradient * s).sum())
                scales.append(np.abs(point).max())

        def along(t: Sequence[Noisy]) -> Noisy:
            moved = list(points)
            for (place, s), step in zip(ways, t[0].value, strict=True):
                moved[place] = moved[place] + step * s  # exact, as in `agree`
            return function([self.exact(array) for array in moved])

        slope = Noisy(
            np.array([one.value for one in slopes]),
            np.array([one.noise for one in slopes]),
            unit=self.unit,
        )
        self.agree(along, [np.zeros(len(ways))], [slope], [np.array(scales)])

    def _quotient(
        self, function: Scalar, points: Sequence[np.ndarray], place: int, index: Any, h: float
    ) -> Noisy:
        ends = []
        for sign in (1.0, -1.0):
            moved = [np.array(point, np.float64) for point in points]
            moved[place][index] += sign * h
            assert moved[place][index] - points[place][index] == sign * h, "the step is rounded"
            ends.append(function([self.exact(array) for array in moved]))
        return (ends[0] - ends[1]) / (2.0 * h)


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest) -> Iterator[Found]:
    """Collect what agrees, and how closely; with ``--record`` it is kept."""
    found = Found()
    yield found
    if request.config.getoption("--record"):
        found.write()


@pytest.fixture
def ruler(precision: str) -> Ruler:
    return Ruler(precision)


@pytest.fixture
def differences() -> Differences:
    return Differences()


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(SEED)


@pytest.fixture
def smooth_points(generator: np.random.Generator) -> Callable[..., np.ndarray]:
    """Return a function that draws points of either sign, away from 0 where kinks lie.

    Between 1/16 and 3: a step of 2⁻¹⁸ of the largest, doubled, is far too small to reach a kink.
    """

    def draw(*shape: int) -> np.ndarray:
        sizes = generator.uniform(1 / 16, 3.0, shape)
        signed = sizes * generator.choice([-1.0, 1.0], shape)
        return signed.astype(np.float32).astype(np.float64)

    return draw


@pytest.fixture
def loaded() -> Callable[..., Any]:
    """Return a function that gives a layer its weights, on numbers that carry noise."""

    def load(layer: Any, weights: Sequence[Any], exact: Callable[[Any], Noisy]) -> Any:
        for parameter, weight in zip(layer.parameters, weights, strict=True):
            assert parameter.shape == weight.shape
            parameter.value = weight if isinstance(weight, Noisy) else exact(weight)
            parameter.gradient = exact(np.zeros(parameter.shape))
        return layer

    return load


@pytest.fixture
def registered() -> Callable[[str], dict[str, type]]:
    """Return a function that lists the package's own twins of one kind by Keras's names.

    But for those of a user's own functions, which aren't Keras's: tests/compare/ has them.
    """

    def of_kind(kind: str) -> dict[str, type]:
        return {
            name: twin
            for (family, name), twin in registry._twins.items()
            if family == kind and twin.__module__.startswith("manual.") and name != OF_OPERATIONS
        }

    return of_kind


@pytest.fixture
def on_tape() -> Callable[..., tuple[np.ndarray, list[np.ndarray]]]:
    """Return a function that runs Keras under a GradientTape: values, and gradients of all."""

    def run(
        function: Callable[..., Any],
        arrays: Sequence[np.ndarray],
        upstream: np.ndarray | None = None,
        weights: Sequence[Any] = (),
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        with tf.GradientTape() as tape:
            tensors = [tf.constant(array) for array in arrays]
            tape.watch(tensors)
            value = function(*tensors)
        gradients = tape.gradient(
            value, [*tensors, *weights], upstream, tf.UnconnectedGradients.ZERO
        )
        return value.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]

    return run


@pytest.fixture
def compare_loss(ruler: Ruler, on_tape: Callable[..., Any], found: Found) -> Callable[..., None]:
    """Return a function that holds a Keras loss, value and gradient, against its twin.

    Of a loss that is left a vector each number is compared; it trains as its sum does.
    """

    def compare(loss: Any, y: Any, p: Any, weight: Any = None, what: str = "") -> None:
        y, p = y.astype(ruler.precision), p.astype(ruler.precision)
        weight = None if weight is None else weight.astype(ruler.precision)
        values = np.asarray(loss(y, tf.constant(p), sample_weight=weight))
        _, (actual_gradient,) = on_tape(
            lambda tensor: tf.reduce_sum(loss(y, tensor, sample_weight=weight)), [p]
        )
        by_hand = from_keras("loss", loss_config(loss))
        noisy = ruler.exact(p)
        with np.errstate(all="ignore"):
            expected, saved = by_hand.forward(as_target(y, noisy), noisy, sample_weight=weight)
            gradient = by_hand.backward(saved)
        ruler.agrees(values, expected, f"{what} loss")
        ruler.agrees(actual_gradient, gradient, f"{what} gradient")
        name, options = type(loss).__name__, loss_config(loss)["config"]
        found.agrees("loss", name, options, ruler.precision, ruler.largest)

    return compare
