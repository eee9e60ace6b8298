"""The array type of the hand-written half."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

Array: TypeAlias = Any
"""A NumPy array, or anything that obeys NumPy's array protocols.

The judge runs these very layers on arrays that carry their own rounding noise; that is why no
layer asks for ``np.ndarray`` by type or calls ``np.asarray`` on what it is given.
"""

Method = TypeVar("Method", bound=Callable[..., Any])


def order_in_memory(array: Array) -> list[int]:
    """Return the axes from the outermost in memory to the innermost, as far as that is known."""
    strides = getattr(array, "strides", None) or range(array.ndim, 0, -1)
    return sorted(range(array.ndim), key=lambda axis: -strides[axis])


def lying_as(array: Array, like: Array) -> Array:
    """Return the array with its numbers in the order in memory that an array of its shape has.

    Where two arrays lie differently, NumPy goes through one of them in leaps.
    """
    lie, should = (
        [axis for axis in order_in_memory(one) if one.shape[axis] > 1] for one in (array, like)
    )
    if getattr(array, "strides", None) is None or lie == should:
        return array
    moved = np.zeros_like(like, dtype=array.dtype)
    moved[...] = array
    return moved


def in_any_way(function: Callable[..., Array]) -> Callable[..., Array]:
    """Mark a function that goes another way than its formula, only because that is faster.

    Which way is nobody's promise: in what parts a sum is added up, how a quotient is made not to
    overflow. So an array that carries rounding noise may give the results that of the plain way:
    its method ``in_any_way`` gets the function, and the arguments.
    """

    @wraps(function)
    def asked(*arguments: Any) -> Array:
        for one in arguments:
            if hasattr(one, "in_any_way"):
                return one.in_any_way(asked, *arguments)
        return function(*arguments)

    return asked


def in_single_precision(function: Callable[..., Array]) -> Callable[..., Array]:
    """Mark a function of arrays that computes in float32, as Keras does whatever the policy.

    Every argument that is an array is rounded first, and the result comes back in the precision of
    the first. An array that carries rounding noise knows what float32 costs: its method
    ``in_single_precision`` gets the function and the arguments.
    """

    @wraps(function)
    def asked(*arguments: Any) -> Array:
        for one in arguments:
            if hasattr(one, "in_single_precision"):
                return one.in_single_precision(function, *arguments)
        rounded = (one.astype(np.float32) if hasattr(one, "astype") else one for one in arguments)
        return function(*rounded).astype(arguments[0].dtype)

    return asked


def at_least_single(method: Method) -> Method:
    """Mark a layer's ``forward`` or ``backward`` that Keras upcasts: to float32 if it is narrower.

    The arrays here are as wide already. One that carries rounding noise knows what its precision
    costs: its method ``at_least_single`` gets the method, the layer and the arguments.
    """

    @wraps(method)
    def asked(layer: Any, given: Array, *arguments: Any, **told: Any) -> Any:
        if hasattr(given, "at_least_single"):
            return given.at_least_single(method, layer, *arguments, **told)
        return method(layer, given, *arguments, **told)

    return cast(Method, asked)


@in_any_way
def summed_products(a: Array, b: Array) -> Array:
    """Return Σ a[p] · b[p], matrix products that are added up over the axis before theirs."""
    return (a @ b).sum(axis=-3)
