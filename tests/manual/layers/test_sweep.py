"""Every option of every layer that has a twin: any two values of any two options meet.

By default a sixth of it. ``python -m pytest -n 0 -m "slow or not slow" --record
tests/manual/layers/test_sweep.py`` holds all, and keeps the distances as the record that
``python -m compare coverage`` reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from sweep import ALL, Configuration
from sweep.record import Found


def swept() -> Any:
    """Return all configurations as parameters, most of them marked as slow."""
    found, seen = [], dict[str, int]()
    for one in ALL:
        place = seen[one.table.name] = seen.get(one.table.name, -1) + 1
        found.append(pytest.param(one, id=str(one), marks=[pytest.mark.slow] if place % 6 else []))
    return pytest.mark.parametrize("configuration", found)


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[Found]:
    """Collect what agrees; with ``--record`` keep it, if it is all."""
    found = Found()
    yield found
    if request.config.getoption("--record"):
        found.write(ALL)


@swept()
def test_equals_keras(
    configuration: Configuration,
    precision: str,
    hold_layer: Any,
    ruler: Any,
    generator: np.random.Generator,
    found: Found,
) -> None:
    if precision not in configuration.table.precisions:
        pytest.skip("TensorFlow has no such operation")
    layer = configuration.make()
    xs = configuration.inputs(generator, precision)
    hold_layer(layer, *xs, in_graph=True, **configuration.call_options(generator))
    found.distances[str(configuration), precision] = ruler.largest


@swept()
def test_derivative_is_that_of_the_forward_map(
    configuration: Configuration,
    layer_derivative: Any,
    differences: Any,
    generator: np.random.Generator,
    found: Found,
) -> None:
    if configuration.stops_gradients:
        pytest.skip("the gradient is stopped on its way")
    layer_derivative(
        configuration.make,
        configuration.shapes,
        configuration.call_options(generator),
        scale=configuration.table.scale,
        zero=configuration.table.zero,
        agree=partial(differences.agree_along, signs=generator),
    )
    found.derivatives.add(str(configuration))
