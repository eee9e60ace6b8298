"""What is attached to a layer's weights and outputs: regularizers and constraints, of every layer.

They act outside of the layer's map: a penalty goes into the loss, and a weight is projected after
its update. All that a class of Keras takes are attached at once, with two values each.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import keras
import numpy as np
import pytest
from calling import by_hand_called, called, compiled, gradients_of, is_spread, noisy, variables_of
from found import Found
from sweep import ALL, Configuration

from compare.coverage.public import options
from compare.rounding.noise import Noisy

ATTACHED: dict[str, list[Any]] = {
    "_regularizer": [keras.regularizers.L1L2(0.3, 0.07), keras.regularizers.L2(0.05)],
    "_constraint": [keras.constraints.NonNeg(), keras.constraints.MinMaxNorm(0.5, 0.7, 0.3)],
}
FIRST: dict[str, Configuration] = {}
for _one in ALL:
    FIRST.setdefault(_one.table.name, _one)


def attachments(name: str, place: int) -> dict[str, Any]:
    """Return all options of a class that attach something, each with one of its values."""
    return {
        option: values[place]
        for option in options(getattr(keras.layers, name))
        for suffix, values in ATTACHED.items()
        if option.endswith(suffix)
    }


def both(name: str, place: int, twin_of: Any) -> tuple[Any, Any, Mapping[str, Any]]:
    """Return Keras's layer with all that is attached to it, its twin, and what is attached.

    Keras can't write down what a layer gets by ``**kwargs``, where that isn't plain.
    """
    one, attached = FIRST[name], attachments(name, place)
    make = one.table.make or getattr(keras.layers, name)
    given = {key: value for key, value in attached.items() if key in signature(make).parameters}
    layer = make(**{**one.chosen(one.table.options), **given})
    of_outputs = "activity_regularizer"
    if of_outputs not in given and layer.activity_regularizer is None:  # some have one already
        layer.activity_regularizer = attached.get(of_outputs)
    return layer, twin_of(layer, *one.shapes), attached


def penalty(by_hand: Any, xs: Any) -> tuple[Noisy, list[Noisy]]:
    """Return all that the layer costs by itself, and the gradients of inputs and weights."""
    y, saved = by_hand_called(by_hand, xs, {})
    total, dy = xs[0].sum() * 0.0, y * 0.0
    if by_hand.activity_regularizer is not None:
        total = total + by_hand.activity_regularizer.forward(y) / float(len(y))
        dy = by_hand.activity_regularizer.backward(y) / float(len(y))
    for cost in by_hand.costs_within(saved[0]):
        total = total + cost
    dxs = gradients_of(by_hand, dy, saved)
    trained = [one for one in by_hand.parameters if one.trainable]
    for one in trained:
        if one.regularizer is not None:
            total = total + one.regularizer.forward(one.value)
            one.gradient += one.regularizer.backward(one.value)
    return total, [*dxs, *(one.gradient for one in trained)]


def hold_attached(
    layer: Any, by_hand: Any, xs: Any, weights: Any, ruler: Any, loaded: Any, on_tape: Any
) -> None:
    """Hold the penalty, its gradients, and each weight's projection against Keras's."""

    def costs(*tensors: Any) -> Any:
        layer._clear_losses()
        called(layer, tensors, {})
        return sum(layer.losses, keras.ops.sum(tensors[0]) * 0.0)

    for variable, weight in zip(variables_of(layer), weights, strict=True):
        variable.assign(weight)
    if hasattr(layer, "finalize_state"):  # Normalization looks at its weights only here
        layer.finalize_state()
    total, actual = on_tape(costs, xs, None, [w.value for w in layer.trainable_variables])
    loaded(by_hand, weights, ruler.exact)
    expected, gradients = penalty(by_hand, [ruler.exact(x) for x in xs])
    ruler.agrees(total, expected, "penalty")
    for theirs, ours in zip(actual, gradients, strict=True):
        ruler.agrees(theirs, noisy(ours, ruler), "gradient of the penalty")
    for variable, parameter in zip(variables_of(layer), by_hand.parameters, strict=True):
        given = variable.constraint, parameter.constraint
        assert (given[0] is None) == (given[1] is None), f"one constraint of {parameter.name}"
        if parameter.constraint is not None:
            w = ruler.exact(variable.numpy())
            parameter.constraint.apply(w)
            ruler.agrees(variable.constraint(variable.value), w, f"{parameter.name}, projected")


def drawn(weight: Any, generator: np.random.Generator, precision: str) -> np.ndarray:
    """Draw a weight; what isn't a real number stays, and a variance is positive."""
    if not weight.dtype.startswith("float"):
        return np.asarray(weight.numpy())
    w = generator.normal(size=weight.shape).astype(precision)
    return np.abs(w) if is_spread(weight.name) else w


