"""Every option of every layer that has a twin: any two values of any two options meet.

Keras runs through a ``tf.function`` in float32, and eagerly in float64. By default a part of it:
``python -m pytest -n 0 -m "slow or not slow" --record tests/manual/layers/test_sweep.py`` holds
all, and keeps the distances as the record that ``python -m compare coverage`` reads. Of a class
that was held in part (``-k``), the old record stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from found import Found
from sweep import ALL, Configuration


def swept() -> Any:
    """Return all configurations as parameters, most of them marked as slow."""
    found, seen = [], dict[str, int]()
    for one in ALL:
        place = seen[one.table.name] = seen.get(one.table.name, -1) + 1
        found.append(pytest.param(one, id=str(one), marks=[pytest.mark.slow] if place % 24 else []))
    return pytest.mark.parametrize("configuration", found)


@pytest.fixture(scope="module", autouse=True)
def only_whole_classes(found: Found) -> Iterator[None]:
    """Forget in the end of which class a configuration is missing."""
    yield
    held = found.kinds.get("layer", {})
    for one in ALL:
        kept = held.get(one.table.name, {}).get(str(one))
        is_whole = kept is not None and set(kept.distances) == set(one.precisions)
        if not is_whole or not (kept.is_derived or one.stops_gradients):
            held.pop(one.table.name, None)


@swept()
def test_equals_keras(
    configuration: Configuration,
    precision: str,
    hold_layer: Any,
    ruler: Any,
    generator: np.random.Generator,
    found: Found,
) -> None:
    if precision not in configuration.precisions:
        pytest.skip("TensorFlow has no such operation")
    layer = configuration.make()
    xs = configuration.inputs(generator, precision)
    in_graph = precision == "float32"  # else eagerly, which is faster, and may be another kernel
    hold_layer(layer, *xs, in_graph=in_graph, **configuration.call_options(generator))
    found.agrees(*configuration.told, precision, ruler.largest, str(configuration))


@swept()
def test_derivative_is_that_of_the_forward_map(
    configuration: Configuration,
    layer_derivative: Any,
    transposed: Any,
    differences: Any,
    generator: np.random.Generator,
    found: Found,
) -> None:
    if configuration.stops_gradients:
        pytest.skip("the gradient is stopped on its way")
    if configuration.is_coarse:
        transposed(configuration.make, *configuration.shapes)
    else:
        layer_derivative(
            configuration.make,
            configuration.shapes,
            configuration.call_options(generator),
            scale=configuration.table.scale,
            zero=configuration.table.zero,
            agree=partial(differences.agree_along, signs=generator),
        )
    found.is_derived(*configuration.told, str(configuration))
