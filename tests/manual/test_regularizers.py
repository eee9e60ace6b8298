"""Every regularizer: the penalty and its gradient equal Keras's, and the derivative is right."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from manual.registry import from_keras
from manual.regularizers import L1L2, OrthogonalRegularizer

CASES: dict[str, Any] = {
    "L1": lambda: keras.regularizers.L1(0.3),
    "L1, none": lambda: keras.regularizers.L1(0.0),
    "L2": lambda: keras.regularizers.L2(0.07),
    "L1L2": lambda: keras.regularizers.L1L2(0.1, 0.3),
    "L1L2, nothing": lambda: keras.regularizers.L1L2(),
    "L1L2, l1": lambda: keras.regularizers.L1L2(l1=0.1),
    "L1L2, l2": lambda: keras.regularizers.L1L2(l2=1e-3),
    "orthogonal": lambda: keras.regularizers.OrthogonalRegularizer(),
    "orthogonal, rows": lambda: keras.regularizers.OrthogonalRegularizer(0.7, "rows"),
    "orthogonal, columns": lambda: keras.regularizers.OrthogonalRegularizer(0.1, "columns"),
    "by name, l1": lambda: keras.regularizers.get("l1"),
    "by name, l2": lambda: keras.regularizers.get("l2"),
    "by name, L1L2": lambda: keras.regularizers.get("L1L2"),
    "by name, orthogonal": lambda: keras.regularizers.get("orthogonal_regularizer"),
}


def test_every_regularizer_is_tested_here(registered: Any) -> None:
    made = {keras.regularizers.serialize(make())["class_name"] for make in CASES.values()}
    assert set(registered("regularizer")) == made


def twin(case: str) -> tuple[Any, Any]:
    regularizer = CASES[case]()
    return regularizer, from_keras("regularizer", keras.regularizers.serialize(regularizer))


@pytest.mark.parametrize("shape", [(4, 3), (2, 5), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_equals_keras(
    case: str,
    shape: tuple[int, ...],
    ruler: Any,
    on_tape: Any,
    generator: np.random.Generator,
    found: Any,
) -> None:
    if "orthogonal" in case and len(shape) > 2:
        pytest.skip("Keras takes matrices only")
    if "orthogonal" in case and ruler.precision == "float64":
        pytest.skip(
            "Keras multiplies a float32 factor to float64 numbers, which TensorFlow refuses"
        )
    theirs, ours = twin(case)
    w = generator.normal(size=shape).astype(ruler.precision)
    penalty, gradients = on_tape(lambda tensor: theirs(tensor) + 0.0 * keras.ops.sum(tensor), [w])
    noisy = ruler.exact(w)
    expected = ours.forward(noisy)
    ruler.agrees(penalty, expected if expected.ndim == 0 else expected.sum(), "penalty")
    ruler.agrees(gradients[0], ours.backward(noisy), "gradient")
    found.agrees("regularizer", *told(theirs), ruler.precision, ruler.largest)


def told(regularizer: Any) -> tuple[str, dict[str, Any]]:
    """Return what a regularizer is in a record: its class and its options."""
    return type(regularizer).__name__, regularizer.get_config()


@pytest.mark.parametrize("case", CASES)
def test_derivative_is_that_of_the_penalty(
    case: str, differences: Any, smooth_points: Any, found: Any
) -> None:
    theirs, ours = twin(case)
    w = smooth_points(3, 4)
    gradient = ours.backward(differences.exact(w))
    differences.agree(lambda points: ours.forward(points[0]), [w], [gradient])
    found.is_derived("regularizer", *told(theirs))


def test_by_arithmetic() -> None:
    w = np.array([[3.0, 0.0], [3.0, 3.0]])
    assert L1L2(0.5, 0.25).forward(w) == 0.5 * 9 + 0.25 * 27
    np.testing.assert_array_equal(L1L2(0.5, 0.25).backward(w), [[2.0, 0.0], [2.0, 2.0]])
    # Two rows at 45°: |cos| = √½, one pair. Turning the first row towards the second
    # changes the cosine by sin 45° / 3 for each unit, across the row.
    regularizer = OrthogonalRegularizer(0.5)
    few = 8 * np.finfo(float).eps
    np.testing.assert_allclose(regularizer.forward(w), 0.5 * np.sqrt(0.5), rtol=few)
    gradient = regularizer.backward(w)
    np.testing.assert_allclose(gradient[0], [0.0, 0.5 * np.sqrt(0.5) / 3.0], rtol=few, atol=few)
    np.testing.assert_allclose(
        OrthogonalRegularizer(0.5, "columns").backward(w.T), gradient.T, rtol=few, atol=few
    )


@pytest.mark.parametrize("case", ["L1", "L2", "orthogonal, rows"])
@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_a_wrong_gradient_is_seen(
    case: str, factor: float, ruler: Any, generator: np.random.Generator
) -> None:
    _, ours = twin(case)
    w = generator.normal(size=(4, 3)).astype(ruler.precision)
    expected = ours.backward(ruler.exact(w))
    with pytest.raises(AssertionError, match="gradient"):
        ruler.agrees((factor * expected.value).astype(ruler.precision), expected, "gradient")