NAMES = [
    pytest.param(one, marks=[pytest.mark.slow] if i % 24 else []) for i, one in enumerate(FIRST)
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_attached_equals_keras(
    name: str,
    place: int,
    twin_of: Any,
    loaded: Any,
    on_tape: Any,
    ruler: Any,
    generator: np.random.Generator,
    found: Found,
) -> None:
    one = FIRST[name]
    if ruler.precision not in one.precisions or compiled(one.make(), ruler.precision):
        pytest.skip("only XLA can run it")
    layer, by_hand, attached = both(name, place, twin_of)
    xs = one.inputs(generator, ruler.precision)
    weights = [drawn(weight, generator, ruler.precision) for weight in variables_of(layer)]
    hold_attached(layer, by_hand, xs, weights, ruler, loaded, on_tape)
    named = {option: str(value.get_config()) for option, value in attached.items()}
    what = f"{name}, attached {place}"
    found.agrees("layer", name, named, ruler.precision, ruler.largest, what)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0, 1])
def test_the_derivative_is_that_of_the_penalty(
    name: str,
    place: int,
    twin_of: Any,
    loaded: Any,
    differences: Any,
    smooth_points: Any,
    generator: np.random.Generator,
    found: Found,
) -> None:
    one = FIRST[name]
    if one.table.words or one.is_coarse:
        pytest.skip("takes whole numbers, or is too coarse for differences")
    _, by_hand, attached = both(name, place, twin_of)
    xs = [one.table.scale * smooth_points(*shape) for shape in one.shapes]
    weights = [one.table.scale * smooth_points(*p.shape) for p in by_hand.parameters]
    for w, p in zip(weights, by_hand.parameters, strict=True):
        if is_spread(p.name):
            np.abs(w, out=w)
    moving = [i for i, p in enumerate(by_hand.parameters) if p.trainable]

    def cost(points: Any) -> tuple[Noisy, list[Noisy]]:
        moved = dict(enumerate(weights)) | dict(zip(moving, points[len(xs) :], strict=True))
        loaded(by_hand, [moved[i] for i in range(len(weights))], differences.exact)
        return penalty(by_hand, points[: len(xs)])

    points = [*xs, *(weights[i] for i in moving)]
    _, gradients = cost([differences.exact(point) for point in points])
    gradients = [noisy(gradient, differences) for gradient in gradients]
    differences.agree_along(lambda points: cost(points)[0], points, gradients, generator)
    named = {option: str(value.get_config()) for option, value in attached.items()}
    found.is_derived("layer", name, named, f"{name}, attached {place}")


@pytest.mark.parametrize("lost", ["penalty", "gradient", "activity", "constraint"])
def test_what_is_lost_is_seen(
    lost: str,
    twin_of: Any,
    loaded: Any,
    on_tape: Any,
    ruler: Any,
    generator: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, by_hand, _ = both("Dense", 0, twin_of)
    kernel = by_hand.parameters[0]
    if lost == "penalty":
        kernel.regularizer = None
    elif lost == "gradient":
        monkeypatch.setattr(type(kernel.regularizer), "backward", lambda self, w: w * 0.0)
    elif lost == "activity":
        by_hand.activity_regularizer = None
    else:
        kernel.constraint = None
    xs = FIRST["Dense"].inputs(generator, ruler.precision)
    weights = [drawn(weight, generator, ruler.precision) for weight in variables_of(layer)]
    with pytest.raises(AssertionError, match=lost if lost == "constraint" else "penalty"):
        hold_attached(layer, by_hand, xs, weights, ruler, loaded, on_tape)
